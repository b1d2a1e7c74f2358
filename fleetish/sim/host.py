"""A machine in the simulation: a PID 1 that survives its agent, and an agent that follows the
protocol of the records.

The agent here is small and has systemd's part in it; the real one is tested beside it by its own
suite. What they share is what the engine relies on: presence under a lease, states guarded by the
registration, releases answered by generation, exclusive units fenced by the last good renewal.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from fleetish.changes import PublishState
from fleetish.clock import Clock
from fleetish.errors import Conflict, LeaseLost, Unavailable
from fleetish.model import Assignment, Machine, Target, UnitState
from fleetish.sim.judge import JudgedEtcd
from fleetish.store.base import Observed
from fleetish.store.lease import Presence, presence
from fleetish.store.live import LiveStore, within
from fleetish.store.memory import MemoryKeyValues
from fleetish.units.xfleet import Class

#: Seconds that stopping an exclusive unit may take, and that clocks may differ.
STOP, DRIFT = 1.0, 0.5


@dataclass(slots=True)
class Running:
    """A unit that PID 1 runs."""

    hash: str
    launch: int
    klass: Class


@dataclass
class Host:
    """One machine; ``ttl`` of its lease in seconds."""

    machine: Machine
    etcd: JudgedEtcd
    clock: Clock
    ttl: int
    prefix: str
    chance: random.Random
    running: dict[str, Running] = field(default_factory=dict)
    up: bool = False
    boots: int = 0
    fenced: float = 0.0
    failing: set[str] = field(default_factory=set)
    kv: MemoryKeyValues = field(init=False)
    _agent: asyncio.Task[None] | None = None
    _pid1: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.kv = self.etcd.client()

    @property
    def id(self) -> str:
        return self.machine.id

    def boot(self) -> None:
        """Power on; the agent starts with the machine."""
        self.up = True
        self.boots += 1
        self.fenced = 0.0
        self._pid1 = asyncio.create_task(self._fence(), name=f"pid 1 of {self.id}")
        self.start_agent()

    async def power_cut(self) -> None:
        """Everything on the machine is gone at once."""
        self.up = False
        for unit in [*self.running]:
            self._gone(unit)
        await self.kill_agent()
        if self._pid1:
            self._pid1.cancel()
            await asyncio.wait((self._pid1,))

    def start_agent(self) -> None:
        """The daemon starts (again)."""
        if self._agent is None and self.up:
            self._agent = asyncio.create_task(self._run(), name=f"agent of {self.id}")

    async def kill_agent(self) -> None:
        """The daemon dies; PID 1 and the units do not notice."""
        if self._agent:
            self._agent.cancel()
            await asyncio.wait((self._agent,))
            self._agent = None

    def failure(self) -> BaseException | None:
        """What ended the agent, if something did."""
        done = self._agent is not None and self._agent.done() and not self._agent.cancelled()
        return self._agent.exception() if done and self._agent else None

    async def _fence(self) -> None:
        """PID 1's watchdog on the guard unit: no renewal in time ends the exclusive units."""
        while True:
            left = self.fenced - self.clock.monotonic()
            if left <= 0:
                for unit in [u for u, one in self.running.items() if one.klass is Class.EXCLUSIVE]:
                    self._gone(unit)
            await self.clock.sleep(left if left > 0 else 0.1)

    def _renewed(self, sent: float, answered: float) -> None:
        """Ping the guard, if the answer came in time."""
        if answered - sent <= 1.0:
            self.fenced = max(self.fenced, sent + self.ttl - STOP - DRIFT - 1.0)

    def _gone(self, unit: str) -> None:
        if self.running.pop(unit, None):
            self.etcd.ends(unit, self.id)

    async def _run(self) -> None:
        """Register, follow, register again: for ever."""
        store = LiveStore(self.kv, self.prefix, clock=self.clock)
        machine = msgspec.structs.replace(self.machine, boot=f"{self.id}-{self.boots}")
        while True:
            with suppress(Conflict, LeaseLost, Unavailable):
                async with (
                    presence(
                        self.kv, self.prefix, machine, self.ttl, self.clock, renewed=self._renewed
                    ) as present,
                    store.observe(self.id) as observed,
                ):
                    await observed.reached(present.revision)
                    await self._follow(store, observed, present)
            await self.clock.sleep(0.2)

    async def _follow(self, store: LiveStore, observed: Observed, present: Presence) -> None:
        """Make the assignments true and say so, until the registration is lost."""
        published: dict[str, UnitState] = {}
        while not present.lost.is_set():
            for unit in [u for u in self.running if u not in observed.world.assignments(self.id)]:
                await self._stop(unit)
            for unit, wish in sorted(observed.world.assignments(self.id).items()):
                await self._follow_one(unit, wish)
            if not present.lost.is_set():
                await self._publish(store, observed, present, published)
            await within(self.clock, 3.0, _either(observed, present))

    async def _follow_one(self, unit: str, wish: Assignment) -> None:
        held = self.running.get(unit)
        if wish.target is not Target.LAUNCHED:
            await self._stop(unit)
        elif held is None or (held.hash, held.launch) != (wish.hash, wish.launch):
            await self._stop(unit)
            await self.clock.sleep(self.chance.uniform(0.0, 0.2))
            self._start(unit, wish)

    def _start(self, unit: str, wish: Assignment) -> None:
        klass = wish.requirements.klass
        fenced = klass is Class.EXCLUSIVE and self.clock.monotonic() >= self.fenced
        if self.up and not fenced and unit not in self.failing:
            self.etcd.starts(unit, self.id, klass)
            self.running[unit] = Running(wish.hash, wish.launch, klass)

    async def _stop(self, unit: str) -> None:
        if unit in self.running:
            await self.clock.sleep(self.chance.uniform(0.0, STOP))
            self._gone(unit)

    async def _publish(
        self,
        store: LiveStore,
        observed: Observed,
        present: Presence,
        published: dict[str, UnitState],
    ) -> None:
        for unit, wish in sorted(observed.world.assignments(self.id).items()):
            state = self._state(unit, wish)
            if published.get(unit) == state:
                continue
            try:
                await store.commit((PublishState(state, "changed"),), observed.world, present.guard)
            except Conflict:
                continue
            published[unit] = state

    def _state(self, unit: str, wish: Assignment) -> UnitState:
        """What PID 1 says. A wish that is not fulfilled yet is not answered."""
        held = self.running.get(unit)
        stopped = wish.target is not Target.LAUNCHED and held is None
        started = held is not None and (held.hash, held.launch) == (wish.hash, wish.launch)
        failed = unit in self.failing and held is None and wish.target is Target.LAUNCHED
        return UnitState(
            unit=unit,
            machine=self.id,
            hash=held.hash if held else wish.hash,
            load="loaded",
            active="active" if held else "failed" if failed else "inactive",
            failures=wish.requirements.reschedule_after if failed else 0,
            launch=held.launch if held else 0,
            seen=wish.generation if stopped or started or failed else 0,
        )


async def _either(observed: Observed, present: Presence) -> None:
    """Wait for news of the store, or for the end of the registration."""
    tasks = [
        asyncio.ensure_future(observed.changed(30.0)),
        asyncio.ensure_future(present.lost.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
