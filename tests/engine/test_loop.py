"""The engine's loop over the store in memory, on virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from fleetish.changes import Assign, Change, CreateUnit, PublishState, SetTarget
from fleetish.engine.leader import EngineSettings, patience
from fleetish.engine.loop import PlanStats, run_engine
from fleetish.engine.policy import Policy
from fleetish.errors import LeadershipLost
from fleetish.model import Target, Unit, UnitState
from fleetish.store.base import Guard, Put, Txn
from fleetish.store.keys import Keys
from fleetish.store.lease import presence
from fleetish.store.live import LiveStore, Reader
from fleetish.store.memory import MemoryEtcd, MemoryKeyValues
from fleetish.testing.build import machine, unit
from fleetish.testing.virtual import VirtualClock, run_virtual
from fleetish.units.xfleet import Class
from fleetish.world import World

PREFIX = "/t"
TTL = 4
MACHINE_TTL = 10


@dataclass
class Lab:
    """A store, its engines and its machines."""

    etcd: MemoryEtcd
    clock: VirtualClock
    store: LiveStore
    reader: Reader
    engines: dict[str, tuple[asyncio.Task[None], MemoryKeyValues, PlanStats]] = field(
        default_factory=dict
    )
    machines: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.reader.world

    def engine(self, name: str) -> PlanStats:
        """One more engine that stands for election."""
        kv, stats = self.etcd.client(), PlanStats()
        store = LiveStore(kv, PREFIX, clock=self.clock)
        settings = EngineSettings(PREFIX, TTL, MACHINE_TTL, machine=name, host=name)
        task = asyncio.create_task(run_engine(store, kv, self.clock, settings, stats))
        self.engines[name] = task, kv, stats
        return stats

    async def stop(self, name: str) -> None:
        """End an engine as SIGTERM does."""
        task = self.engines.pop(name)[0]
        task.cancel()
        await asyncio.wait((task,))

    def join(self, name: str) -> None:
        """Register a machine, whose agent never answers anything."""
        self.machines[name] = asyncio.create_task(self._present(name))

    async def _present(self, name: str) -> None:
        kv = self.etcd.client()
        async with presence(kv, PREFIX, machine(name, boot="x"), MACHINE_TTL, self.clock):
            await asyncio.Event().wait()

    async def power_off(self, name: str) -> None:
        """The machine falls silent; its key stays for its time to live."""
        task = self.machines.pop(name)
        task.cancel()
        await asyncio.wait((task,))

    async def do(self, *changes: Change) -> None:
        revision = await self.store.commit(changes, self.world)
        await self.reader.reached(revision)

    async def start(self, *units: Unit) -> None:
        await self.do(*(CreateUnit(one, "[Service]\n", "asked") for one in units))

    async def until(self, holds: Callable[[], bool], seconds: float = 120.0) -> float:
        """Wait until something holds; how long that took."""
        begin = self.clock.monotonic()
        while not holds():
            assert self.clock.monotonic() < begin + seconds, "it never came true"
            await self.reader.changed(seconds)
        return self.clock.monotonic() - begin

    def homes(self) -> dict[str, str]:
        return {name: one.machine for name, one in sorted(self.world.placements.items())}


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    clock = VirtualClock()
    etcd = MemoryEtcd(clock)
    expiry = asyncio.create_task(etcd.run())
    store = LiveStore(etcd.client(), PREFIX, clock=clock)
    async with store.observe() as reader:
        built = Lab(etcd, clock, store, reader)
        yield built
        tasks = [expiry, *(row[0] for row in built.engines.values()), *built.machines.values()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def in_lab(story: Callable[[Lab], Awaitable[None]]) -> Callable[[], None]:
    """Run a story on virtual time."""

    async def main() -> None:
        async with lab() as built:
            await story(built)

    def test() -> None:
        run_virtual(main())

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


@in_lab
async def test_a_unit_is_placed_at_once_when_it_is_created(lab: Lab) -> None:
    lab.engine("e1")
    lab.join("a")
    await lab.until(lambda: lab.world.leader is not None and "a" in lab.world.machines)
    await lab.start(unit("web.service"))
    took = await lab.until(lambda: lab.homes() == {"web.service": "a"})
    assert took < 0.1


@in_lab
async def test_a_service_is_kept_ready_at_once_when_its_socket_is_started(lab: Lab) -> None:
    lab.engine("e1")
    lab.join("a")
    await lab.until(lambda: lab.world.leader is not None and "a" in lab.world.machines)
    await lab.start(unit("web.service", target=Target.INACTIVE))
    await lab.clock.sleep(1.0)
    await lab.start(unit("web.socket", triggers=("web.service",)))
    took = await lab.until(lambda: set(lab.homes()) == {"web.service", "web.socket"})
    assert (took < 0.1, lab.world.assigned["a"]["web.service"].target) == (True, Target.LOADED)
    await lab.do(SetTarget("web.socket", Target.INACTIVE, 1, "asked"))
    took = await lab.until(lambda: lab.world.placements["web.service"].leaving)
    assert took < 0.1


@in_lab
async def test_at_rest_nothing_is_planned_but_once_in_a_relist(lab: Lab) -> None:
    stats = lab.engine("e1")
    lab.join("a")
    await lab.start(unit("web.service"))
    await lab.until(lambda: lab.homes() == {"web.service": "a"})
    await lab.clock.sleep(5.0)
    rounds, revision = stats.rounds, lab.etcd.revision
    await lab.clock.sleep(300.0)
    assert stats.rounds - rounds <= 11
    assert lab.etcd.revision == revision


@in_lab
async def test_units_of_a_machine_that_falls_silent_move(lab: Lab) -> None:
    lab.engine("e1")
    lab.join("a")
    await lab.until(lambda: "a" in lab.world.machines)
    await lab.start(*(unit(f"web@{n}.service") for n in range(3)))
    await lab.until(lambda: len(lab.homes()) == 3)
    lab.join("b")
    await lab.clock.sleep(1.0)
    await lab.power_off("a")
    took = await lab.until(lambda: set(lab.homes().values()) == {"b"})
    assert took <= MACHINE_TTL + 1.5
    assert lab.world.assignments("a") == {}


@in_lab
async def test_a_standby_takes_over_at_once_when_the_leader_resigns(lab: Lab) -> None:
    lab.engine("e1")
    await lab.until(lambda: lab.world.leader is not None)
    lab.engine("e2")
    lab.join("a")
    await lab.clock.sleep(1.0)
    await lab.stop("e1")
    await lab.start(unit("web.service"))
    took = await lab.until(lambda: lab.homes() == {"web.service": "a"})
    assert took < 0.5
    assert lab.world.leader is not None
    assert lab.world.leader.machine == "e2"


@in_lab
async def test_a_leader_that_is_cut_off_is_replaced_and_writes_nothing_more(lab: Lab) -> None:
    first = lab.engine("e1")
    await lab.until(lambda: lab.world.leader is not None)
    lab.engine("e2")
    lab.join("a")
    await lab.clock.sleep(1.0)
    kv = lab.engines["e1"][1]
    kv.faults.cut = True
    lab.etcd.wake()
    await lab.start(unit("web.service"))
    took = await lab.until(lambda: lab.homes() == {"web.service": "a"})
    assert took <= TTL + 1.0
    kv.faults.cut = False
    lab.etcd.wake()
    await lab.clock.sleep(20.0)
    assert first.changes == 0
    assert lab.world.leader is not None
    assert lab.world.leader.machine == "e2"


@in_lab
async def test_a_write_after_leadership_is_lost_is_refused(lab: Lab) -> None:
    lab.join("a")
    await lab.until(lambda: "a" in lab.world.machines)
    await lab.start(unit("web.service"))
    stale = Guard(Keys(PREFIX).key(("leader",)), 1, "leadership")
    with pytest.raises(LeadershipLost):
        await lab.store.commit((Assign("web.service", "a", (), "late"),), lab.world, stale)
    assert lab.homes() == {}


@in_lab
async def test_where_nobody_led_before_machines_get_the_time_to_register(lab: Lab) -> None:
    lab.join("b")
    await lab.until(lambda: "b" in lab.world.machines)
    await lab.start(unit("web.service"))
    # Placed on a machine "a" that is not there yet: the whole cluster was off.
    lab.join("a")
    await lab.until(lambda: "a" in lab.world.machines)
    await lab.do(Assign("web.service", "a", (), "before"))
    await lab.power_off("a")
    await lab.until(lambda: "a" not in lab.world.machines)
    lab.engine("e1")
    await lab.until(lambda: lab.world.leader is not None)
    took = await lab.until(lambda: lab.homes() == {"web.service": "b"})
    assert MACHINE_TTL <= took <= MACHINE_TTL + 2


@in_lab
async def test_a_release_is_answered_before_the_unit_goes(lab: Lab) -> None:
    lab.engine("e1")
    lab.join("a")
    await lab.until(lambda: "a" in lab.world.machines)
    await lab.start(unit("web.service"))
    await lab.until(lambda: lab.homes() == {"web.service": "a"})
    await lab.do(SetTarget("web.service", Target.INACTIVE, 1, "asked"))
    await lab.until(lambda: lab.world.placements["web.service"].leaving)
    await lab.clock.sleep(60.0)
    assert lab.homes() == {"web.service": "a"}
    held = lab.world.assignments("a")["web.service"]
    said = UnitState(unit="web.service", machine="a", active="inactive", seen=held.generation)
    await lab.do(PublishState(said, "stopped"))
    await lab.until(lambda: lab.homes() == {})
    assert (lab.world.assigned, lab.world.states) == ({}, {})


@in_lab
async def test_an_unknown_outcome_is_read_again_and_nothing_is_done_twice(lab: Lab) -> None:
    stats = lab.engine("e1")
    lab.join("a")
    await lab.until(lambda: lab.world.leader is not None and "a" in lab.world.machines)
    await lab.clock.sleep(1.0)
    for fault in ("unheard", "unsent"):
        setattr(lab.engines["e1"][1].faults, fault, 1)
        await lab.start(unit(f"{fault}.service"))
        await lab.until(lambda name=fault: f"{name}.service" in lab.homes())  # type: ignore[misc]
        await lab.clock.sleep(3.0)
    assert stats.refused == 2
    assert {held.generation for held in lab.world.assignments("a").values()} == {1}


@in_lab
async def test_garbage_in_a_key_disturbs_nothing_else(lab: Lab) -> None:
    lab.engine("e1")
    lab.join("a")
    await lab.until(lambda: "a" in lab.world.machines)
    key = Keys(PREFIX).key(("units", "bad.service"))
    await lab.etcd.client().txn(Txn((), (Put(key, b"\x00garbage", 0),)))
    await lab.start(unit("web.service"))
    await lab.until(lambda: lab.homes() == {"web.service": "a"})
    assert ("units", "bad.service") in lab.world.quarantined


@in_lab
async def test_a_change_that_can_never_be_written_does_not_hold_up_the_others(lab: Lab) -> None:
    stats = lab.engine("e1")
    lab.join("a")
    await lab.until(lambda: lab.world.leader is not None and "a" in lab.world.machines)
    await lab.clock.sleep(1.0)
    # A key that the engine is never told of, where it wants to write.
    hidden = Keys(PREFIX).key(("placement", "stuck.service"))
    lab.engines["e1"][1].faults.hidden = lambda event: event.key == hidden
    await lab.etcd.client().txn(Txn((), (Put(hidden, b'{"v":1}', 0),)))
    await lab.start(unit("stuck.service"), unit("web.service"))
    await lab.until(lambda: "web.service" in lab.homes())
    assert stats.refused >= 3


@in_lab
async def test_every_change_is_logged_with_its_reason(lab: Lab) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("fleetish.engine.loop")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        lab.engine("e1")
        lab.join("a")
        await lab.until(lambda: "a" in lab.world.machines)
        await lab.start(unit("web.service"))
        await lab.until(lambda: lab.homes() == {"web.service": "a"})
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert "assign web.service to a: least reserved of 1 machine" in lines


def test_exclusive_units_wait_a_time_to_live_more_beside_an_etcd_that_ends_leases_early() -> None:
    settings = EngineSettings(machine_ttl=10, policy=Policy(exclusive_settle=1.0))
    waits = {
        version: patience(settings, version).exclusive_settle
        for version in ("3.4.23", "3.4.31", "3.5.12", "3.5.13", "3.6.0", "3.3.25", "memory")
    }
    assert waits == {
        "3.4.23": 11.0,
        "3.4.31": 1.0,
        "3.5.12": 11.0,
        "3.5.13": 1.0,
        "3.6.0": 1.0,
        "3.3.25": 11.0,
        "memory": 11.0,
    }


@in_lab
async def test_an_exclusive_unit_moves_only_a_time_to_live_after_its_machine_is_gone(
    lab: Lab,
) -> None:
    lab.engine("e1")
    lab.join("a")
    await lab.until(lambda: "a" in lab.world.machines)
    await lab.start(unit("one.service", klass=Class.EXCLUSIVE), unit("web.service"))
    await lab.until(lambda: len(lab.homes()) == 2)
    lab.join("b")
    await lab.clock.sleep(1.0)
    await lab.power_off("a")
    await lab.until(lambda: "a" not in lab.world.machines)
    shared = await lab.until(lambda: lab.homes()["web.service"] == "b")
    exclusive = shared + await lab.until(lambda: lab.homes()["one.service"] == "b")
    assert shared <= 1.5
    assert MACHINE_TTL + 1.0 <= exclusive <= MACHINE_TTL + 1.5
