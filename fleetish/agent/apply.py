"""One step -> the calls to systemd that it takes -> what came of it, as a value."""

from __future__ import annotations

from collections.abc import Iterable

from fleetish.agent.base import RUNNING, Systemd
from fleetish.agent.launch import UNIT_EXISTS, Launcher
from fleetish.agent.markers import Markers
from fleetish.agent.sandboxes import Sandboxes
from fleetish.agent.steps import (
    LATER,
    NEVER,
    SOON,
    Adopt,
    Blocked,
    Define,
    Done,
    Forget,
    Outcome,
    Restart,
    Start,
    Step,
    Stop,
)
from fleetish.errors import FleetishError, Refused, SystemdError, Unavailable
from fleetish.model import Assignment

PROPERTY_REFUSED = frozenset(
    {
        "org.freedesktop.DBus.Error.InvalidArgs",
        "org.freedesktop.DBus.Error.PropertyReadOnly",
        "org.freedesktop.systemd1.BadUnitSetting",
    }
)


class Applier:
    """Takes steps on this machine."""

    def __init__(
        self, systemd: Systemd, markers: Markers, launcher: Launcher, sandboxes: Sandboxes
    ) -> None:
        self._systemd = systemd
        self._markers = markers
        self._launcher = launcher
        self._sandboxes = sandboxes
        self.slices = launcher.slices

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
                self.slices.put(await self._launcher.compose(wish))
            except FleetishError:
                continue  # the unit's own start says what is wrong

    async def _take(self, step: Step) -> Outcome:
        match step:
            case Start():
                party = await self._launcher.gather(step.assignment)
                if step.failed:
                    await self._systemd.reset_failed(step.unit)
                return await self._launcher.start(party)
            case Restart():
                return await self._restart(step)
            case Define():
                await self._launcher.define(step.assignment)
                return Done(started=True)
            case Stop():
                await self._systemd.stop(step.unit)
                self._markers.cut_off(step.unit)
            case Adopt():
                self._markers.put(step.unit, step.marker)
            case Forget():
                await self._forget(step)
        return Done()

    async def _restart(self, step: Restart) -> Outcome:
        party = await self._launcher.gather(step.assignment)  # before the stop: it may be refused
        await self._launcher.renew(party)
        stopped = await self._systemd.stop(step.unit)
        held = self._systemd.units.get(step.unit)
        if held is not None and (held.active == "deactivating" or stopped == RUNNING):
            return Done()  # still stopping; planned again when it has
        if held is not None and held.active == "failed":
            await self._systemd.reset_failed(step.unit)
        return await self._launcher.start(party)

    async def _forget(self, step: Forget) -> None:
        if step.failed:
            await self._systemd.reset_failed(step.unit)
        if step.kept and (await self._systemd.inspect(step.unit)).load == "loaded":
            await self._systemd.discard([step.unit])
        self._systemd.forget(step.unit)
        self._markers.drop(step.unit)
        self.slices.drop(step.unit)
        await self._sandboxes.drop(step.unit)


def _refused(error: FleetishError) -> Blocked:
    name = error.name if isinstance(error, SystemdError) else ""
    if name == UNIT_EXISTS:
        return Blocked(str(error), "error", LATER)
    if name in PROPERTY_REFUSED:
        return Blocked(str(error), "bad-setting", NEVER)
    return Blocked(
        str(error), "error", SOON if isinstance(error, Unavailable | SystemdError) else LATER
    )
