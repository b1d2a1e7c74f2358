"""Two engines over a real etcd: what is written there, and who takes over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from fleetish.changes import CreateUnit
from fleetish.clock import SystemClock
from fleetish.engine.leader import EngineSettings
from fleetish.engine.loop import PlanStats, run_engine
from fleetish.resources import MIB, Resources
from fleetish.store.etcd.client import open_store
from fleetish.store.lease import presence
from fleetish.store.live import LiveStore, Reader
from fleetish.testing.build import machine, unit
from tests.contract.members import Members

pytestmark = pytest.mark.etcd

PREFIX = "/engine-test"
ROOMY = Resources(millicpus=400_000, memory=2**20 * MIB, disk=MIB)


@asynccontextmanager
async def engine(urls: list[str], name: str) -> AsyncIterator[PlanStats]:
    """An engine of its own connection, ended as SIGTERM ends it."""
    clock, stats = SystemClock(), PlanStats()
    kv = open_store(urls, clock=clock)
    settings = EngineSettings(PREFIX, ttl=2, machine_ttl=3, machine=name, host=name)
    store = LiveStore(kv, PREFIX, clock=clock)
    task = asyncio.create_task(run_engine(store, kv, clock, settings, stats))
    try:
        yield stats
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await kv.close()


async def until(reader: Reader, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await reader.changed(0.5)


async def story(urls: list[str], count: int) -> None:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        kv = open_store(urls, clock=clock)
        stack.push_async_callback(kv.close)
        store = LiveStore(kv, PREFIX, clock=clock)
        for name in "abc":
            present = machine(name, ROOMY, boot="x")
            await stack.enter_async_context(presence(kv, PREFIX, present, 3, clock))
        reader = await stack.enter_async_context(store.observe())
        second: PlanStats
        async with AsyncExitStack() as first_stack:
            first = await first_stack.enter_async_context(engine(urls, "first"))
            await until(reader, lambda: reader.world.leader is not None)
            second = await stack.enter_async_context(engine(urls, "second"))
            units = [unit(f"web@{n}.service", cpus=0.1) for n in range(count)]
            await store.commit([CreateUnit(one, "[Service]\n", "asked") for one in units],
                               reader.world)  # fmt: skip
            await until(reader, lambda: len(reader.world.placements) == count)
            await until(reader, lambda: first.changes == count)  # counted when it was answered
        # The first has resigned: the standby goes on at once.
        await store.commit((CreateUnit(unit("late.service"), "#", "asked"),), reader.world)
        await until(reader, lambda: "late.service" in reader.world.placements)
        await until(reader, lambda: second.changes == 1)
        leader = reader.world.leader
        assert leader is not None
        assert leader.machine == "second"
        assert second.refused == 0
        spread = Counter(one.machine for one in reader.world.placements.values())
        assert max(spread.values()) - min(spread.values()) <= 1
        assert {held.generation for there in reader.world.assigned.values()
                for held in there.values()} == {1}  # fmt: skip


def test_a_standby_takes_over_and_nothing_is_placed_twice(tmp_path: Path) -> None:
    members = Members(tmp_path, 1)
    members.start(0)

    async def main() -> None:
        try:
            await members.ready()
            await story(members.urls, 300)
        finally:
            await members.end()

    asyncio.run(main())
