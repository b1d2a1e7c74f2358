"""A cluster in one process on virtual time, with Marathon's drivers: production store, engine and
driver; machines as in :mod:`fleetish.sim.host`, whose units can be made sick."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from fleetish.changes import PutOverlay
from fleetish.engine.leader import EngineSettings
from fleetish.engine.loop import run_engine
from fleetish.errors import Conflict, OutcomeUnknown
from fleetish.model import Assignment, CheckState, Machine, Overlay, Target, UnitState
from fleetish.resources import MIB, Resources
from fleetish.sim.host import Host
from fleetish.sim.judge import JudgedEtcd
from fleetish.store.live import LiveStore, Reader
from fleetish.store.memory import MemoryKeyValues
from fleetish.testing.virtual import VirtualClock, run_virtual
from fleetish.units.xfleet import Class
from fleetish.world import World
from marathon_compat.apps.app import App, HealthCheck, UpgradeStrategy
from marathon_compat.apps.deploy import Proposal, Terms, propose
from marathon_compat.apps.driver import run_driver
from marathon_compat.apps.edits import Draft, set_apps
from marathon_compat.apps.ids import app_of_unit
from marathon_compat.apps.instances import Member, look
from marathon_compat.apps.records import Past
from marathon_compat.apps.tree import Tree

PREFIX = "/field"
T = TypeVar("T")

Ask = Callable[[Tree], Draft]


def app(name: str, cmd: str = "run", instances: int = 1, **fields: object) -> App:
    """An app definition as it comes from a decoder."""
    return App(id=name, cmd=cmd, instances=instances, **fields)  # type: ignore[arg-type]


def strategy(minimum: float, over: float) -> UpgradeStrategy:
    """An upgrade strategy."""
    return UpgradeStrategy(minimum_health_capacity=minimum, maximum_over_capacity=over)


PING = HealthCheck(path="/ping", port_index=0, max_consecutive_failures=2)


def plain_text(one: App, unit: str) -> str:
    """A unit file with what matters here."""
    checked = "HealthCheck=http port=80\n" * len(one.health_checks)
    ready = "Readiness=http port=80\n" if one.readiness_checks else ""
    return (
        f"[Service]\nExecStart=/bin/sleep {one.version or '-'}\n"
        f"[X-Fleet]\nClass=pinned\nCPUs={one.cpus:g}\n{checked}{ready}"
    )


class FieldHost(Host):
    """A machine whose units end, fail, get sick and get ready as the test says."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.ended: dict[tuple[str, int], str] = {}
        self.sick: set[str] = set()
        self.unready: set[str] = set()
        self.broken: Callable[[str], bool] = lambda text_hash: False

    def _start(self, unit: str, wish: Assignment) -> None:
        if self.broken(wish.hash):
            self.ended[unit, wish.launch] = "failed"
        elif (unit, wish.launch) not in self.ended:
            super()._start(unit, wish)

    def end(self, unit: str, how: str) -> None:
        """A unit ends by itself: ``failed`` or ``inactive``."""
        self.ended[unit, self.running[unit].launch] = how
        self._gone(unit)

    def _state(self, unit: str, wish: Assignment) -> UnitState:
        held, how = self.running.get(unit), self.ended.get((unit, wish.launch))
        if wish.target is Target.LAUNCHED and held is None and how:
            status = 1 if how == "failed" else 0
            result = "exit-code" if how == "failed" else "success"
            return UnitState(
                unit=unit, machine=self.id, hash=wish.hash, load="loaded", active=how,
                result=result, exit_code="exited", exit_status=status, launch=wish.launch,
                seen=wish.generation, since=self.clock.now(), invocation=f"run{wish.launch}",
            )  # fmt: skip
        state = super()._state(unit, wish)
        if held is None:
            return state
        sick = unit in self.sick
        rows = tuple(
            CheckState(alive=not sick, failures=9 * sick) for _ in wish.requirements.health
        )
        ready = unit not in self.unready
        return msgspec.structs.replace(state, health=rows, ready=ready)


@dataclass
class Watch:
    """How many instances of an app really ran, at least and at most, since it was begun."""

    low: int
    high: int


@dataclass
class Process:
    """A driver's process, which may die and come back."""

    cluster: Field
    text: Callable[[App, str], str]
    kv: MemoryKeyValues = field(init=False)
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.kv = self.cluster.etcd.client()

    def start(self) -> None:
        """Begin to drive."""
        store = LiveStore(self.kv, PREFIX, clock=self.cluster.clock)
        run = run_driver(
            store, self.cluster.clock, lambda world: True, self.text, self.cluster.name
        )
        self.task = asyncio.create_task(run, name="driver")

    async def kill(self) -> None:
        """Die in the middle of whatever it does."""
        if self.task:
            self.task.cancel()
            await asyncio.wait((self.task,))
            self.task = None


class HeardEtcd(JudgedEtcd):
    """A judge who tells of each start and each end."""

    heard: Callable[[str], None] = staticmethod(lambda unit: None)

    def starts(self, unit: str, machine: str, klass: Class) -> None:
        super().starts(unit, machine, klass)
        self.heard(unit)

    def ends(self, unit: str, machine: str) -> None:
        super().ends(unit, machine)
        self.heard(unit)


class Field:
    """The cluster; made by :func:`on_field`."""

    def __init__(self, hosts: int) -> None:
        self.clock = VirtualClock()
        self.chance = random.Random(1)
        self.etcd = HeardEtcd(self.clock, PREFIX)
        self.hosts = [self._host(number) for number in range(hosts)]
        self.store = LiveStore(self.etcd.client(), PREFIX, clock=self.clock)
        self.driver = Process(self, plain_text)
        self.tree = Tree()
        self.watches: dict[str, Watch] = {}
        self.etcd.heard = self._heard
        self.reader: Reader
        self._names = 0

    def _host(self, number: int) -> FieldHost:
        machine = Machine(
            id=f"machine{number}",
            host=f"node{number}",
            metadata={"rack": "ab"[number % 2]},
            capacity=Resources(millicpus=1_000_000, memory=1024 * MIB, disk=MIB),
        )
        chance = random.Random(number)
        return FieldHost(machine, self.etcd, self.clock, 6, PREFIX, chance)

    def name(self) -> str:
        """A UUID, one after the other."""
        self._names += 1
        return f"00000000-0000-4000-8000-{self._names:012x}"

    @property
    def world(self) -> World:
        return self.reader.world

    def look(self) -> Tree:
        """The tree as it is now."""
        self.tree.sync(self.world)
        return self.tree

    async def ask(self, ask: Ask, **terms: object) -> Proposal:
        """Ask for a change, as the API does: again when somebody was faster."""
        ours = Terms(self.name(), self.clock.now(), **terms)  # type: ignore[arg-type]
        while True:
            proposal = propose(self.look(), ask(self.tree), ours)
            try:
                revision = await self.store.commit(proposal.changes, self.world)
            except (Conflict, OutcomeUnknown):
                await self.reader.reached(self.world.revision + 1)
                continue
            await self.reader.reached(revision)
            return proposal

    async def put(self, *apps: App, **terms: object) -> Proposal:
        """Ask for apps."""
        return await self.ask(lambda tree: set_apps(tree, apps), **terms)

    async def ended(self, deployment: str, within: float = 120.0) -> Past:
        """Wait for the end of a deployment."""
        await self.until(lambda: deployment in self.look().history, within)
        return self.tree.history[deployment]

    async def until(self, holds: Callable[[], bool], within: float = 120.0) -> None:
        """Wait until something holds, looking at each change."""
        end = self.clock.monotonic() + within
        while not holds():
            left = end - self.clock.monotonic()
            assert left > 0, f"it never held: {self.members_text()}"
            await self.reader.changed(min(left, 1.0))

    async def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.sleep(seconds)

    def members(self, name: str) -> list[Member]:
        """An app's instances as they are."""
        tree = self.look()
        return [look(self.world, tree.instances[unit]) for unit in tree.units(name)]

    def members_text(self) -> str:
        """All instances, for a failed assertion."""
        tree = self.look()
        rows = [look(self.world, one) for one in tree.instances.values()]
        return "; ".join(
            f"{one.name} v{one.instance.version} {one.condition} {one.message}" for one in rows
        )

    def running(self, name: str) -> list[str]:
        """The units of an app that really run, by the machines' own word."""
        found = (unit for host in self.hosts for unit in host.running)
        return sorted(unit for unit in found if app_of_unit(unit) == name)

    def watch(self, name: str) -> Watch:
        """Count an app's running instances from now on, at each start and each end."""
        now = len(self.running(name))
        self.watches[name] = Watch(now, now)
        return self.watches[name]

    def _heard(self, unit: str) -> None:
        name = app_of_unit(unit) or ""
        watch = self.watches.get(name)
        if watch is not None:
            now = sum(app_of_unit(u) == name for u, on in self.etcd.alive.items() if on)
            watch.low, watch.high = min(watch.low, now), max(watch.high, now)

    def host_of(self, unit: str) -> FieldHost:
        """The machine on which a unit runs."""
        return next(host for host in self.hosts if unit in host.running)

    async def drain(self, number: int) -> None:
        """Ask for a machine to be emptied."""
        overlay = Overlay(machine=f"machine{number}", draining=True, cordoned=True)
        await self.store.commit((PutOverlay(overlay, "asked"),), self.world)


@asynccontextmanager
async def _running(hosts: int) -> AsyncIterator[Field]:
    made = Field(hosts)
    engine_kv = made.etcd.client()
    store = LiveStore(engine_kv, PREFIX, clock=made.clock)
    settings = EngineSettings(PREFIX, 3, 6, machine="machine0", host="node0")
    tasks = [
        asyncio.create_task(run_engine(store, engine_kv, made.clock, settings)),
        asyncio.create_task(made.etcd.run()),
    ]
    for host in made.hosts:
        host.boot()
    made.driver.start()
    try:
        async with made.store.observe() as reader:
            made.reader = reader
            yield made
    finally:
        await made.driver.kill()
        for host in made.hosts:
            await host.power_cut()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def on_field(story: Callable[[Field], Awaitable[T]], hosts: int = 3) -> T:
    """Play a story on a fresh cluster, on virtual time."""

    async def play() -> T:
        async with _running(hosts) as made:
            return await story(made)

    return run_virtual(play())


def versions_of(members: Iterable[Member]) -> set[str]:
    """The versions that instances run."""
    return {one.instance.version for one in members}
