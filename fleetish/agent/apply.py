"""One step -> the calls to systemd that it takes -> what came of it, as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from fleetish.agent.base import WITHDRAWN, Marker, ObservedUnit, Systemd
from fleetish.agent.compose import Composed, Composer
from fleetish.agent.fence import Fence
from fleetish.agent.markers import Markers
from fleetish.agent.slicing import Slices
from fleetish.agent.steps import Adopt, Forget, Restart, Start, Step, Stop
from fleetish.errors import (
    FleetishError,
    OutcomeUnknown,
    Refused,
    SystemdError,
    Unavailable,
)
from fleetish.model import Assignment
from fleetish.units.xfleet import Class

#: Seconds until something is tried again that failed for no fault of the unit, and until a name
#: that belongs to somebody else on this host is tried again.
SOON, LATER = 1.0, 30.0

NEVER = float("inf")

UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"
PROPERTY_REFUSED = frozenset(
    {
        "org.freedesktop.DBus.Error.InvalidArgs",
        "org.freedesktop.DBus.Error.PropertyReadOnly",
        "org.freedesktop.systemd1.BadUnitSetting",
    }
)


@dataclass(frozen=True, slots=True)
class Done:
    """The step was taken; systemd tells the rest. ``started``: the unit was handed to it."""

    started: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """The step could not be taken: why, the load state to report, when to try again (seconds)."""

    error: str
    load: str = "error"
    again: float = SOON


Outcome = Done | Blocked


class Applier:
    """Takes steps on this machine. ``text`` gives a unit file by its hash; ``wanted`` says, in the
    last moment, whether an assignment still stands."""

    def __init__(
        self,
        systemd: Systemd,
        markers: Markers,
        composer: Composer,
        fence: Fence | None,
        text: Callable[[str], Awaitable[str]],
        wanted: Callable[[Assignment], bool],
        now: Callable[[], float],
    ) -> None:
        self._systemd = systemd
        self._markers = markers
        self._composer = composer
        self._fence = fence
        self._text = text
        self._wanted = wanted
        self._now = now
        self._reading = asyncio.Lock()
        self.slices = Slices(systemd)

    async def apply(self, step: Step) -> Outcome:
        """Take one step. Everything that may be expected to go wrong is in the outcome."""
        try:
            return await self._take(step)
        except Refused as error:
            return Blocked(str(error), "bad-setting", NEVER)
        except FleetishError as error:
            return _refused(error)

    async def learn(self, wishes: Iterable[Assignment]) -> None:
        """Count units into their slices that run already, so that the sums are right."""
        for wish in wishes:
            if wish.unit in self.slices.units:
                continue
            try:
                self.slices.put(await self._compose(wish))
            except FleetishError:
                continue  # the unit's own start says what is wrong

    async def _take(self, step: Step) -> Outcome:
        match step:
            case Start():
                composed = await self._compose(step.assignment)
                if step.failed:
                    await self._systemd.reset_failed(step.unit)
                return await self._start(step.assignment, composed)
            case Restart():
                return await self._restart(step)
            case Stop():
                await self._systemd.stop(step.unit)
                self._markers.cut_off(step.unit)
            case Adopt():
                self._markers.put(step.unit, step.marker)
            case Forget():
                if step.failed:
                    await self._systemd.reset_failed(step.unit)
                self._systemd.forget(step.unit)
                self._markers.drop(step.unit)
                self.slices.drop(step.unit)
        return Done()

    async def _compose(self, wish: Assignment) -> Composed:
        async with self._reading:  # hundreds of one text: the first fetches it for all
            text = await self._text(wish.hash)
        return self._composer.compose(wish, text)

    async def _restart(self, step: Restart) -> Outcome:
        composed = await self._compose(step.assignment)  # before the stop: it may be refused
        await self._systemd.stop(step.unit)
        held = self._systemd.units.get(step.unit)
        if held is not None and held.alive:
            return Done()  # still stopping; planned again when it has
        if held is not None and held.active == "failed":
            await self._systemd.reset_failed(step.unit)
        return await self._start(step.assignment, composed)

    async def _start(self, wish: Assignment, composed: Composed) -> Outcome:
        exclusive = wish.requirements.klass is Class.EXCLUSIVE
        if exclusive and not (self._fence and await self._fence.raised()):
            return Blocked("it is exclusive and waits for a renewal of the machine's lease")
        self.slices.put(composed)
        if composed.slice:
            await self.slices.ensure(composed.slice)
        before = self._markers.get(wish.unit)
        self._markers.put(wish.unit, Marker(wish.hash, wish.launch, started=False))
        try:
            result = await self._hand_over(wish, composed)
        except SystemdError:
            self._restore(wish.unit, before)
            raise
        if result == WITHDRAWN:
            self._restore(wish.unit, before)
            return Done()
        if composed.text:
            self._systemd.keep(wish.unit, composed.text)
        self._markers.put(wish.unit, Marker(wish.hash, wish.launch))
        return Done(started=True)

    def _restore(self, name: str, before: Marker | None) -> None:
        if before is None:
            self._markers.drop(name)
        else:
            self._markers.put(name, before)

    async def _hand_over(self, wish: Assignment, composed: Composed) -> str:
        """Start the unit; a name that is taken, or an answer that did not come, is looked into."""

        def proceed() -> bool:
            exclusive = wish.requirements.klass is Class.EXCLUSIVE
            late = exclusive and (self._fence is None or self._now() >= self._fence.until)
            return self._wanted(wish) and not late

        try:
            return await self._systemd.start(composed.unit, composed.labels, proceed)
        except OutcomeUnknown:
            found = await self._systemd.inspect(wish.unit)
            if found.loaded and found.labels == composed.labels:
                return "done"
            raise
        except SystemdError as error:
            if error.name != UNIT_EXISTS:
                raise
        found = await self._systemd.inspect(wish.unit)
        _refuse_foreign(found, wish)
        if found.alive:
            return "done" if found.labels == composed.labels else WITHDRAWN
        if found.active == "failed":
            await self._systemd.reset_failed(wish.unit)
        if found.labels == composed.labels and proceed():
            return await self._systemd.start_again(wish.unit)
        await self._systemd.discard([wish.unit])
        return await self._systemd.start(composed.unit, composed.labels, proceed)


def _refuse_foreign(found: ObservedUnit, wish: Assignment) -> None:
    if found.labels is not None:
        return
    raise SystemdError(
        f"cannot start {wish.unit}: a unit of that name belongs to this host, not to the cluster",
        name=UNIT_EXISTS,
        hint="submit it under another name, or remove the host's own unit",
    )


def _refused(error: FleetishError) -> Blocked:
    name = error.name if isinstance(error, SystemdError) else ""
    if name == UNIT_EXISTS:
        return Blocked(str(error), "error", LATER)
    if name in PROPERTY_REFUSED:
        return Blocked(str(error), "bad-setting", NEVER)
    return Blocked(
        str(error), "error", SOON if isinstance(error, Unavailable | SystemdError) else LATER
    )
