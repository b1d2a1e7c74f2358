"""The agent: makes this machine's assignments true, and says what came of them.

    store ──assignments──►┐                       ┌──steps──► systemd
                          ├─► plan (pure) ────────┤
    systemd ──changes────►┘                       └──states─► store, under the machine's lease

1. Only units that something changed of are planned; every ``relist`` seconds all of them.
2. One step at a time for a unit and those that it brings up: while it is under way they are busy,
   after it they are planned again.
3. Nothing is planned before the assignments were listed once and systemd was listed once. When the
   store goes away the last known assignments stay in force: nothing is stopped for want of it.
4. When the store says that the machine's lease is gone, nothing is begun until the machine is
   registered anew and its assignments are read; then what is no longer its own is stopped first.
5. Being cancelled (SIGTERM) stops no unit and gives up no registration.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace

import msgspec

from fleetish.agent import backoff, guard
from fleetish.agent.apply import Applier
from fleetish.agent.backoff import Progress
from fleetish.agent.base import ALIVE, Figures, Systemd
from fleetish.agent.companions import Companions
from fleetish.agent.compose import Composer
from fleetish.agent.facts import Facts
from fleetish.agent.fence import Fence
from fleetish.agent.figures import CgroupFigures
from fleetish.agent.launch import Launcher
from fleetish.agent.markers import Markers
from fleetish.agent.plan import View, owner, plan
from fleetish.agent.prober import Prober
from fleetish.agent.probes import Commands
from fleetish.agent.publish import Publisher
from fleetish.agent.report import state_of
from fleetish.agent.sandboxes import Sandboxes
from fleetish.agent.settings import AgentSettings
from fleetish.agent.steps import LATER, NEVER, Blocked, Restart, Start, Step, Wait
from fleetish.clock import Clock
from fleetish.errors import BadConfig, SystemdError, Unavailable
from fleetish.model import Assignment, Target, UnitState
from fleetish.store.base import Guard, Observed, Store
from fleetish.units.specifiers import Context
from fleetish.units.xfleet import Class
from fleetish.world import World

log = logging.getLogger(__name__)


class Agent:
    """One machine's loop. :meth:`run` holds everything that it starts."""

    def __init__(
        self,
        store: Store,
        observed: Observed,
        systemd: Systemd,
        clock: Clock,
        settings: AgentSettings,
        facts: Facts,
        context: Context,
        figures: CgroupFigures,
    ) -> None:
        self.machine = facts.machine_id
        self._store = store
        self._observed = observed
        self._systemd = systemd
        self._clock = clock
        self._settings = settings
        self._markers = Markers(settings.run_directory / "units")
        self.fence = _fence(systemd, clock, settings)
        self._figures = figures
        self.publisher = Publisher(store, clock, lambda: self.world, self._state, self.figures)
        self._companions = Companions()
        launcher = Launcher(
            systemd,
            self._markers,
            Composer(context, settings.cluster, settings.machine_ttl, settings.fetch),
            self._companions,
            self.fence,
            store.content,
            self._wanted,
            clock.monotonic,
        )
        self._sandboxes = Sandboxes(context, settings.cluster)
        self._applier = Applier(systemd, self._markers, launcher, self._sandboxes)
        commands = Commands(systemd, launcher.compose)
        self._prober = Prober(systemd, clock, commands, facts.address, self.publisher.due)
        self._progress: dict[str, Progress] = {}
        self._births: dict[str, int] = {}
        self._cut: set[str] = set()
        self._busy: set[str] = set()
        self._deferred: set[str] = set()
        self._dirty: set[str] = set()
        self._waits: dict[str, float] = {}
        self._full = True
        self._wake = asyncio.Event()
        self._entered = asyncio.Event()
        self._recalled = False

    @property
    def world(self) -> World:
        """What is known of the store."""
        return self._observed.world

    async def run(self) -> None:
        """Supervise, for ever."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._hear_world())
            group.create_task(self._hear_systemd())
            group.create_task(self.publisher.run())
            group.create_task(self._prober.run())
            group.create_task(self._work())

    async def enter(self, held: Guard, revision: int) -> None:
        """The machine is registered, at a revision: read what is assigned, then reconcile."""
        await self._observed.reached(revision)
        self.publisher.registered(held)
        self._entered.set()
        self.touch_all()

    def leave(self) -> None:
        """The store said that the registration is gone: do nothing until the next."""
        self._entered.clear()
        self.publisher.unregistered()

    def renewed(self, sent: float, answered: float) -> None:
        """The machine's lease was renewed; when that was sent and answered (monotonic seconds)."""
        if self.fence is not None and self._entered.is_set():
            self.fence.renewed(sent, answered)
            self.touch(name for name, until in self._waits.items() if until == NEVER)

    def touch(self, names: Iterable[str]) -> None:
        """Plan these units anew."""
        self._dirty.update(names)
        if self._dirty:
            self._wake.set()

    def touch_all(self) -> None:
        """Plan every unit anew."""
        self._full = True
        self._wake.set()

    def figures(self, unit: str) -> Figures:
        """What a unit uses now."""
        found = self._systemd.units.get(unit)
        return self._figures.read(unit, found.slice) if found and found.alive else Figures()

    async def _hear_world(self) -> None:
        while True:
            touched = await self._observed.changed(self._settings.relist)
            if touched.everything:
                self.touch_all()
            self.touch(touched.units)

    async def _hear_systemd(self) -> None:
        while True:
            names = await self._systemd.changed()
            names -= self._prober.heard(names)
            if guard.NAME in names:
                self._guard_changed()
            self.touch(names)

    async def _work(self) -> None:
        listed = self._clock.monotonic()
        while True:
            await self._wait(listed + self._settings.relist)
            await self._entered.wait()
            await self._systemd.ready()
            now = self._clock.monotonic()
            if now >= listed + self._settings.relist:
                listed = now
                await self._relist()
            await self._round(now)

    async def _relist(self) -> None:
        """Compare with systemd's own list, set slices anew that lost units, plan everything."""
        try:
            await self._systemd.relist()
            await self._applier.slices.settle()
        except (SystemdError, Unavailable) as error:
            log.warning("%s", error)
        self._full = True

    async def _wait(self, until: float) -> None:
        """Wait for something to plan, or until the next moment at which something is due."""
        next_due = min([until, *self._waits.values()]) - self._clock.monotonic()
        if next_due > 0 and not (self._full or self._dirty):
            nap = asyncio.ensure_future(self._clock.sleep(next_due))
            nap.add_done_callback(lambda done: None if done.cancelled() else self._wake.set())
            try:
                await self._wake.wait()
            finally:
                nap.cancel()
        self._wake.clear()

    async def _round(self, now: float) -> None:
        full = self._full
        self._full = False
        self._dirty.update(name for name, until in self._waits.items() if until <= now)
        names, self._dirty = self._dirty, set()
        if full:
            self._recall()
            names |= self._everything()
            await self._applier.learn(self._begun())
        names.discard(guard.NAME)
        for name in names - self._quarantined():
            names |= self._note_wish(name)
        for name in names:
            self._note(name, now)
        self._take(plan(self._view(), names - self._busy, now))
        self.publisher.due(names)

    def _everything(self) -> set[str]:
        assigned = self.world.assignments(self.machine)
        return {*assigned, *self._systemd.units, *self._markers}

    def _begun(self) -> list[Assignment]:
        """What runs here or is to run, and what waits in systemd for others to bring it up."""
        assigned, held = self.world.assignments(self.machine).values(), self._systemd.units
        return [one for one in assigned if one.target is Target.LAUNCHED or one.unit in held]

    def _view(self) -> View:
        return View(
            assigned=self.world.assignments(self.machine),
            observed=self._systemd.units,
            markers=self._markers,
            progress=self._progress,
            companions=self._companions,
            quarantined=self._quarantined(),
            fenced=self.fence.until if self.fence else NEVER,
        )

    def _quarantined(self) -> set[str]:
        mine = ("assigned", self.machine)
        return {where[2] for where in self.world.quarantined if where[:2] == mine}

    def _note_wish(self, name: str) -> set[str]:
        """Note whom the unit brings up as it is assigned now; the units that this may concern."""
        return self._companions.put(name, self.world.assignment(name, self.machine))

    def _note(self, name: str, now: float) -> None:
        """Bring the unit's progress in step with its assignment and with systemd."""
        self._waits.pop(name, None)
        wish = self.world.assignment(name, self.machine)
        birth = self.world.revision_of(("assigned", self.machine, name)).create
        if self._births.get(name, birth) != birth or wish is None:
            # Another assignment than the one that was followed: nothing said of it yet.
            self._progress.pop(name, None)
            self.publisher.published.pop(name, None)
            if wish is not None:
                self._markers.cut_off(name)  # its run was for the assignment before
        unit = self._systemd.units.get(name)
        if name in self._cut and (wish is None or unit is None or not unit.alive):
            self._cut.discard(name)
            self._markers.cut_off(name)
        if wish is None:
            self._births.pop(name, None)
            self._prober.drop(name)
            return
        self._births[name] = birth
        if wish.requirements.sandbox:
            self._sandboxes.note(name)
        if unit is not None:
            unit = replace(unit, labels=owner(name, unit, self._markers.get(name)))
        self._prober.follow(wish, unit, self.publisher.published.get(name))
        before = self._progress.get(name, Progress())
        self._progress[name] = backoff.note(before, unit, wish, now)

    def _take(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, Wait):
                self._waits[step.unit] = step.until
                continue
            claimed = self._claimed(step)
            if claimed & self._busy:
                self._deferred.add(step.unit)
                continue
            log.info("%s %s: %s", type(step).__name__.lower(), step.unit, step.reason)
            self._busy |= claimed
            self._group.create_task(self._step(step, claimed))

    def _claimed(self, step: Step) -> set[str]:
        """The units that a step may start or load, so that no other step does it meanwhile."""
        if not isinstance(step, Start | Restart):
            return {step.unit}
        assigned, units = self.world.assignments(self.machine), self._systemd.units
        below = self._companions.below(step.unit) & assigned.keys()
        return {step.unit, *(one for one in below if one not in units or not units[one].alive)}

    async def _step(self, step: Step, claimed: set[str]) -> None:
        try:
            outcome = await self._applier.apply(step)
        except Exception as error:  # one unit's trouble must not be that of all the others
            log.exception("cannot %s %s", type(step).__name__.lower(), step.unit)
            outcome = Blocked(f"cannot run {step.unit}: {error!r}", again=LATER)
        finally:
            self._busy -= claimed
        wish = getattr(step, "assignment", None)
        progress = self._progress.get(step.unit)
        if wish is not None and progress is not None:
            now = self._clock.monotonic()
            if isinstance(outcome, Blocked):
                until = now + outcome.again
                progress = progress.blocked(wish, outcome.error, outcome.load, until)
            elif outcome.started:
                progress = progress.begun(now)
            self._progress[step.unit] = progress
        if isinstance(outcome, Blocked):
            log.warning("%s: %s", step.unit, outcome.error)
        self.touch(claimed | self._deferred)
        self._deferred.clear()

    def _wanted(self, wish: Assignment) -> bool:
        return self.world.assignment(wish.unit, self.machine) == wish

    def _state(self, name: str) -> UnitState | None:
        """The state to publish, or None: not assigned, or not begun and on its way."""
        wish = self.world.assignment(name, self.machine)
        before = self.publisher.published.get(name)
        settled = name not in self._busy and name not in self._dirty
        if wish is None or (before is None and not settled):
            return None
        unit, marker = self._systemd.units.get(name), self._markers.get(name)
        state = state_of(
            wish,
            unit,
            owner(name, unit, marker),
            marker,
            self._progress.get(name, Progress()),
            before,
            settled=settled,
            ready=bool(self._companions.keeper(name)),
        )
        if state.active == "failed" and wish.requirements.fetch and not state.error:
            state = msgspec.structs.replace(state, error=self._sandboxes.why_failed(name))
        return self._prober.told(state)

    def _recall(self) -> None:
        """Once: take up what this machine published before the agent was restarted."""
        if self._recalled:
            return
        self._recalled = True
        self._sandboxes.set_aside(self._everything())
        self._group.create_task(self._sandboxes.clear())
        for name, wish in self.world.assignments(self.machine).items():
            state = self.world.state(name, self.machine)
            if state is None:
                continue
            self._progress[name] = backoff.recall(state)
            self.publisher.recall(state)
            fenced = wish.requirements.klass is Class.EXCLUSIVE and not self._guarded()
            if fenced and state.active in ALIVE and name not in self._systemd.units:
                self._markers.cut_off(name)

    def _guard_changed(self) -> None:
        """When the guard died, the units that it took along are to be started again: they may have
        been dead before its own end was seen, but not before it ceased to be active."""
        held = self._systemd.units.get(guard.NAME)
        if held is None or held.alive:
            return
        for name, wish in self.world.assignments(self.machine).items():
            unit = self._systemd.units.get(name)
            if unit is None or wish.requirements.klass is not Class.EXCLUSIVE:
                continue
            if unit.alive or unit.since >= held.left:
                self._cut.add(name)
                self.touch((name,))

    def _guarded(self) -> bool:
        return self.fence is not None and self.fence.standing


def _fence(systemd: Systemd, clock: Clock, settings: AgentSettings) -> Fence | None:
    """The fence for exclusive units; None where the lease leaves no time for it."""
    try:
        return Fence(systemd, clock, settings.cluster, settings.machine_ttl)
    except BadConfig as error:
        log.warning("%s", error)
        return None
