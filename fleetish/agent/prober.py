"""Follows the runs of units that have checks: a task for each check, on a beat of its own.

What to ask when, and what follows, is decided in :mod:`fleetish.agent.probing`. A unit that has no
checks costs nothing here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from fleetish.agent import probing
from fleetish.agent.base import ObservedUnit, Systemd
from fleetish.agent.probes import Commands, ask
from fleetish.agent.probing import Answer, Run
from fleetish.clock import Clock
from fleetish.errors import FleetishError
from fleetish.model import Assignment, UnitState
from fleetish.units.health import CheckKind, HealthCheck

log = logging.getLogger(__name__)

#: Questions that may be open at one time: over the network, and as commands.
AT_ONCE, COMMANDS_AT_ONCE = 256, 16


class Prober:
    """``address`` is the machine's; ``changed`` is told the units that there is news of."""

    def __init__(
        self,
        systemd: Systemd,
        clock: Clock,
        commands: Commands,
        address: str,
        changed: Callable[[Iterable[str]], None],
    ) -> None:
        self._systemd = systemd
        self._clock = clock
        self._commands = commands
        self._address = address
        self._changed = changed
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._open = asyncio.Semaphore(AT_ONCE)
        self._commands_open = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Hold all that is asked, for ever."""
        async with asyncio.TaskGroup() as self._group:
            for name, run in self._runs.items():
                self._begin(name, run)
            await asyncio.Event().wait()

    def follow(self, wish: Assignment, unit: ObservedUnit | None, before: UnitState | None) -> None:
        """Take in how an assigned unit is now; ``before`` is what was published of it last."""
        run = self._runs.get(wish.unit)
        if run is not None:
            if probing.goes_on(run, unit):
                return
            self.drop(wish.unit)
        found = probing.begun(wish, unit, before, self._clock.monotonic(), self._clock.now())
        if found is not None:
            self._runs[wish.unit] = found
            self._begin(wish.unit, found)

    def drop(self, name: str) -> None:
        """Ask no more of a unit."""
        run = self._runs.pop(name, None)
        for task in self._tasks.pop(name, ()):
            task.cancel()
        for number in run.numbers if run else ():
            if self._group and self._commands.runs(name, number):
                self._group.create_task(self._commands.stop(name, number))

    def heard(self, names: Iterable[str]) -> set[str]:
        """Something changed of these units; those of them that belong to checks."""
        return self._commands.heard(names)

    def told(self, state: UnitState) -> UnitState:
        """A unit's state with what its checks have shown."""
        run = self._runs.get(state.unit)
        return run.told(state) if run else state

    def _begin(self, name: str, run: Run) -> None:
        if self._group is not None:
            checks = (self._check(name, number) for number in run.numbers)
            self._tasks[name] = [self._group.create_task(check) for check in checks]

    async def _check(self, name: str, number: int) -> None:
        """Ask for one check of a run until the run ends, or until it is ready."""
        due = probing.due(self._runs[name], number, self._clock.monotonic())
        while number in self._runs[name].numbers:
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            run = self._runs[name]
            probe = run.probe(number)
            async with self._commands_open if probe.kind is CheckKind.COMMAND else self._open:
                asked = self._clock.monotonic()
                answer = await self._ask(run, number)
            await self._note(name, number, answer)
            due = probing.after(probe, asked, self._clock.monotonic())

    async def _ask(self, run: Run, number: int) -> Answer:
        probe = run.probe(number)
        try:
            if isinstance(probe, HealthCheck) and probe.kind is CheckKind.COMMAND:
                return await self._commands.ask(run.wish, number, probe)
            where = probing.place(run, number, self._address)
            if where is None:
                return Answer(False, f"no port was granted at index {probe.index}")
            return await ask(probe, where)
        except Exception as error:  # the trouble of one check must not be that of all the others
            log.exception("cannot probe %s", run.wish.unit)
            return Answer(None, repr(error))

    async def _note(self, name: str, number: int, answer: Answer) -> None:
        before = self._runs[name]
        now, date = self._clock.monotonic(), self._clock.now()
        run = self._runs[name] = probing.noted(before, number, answer, now, date)
        if run is not before:
            self._changed([name])
        signal = probing.strike(run, number, answer)
        if signal:
            log.warning("%s is unhealthy, it gets signal %d: %s", name, signal, answer.cause)
            try:
                await self._systemd.kill(name, signal)
            except FleetishError as error:
                log.warning("%s", error)
