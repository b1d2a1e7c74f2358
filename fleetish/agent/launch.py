"""Handing a unit to systemd, together with the units that it brings up.

    gather    the unit and its companions, composed and checked; nothing is changed before
    free      which companions systemd does not know yet: those are loaded beside the unit
    start     markers before, StartTransientUnit, texts for a daemon-reload, markers after

A name that is taken, and an answer that did not come, are looked into: PID 1 alone knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple

from fleetish.agent.base import WITHDRAWN, Labelled, Labels, Marker, ObservedUnit, Systemd
from fleetish.agent.companions import Companion, Companions
from fleetish.agent.compose import Composed, Composer
from fleetish.agent.fence import Fence
from fleetish.agent.markers import Markers
from fleetish.agent.needs import refusal, unknown
from fleetish.agent.plan import owner
from fleetish.agent.slicing import Slices
from fleetish.agent.steps import LATER, Blocked, Done, Outcome
from fleetish.errors import OutcomeUnknown, Refused, SystemdError
from fleetish.model import Assignment, Target
from fleetish.units.xfleet import Class

UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"

#: Results of a start job (org.freedesktop.systemd1(5)) after which the unit is as dead as before,
#: and no state of it says why.
REFUSED = {
    "assert": "one of its Assert…= conditions does not hold",
    "dependency": "a unit that it requires did not start",
    "unsupported": "this machine cannot run units of its type",
}


class Party(NamedTuple):
    """A unit to start; ``beside``: what is loaded with it; ``known``: companions that systemd has
    already."""

    wish: Assignment
    main: Composed
    beside: tuple[tuple[Companion, Composed], ...] = ()
    known: tuple[tuple[Companion, Composed], ...] = ()

    @property
    def fresh(self) -> tuple[Composed, ...]:
        """All that systemd does not have yet."""
        return (self.main, *(composed for _, composed in self.beside))

    @property
    def texts(self) -> dict[str, str]:
        """What a daemon-reload shall read, by unit."""
        return {one.unit.name: one.text for one in self.fresh}

    def pulled(self, systemd: Systemd) -> list[Assignment]:
        """The companions that are started with the unit, as they are wished."""
        units = systemd.units
        held = [
            (one, composed)
            for one, composed in self.known
            if (seen := units.get(one.wish.unit)) and seen.labels == composed.labels
        ]
        return [one.wish for one, _ in (*self.beside, *held) if one.pulled]


class Launcher:
    """Starts units. ``text`` gives a unit file by its hash; ``wanted`` says, in the last moment,
    whether an assignment still stands."""

    def __init__(
        self,
        systemd: Systemd,
        markers: Markers,
        composer: Composer,
        companions: Companions,
        fence: Fence | None,
        text: Callable[[str], Awaitable[str]],
        wanted: Callable[[Assignment], bool],
        now: Callable[[], float],
    ) -> None:
        self._systemd = systemd
        self._markers = markers
        self._composer = composer
        self._companions = companions
        self._fence = fence
        self._text = text
        self._wanted = wanted
        self._now = now
        self._reading = asyncio.Lock()
        self.slices = Slices(systemd)

    async def compose(self, wish: Assignment) -> Composed:
        """The unit of an assignment. Raises Refused, or StoreUnavailable without its text."""
        async with self._reading:  # hundreds of one text: the first fetches it for all
            text = await self._text(wish.hash)
        return self._composer.compose(wish, text, self._companions.sidekicks(wish.unit))

    async def gather(self, wish: Assignment) -> Party:
        """The unit and what it brings up and does not run yet.

        Raises Refused when it cannot run here, or a companion cannot that it needs; the others are
        left out, as systemd leaves out what is wanted and cannot be loaded.
        """
        main, found = await self._checked(wish), []
        for one in self._companions.together(wish):
            seen = self._systemd.units.get(one.wish.unit)
            if seen is not None and seen.alive:
                continue
            try:
                found.append((one, await self._checked(one.wish)))
            except Refused:
                if one.needed:
                    raise
        return Party(wish, main, tuple(found))

    async def start(self, party: Party) -> Outcome:
        """Start what was gathered. Raises SystemdError or OutcomeUnknown."""
        wish = party.wish
        exclusive = wish.requirements.klass is Class.EXCLUSIVE
        if exclusive and not (self._fence and await self._fence.raised()):
            return Blocked("it is exclusive and waits for a renewal of the machine's lease")
        party = await self._free(party)
        await self._place(party.fresh)
        before = {one.unit.name: self._markers.get(one.unit.name) for one in party.fresh}
        self._announce(party, before)
        try:
            result = await self._hand_over(party, before[wish.unit])
        except SystemdError:
            self._restore(before)
            raise
        why = REFUSED.get(result, "")
        if result == "failed" and wish.requirements.triggers:
            why = await self._why_idle(wish)
        if result == WITHDRAWN or why:
            self._restore(before)
            error = f"cannot start {wish.unit}: {why}"
            return Blocked(error, "loaded", LATER) if why else Done()
        for name, text in party.texts.items():
            self._systemd.keep(name, text)
        for one in (wish, *party.pulled(self._systemd)):
            if one.target is Target.LAUNCHED:
                self._markers.put(one.unit, Marker(one.hash, one.launch))
        return Done(started=True)

    async def renew(self, party: Party) -> None:
        """Before a unit is stopped to be started anew: where others bring it up, systemd has to
        know its new definition first. A connection that waits would start the old one in the
        moment of the stop, again and again, until the socket fails. Raises SystemdError."""
        name, labels = party.wish.unit, party.main.labels
        if not self._companions.keeper(name):
            return
        found = await self._systemd.inspect(name)
        if not found.alive or found.labels in (None, labels):
            return
        runs, started = found.labels, party.wish.target is Target.LAUNCHED
        self._markers.put(name, Marker(runs.hash, runs.launch, started))
        await self._place((party.main,))
        await self._systemd.define({name: party.main.text})

    async def define(self, wish: Assignment) -> None:
        """Give a dead unit that others bring up the definition of its assignment. Where systemd has
        none of it any more, the next start of what brings it up gives it one."""
        composed = await self._checked(wish)
        found = await self._systemd.inspect(wish.unit)
        if found.alive:
            return  # planned again, as a unit that runs
        if found.load == "not-found" and wish.unit in self._systemd.units:
            self._systemd.forget(wish.unit)
            return
        if found.load != "not-found":
            _ours(found, wish.unit, self._markers.get(wish.unit))
        await self._place((composed,))
        await self._systemd.define({wish.unit: composed.text})
        self._markers.put(wish.unit, Marker(wish.hash, wish.launch, started=False))

    async def _why_idle(self, wish: Assignment) -> str:
        """Why a unit that activates others was not even tried; "" when it was."""
        if (await self._systemd.inspect(wish.unit)).active != "inactive":
            return ""
        for name in wish.requirements.triggers:
            if (await self._systemd.inspect(name)).load != "loaded":
                return f"it activates {name}, which neither the cluster nor this machine has"
        return ""

    async def _checked(self, wish: Assignment) -> Composed:
        """The unit, all of whose properties the systemd of this machine has."""
        composed = await self.compose(wish)
        known = await self._systemd.known(wish.unit.rpartition(".")[2])
        lacking = unknown(composed.file, composed.unit, known)
        if lacking is not None:
            raise refusal(wish.unit, lacking, await self._systemd.version())
        return composed

    async def _free(self, party: Party) -> Party:
        """The party by what systemd has: a companion that it holds stays as it is."""
        beside, known = [], []
        for one, composed in party.beside:
            found = await self._systemd.inspect(one.wish.unit)
            if found.load == "not-found":
                beside.append((one, composed))
            elif owner(found.name, found, self._markers.get(found.name)):
                known.append((one, composed))
            elif one.needed:
                raise _taken(found.name)
        return party._replace(beside=tuple(beside), known=tuple(known))

    async def _place(self, units: Iterable[Composed]) -> None:
        for one in units:
            self.slices.put(one)
            if one.slice:
                await self.slices.ensure(one.slice)

    def _announce(self, party: Party, before: Mapping[str, Marker | None]) -> None:
        """Mark what is about to be handed over; companions that had their run keep that."""
        for one in party.fresh:
            name, held = one.unit.name, before[one.unit.name]
            if one is party.main or held is None or not held.started:
                marker = Marker(one.labels.hash, one.labels.launch, started=False)
                self._markers.put(name, marker)

    def _restore(self, before: Mapping[str, Marker | None]) -> None:
        for name, marker in before.items():
            if marker is None:
                self._markers.drop(name)
            else:
                self._markers.put(name, marker)

    async def _hand_over(self, party: Party, before: Marker | None) -> str:
        """Start the unit; a name that is taken, or an answer that did not come, is looked into."""
        wish, main = party.wish, party.main
        beside = [Labelled(one.unit, one.labels) for one in party.fresh[1:]]

        def proceed() -> bool:
            exclusive = wish.requirements.klass is Class.EXCLUSIVE
            late = exclusive and (self._fence is None or self._now() >= self._fence.until)
            return self._wanted(wish) and not late

        try:
            return await self._systemd.start(main.unit, main.labels, proceed, beside)
        except OutcomeUnknown:
            found = await self._systemd.inspect(wish.unit)
            if found.loaded and found.labels == main.labels:
                return "done"
            raise
        except SystemdError as error:
            if error.name != UNIT_EXISTS:
                raise
            found = await self._systemd.inspect(wish.unit)
            if found.load == "not-found":
                raise  # it is a companion's name
        ours = _ours(found, wish.unit, before)
        same = (ours.hash, ours.launch) == (wish.hash, wish.launch)
        if found.alive:
            return "done" if same else WITHDRAWN
        if found.active == "failed":
            await self._systemd.reset_failed(wish.unit)
            if (await self._systemd.inspect(wish.unit)).load == "not-found":
                return await self._systemd.start(main.unit, main.labels, proceed, beside)
        if not proceed():
            return WITHDRAWN
        if not same:
            await self._systemd.define(party.texts)
        return await self._systemd.start_again(wish.unit)


def _ours(found: ObservedUnit, name: str, marker: Marker | None) -> Labels:
    """The labels of a unit that systemd has. Raises SystemdError when it is not ours."""
    labels = owner(name, found, marker)
    if labels is None:
        raise _taken(name)
    return labels


def _taken(name: str) -> SystemdError:
    return SystemdError(
        f"cannot start {name}: a unit of that name belongs to this host, not to the cluster",
        name=UNIT_EXISTS,
        hint="submit it under another name, or remove the host's own unit",
    )
