"""A whole cluster in one process, on a seed: production store, planner and engine; machines as in
:mod:`fleetish.sim.host`; virtual time; faults by chance.

    faults and wishes for a while ─▶ faults off ─▶ wait ─▶ what is wanted is what runs

The same seed takes the same course. ``python -m fleetish.sim SEED`` shows one.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fleetish.changes import Change, CreateUnit, DestroyUnit, PutOverlay, ReplaceUnit, SetTarget
from fleetish.engine.explain import explain
from fleetish.engine.leader import EngineSettings
from fleetish.engine.loop import PlanStats, run_engine
from fleetish.errors import FleetishError
from fleetish.model import Machine, Overlay, Target, Unit
from fleetish.resources import MIB, Resources
from fleetish.sim.agents import AgentHost
from fleetish.sim.host import Host
from fleetish.sim.judge import Broken, JudgedEtcd
from fleetish.store.live import LiveStore, Reader
from fleetish.store.memory import MemoryKeyValues
from fleetish.testing.virtual import VirtualClock, run_virtual
from fleetish.units.xfleet import Class, Requirements

PREFIX = "/sim"
ENGINE_TTL, MACHINE_TTL = 3, 6
NAMES = (*(f"web@{n}.service" for n in range(4)), "db.service", "one.service", "log.service")


@dataclass(frozen=True)
class Outcome:
    """What came of a seed. ``trace``: every write, start and end, with its virtual second."""

    seed: int
    writes: int
    terms: int
    trace: tuple[str, ...]
    problem: str = ""


@dataclass
class Engine:
    """An engine's process, which may die and come back."""

    name: str
    etcd: JudgedEtcd
    clock: VirtualClock
    stats: PlanStats = field(default_factory=PlanStats)
    kv: MemoryKeyValues = field(init=False)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.kv = self.etcd.client()

    def start(self) -> None:
        if self.task is None:
            store = LiveStore(self.kv, PREFIX, clock=self.clock)
            settings = EngineSettings(
                PREFIX, ENGINE_TTL, MACHINE_TTL, machine=self.name, host=self.name
            )
            run = run_engine(store, self.kv, self.clock, settings, self.stats)
            self.task = asyncio.create_task(run, name=self.name)

    async def kill(self) -> None:
        """Die without a word: the lease is left to end by itself."""
        if self.task:
            cut, self.kv.faults.cut = self.kv.faults.cut, True
            self.task.cancel()
            await asyncio.wait((self.task,))
            self.task, self.kv.faults.cut = None, cut


class Simulation:
    """One seed's cluster."""

    def __init__(self, seed: int, directory: Path | None = None) -> None:
        self.seed = seed
        self.directory = directory
        self.chance = random.Random(seed)
        self.clock = VirtualClock()
        self.etcd = JudgedEtcd(self.clock, PREFIX)
        self.engines = [Engine(f"engine{n}", self.etcd, self.clock) for n in range(2)]
        self.hosts = [self._host(n) for n in range(self.chance.randint(2, 4))]
        self.store = LiveStore(self.etcd.client(), PREFIX, clock=self.clock)
        self.texts = 0

    def _host(self, number: int) -> Host:
        machine = Machine(
            id=f"machine{number}",
            host=f"node{number}",
            metadata={"zone": "xy"[number % 2]},
            capacity=Resources(millicpus=2000, memory=1024 * MIB, disk=MIB),
            ports=(31000, 31003),
        )
        chance = random.Random(self.seed * 100 + number)
        if self.directory is None:
            return Host(machine, self.etcd, self.clock, MACHINE_TTL, PREFIX, chance)
        host = AgentHost(machine, self.etcd, self.clock, MACHINE_TTL, PREFIX, chance)
        host.directory = self.directory / machine.id
        return host

    async def run(self, rounds: int) -> None:
        """Wishes and faults, then peace, then the reckoning. Raises Broken."""
        expiry = asyncio.create_task(self._expire())
        for host in self.hosts:
            host.boot()
        for engine in self.engines:
            engine.start()
        try:
            async with self.store.observe() as reader:
                for _ in range(rounds):
                    await self.clock.sleep(self.chance.expovariate(1.0))
                    await self._wish(reader)
                    await self._fault()
                    self._check()
                await self._heal()
                await self._reckon(reader)
        finally:
            for host in self.hosts:
                await host.power_cut()
            for engine in self.engines:
                await engine.kill()
            expiry.cancel()

    async def _expire(self) -> None:
        while True:
            self.etcd.expire()
            self.etcd.look()
            await self.clock.sleep(0.1)

    def _check(self) -> None:
        """A task that died of a broken invariant, or of a fault of ours, ends the run."""
        for host in self.hosts:
            if (error := host.failure()) is not None:
                raise error
        for engine in self.engines:
            if engine.task is not None and engine.task.done():
                engine.task.result()

    async def _wish(self, reader: Reader) -> None:
        """A person asks for something; what is refused is refused."""
        if self.chance.random() < 0.6:
            change = self._some_wish(reader)
            if change is not None:
                with suppress(FleetishError):
                    await self.store.commit((change,), reader.world)

    def _some_wish(self, reader: Reader) -> Change | None:
        world, name = reader.world, self.chance.choice(NAMES)
        known = world.units.get(name)
        if self.chance.random() < 0.15:
            host = self.chance.choice(self.hosts)
            drains, cordons = self.chance.random() < 0.3, self.chance.random() < 0.3
            overlay = Overlay(machine=host.id, draining=drains, cordoned=cordons)
            return PutOverlay(overlay, "asked")
        if known is None:
            return CreateUnit(self._unit(name, 1), self._text(), "asked")
        kind = self.chance.choice(("stop", "start", "start", "restart", "replace", "destroy"))
        if kind == "destroy":
            return DestroyUnit(name, "asked")
        if kind == "replace":
            return ReplaceUnit(self._unit(name, known.launch + 1), self._text(), "asked")
        target = Target.INACTIVE if kind == "stop" else Target.LAUNCHED
        return SetTarget(name, target, known.launch + 1, "asked")

    def _text(self) -> str:
        return f"[Service]\nExecStart=/bin/sleep {self.texts}\n"

    def _unit(self, name: str, launch: int) -> Unit:
        self.texts += 1
        chance = self.chance
        asked = Requirements(
            resources=Resources(millicpus=chance.choice((0, 500, 1000))),
            ports=chance.choice(((), (0,), (80,))),
            klass=Class.EXCLUSIVE if name == "one.service" and not self.directory else Class.SHARED,
            global_=name == "log.service",
            metadata=(("zone", ("x",)),) if chance.random() < 0.2 else (),
            conflicts=("db.service",) if name == "web@0.service" else (),
            machine_of=("db.service",) if name == "web@3.service" else (),
            priority=chance.choice((0, 5)),
            reschedule=chance.random() < 0.5,
        )
        return Unit(
            name=name,
            hash=f"hash{self.texts}",
            target=Target.LAUNCHED,
            launch=launch,
            requirements=asked,
        )

    async def _fault(self) -> None:
        """Something breaks, or is repaired."""
        if self.chance.random() < 0.5:
            return
        host, engine = self.chance.choice(self.hosts), self.chance.choice(self.engines)
        what = self.chance.choice(
            ("power", "agent", "cut host", "engine", "cut engine", "unheard", "unsent", "held",
             "failing")
        )  # fmt: skip
        self.etcd.tell(f"-- {what} {host.id} {engine.name}")
        if what == "power":
            await host.power_cut() if host.up else host.boot()
        elif what == "agent":
            await host.kill_agent()
            host.start_agent()
        elif what == "engine":
            await engine.kill() if engine.task else engine.start()
        elif what == "failing":
            host.failing ^= {self.chance.choice(NAMES)}
        elif what in ("unheard", "unsent"):
            setattr(self.chance.choice((host.kv, engine.kv)).faults, what, 1)
        else:
            self._cut(what, host, engine)

    def _cut(self, what: str, host: Host, engine: Engine) -> None:
        """A network fault begins or ends."""
        if what == "held":
            faults = self.chance.choice((host.kv, engine.kv)).faults
            faults.held = self.etcd.revision if faults.held is None else None
        else:
            faults = (host.kv if what == "cut host" else engine.kv).faults
            faults.cut = not faults.cut
        self.etcd.wake()

    async def _heal(self) -> None:
        """All faults off, every machine and engine on, no operator in the way."""
        self.etcd.tell("-- peace")
        for host in self.hosts:
            host.failing.clear()
            host.kv.faults.cut, host.kv.faults.held = False, None
            host.start_agent() if host.up else host.boot()
        for engine in self.engines:
            engine.kv.faults.cut, engine.kv.faults.held = False, None
            engine.start()
        self.etcd.wake()

    async def _reckon(self, reader: Reader) -> None:
        """What is wanted must be what runs, in a time that covers a lost leader and machine."""
        for _ in range(12):
            await self.clock.sleep(10.0)
            self._check()
            wrong = self._wrong()
            if not wrong:
                return
        raise Broken("it never came true: " + "; ".join(wrong))

    def _wrong(self) -> list[str]:
        """What is not as it should be."""
        world = self.etcd.world
        found = []
        for name in sorted({*world.units, *self.etcd.alive, *world.placements}):
            alive = sorted(self.etcd.alive.get(name, ()))
            wanted = self._wanted(name)
            if alive != wanted:
                found.append(f"{name} runs on {alive}, and should on {wanted}")
        return found

    def _wanted(self, name: str) -> list[str]:
        """Where a unit should run: where it is assigned, if anywhere takes it."""
        world = self.etcd.world
        known = world.units.get(name)
        if known is None or known.target is Target.INACTIVE:
            return []
        on = sorted(m for m, held in world.assigned.items() if name in held)
        told = explain(world, name)
        if known.requirements.global_:
            return sorted(row.machine for row in told.machines if row.fits)
        if not on and any(row.fits for row in told.machines):
            return ["some machine"]
        return on


def simulate(seed: int, rounds: int = 40, directory: Path | None = None) -> Outcome:
    """Run one seed on virtual time; a broken invariant is the outcome's problem.

    With a ``directory`` for what they keep below /run, machines run the real agent.
    """

    async def main() -> Outcome:
        simulation = Simulation(seed, directory)
        problem = ""
        try:
            await simulation.run(rounds)
        except BaseExceptionGroup as group:
            problem = f"{group!r}"
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        etcd = simulation.etcd
        terms = sum(engine.stats.terms for engine in simulation.engines)
        return Outcome(seed, etcd.writes, terms, tuple(etcd.trace), problem)

    return run_virtual(main())
