"""Work beside the leader, and leaders that are deposed."""

from __future__ import annotations

import asyncio

from fleetish.clock import SystemClock
from fleetish.errors import LeadershipLost
from fleetish.model import Leader
from fleetish.store.leading import beside_leader, depose
from fleetish.store.lease import campaign
from fleetish.store.memory import MemoryEtcd

PREFIX = "/fleetish/v1"


class Work:
    """Says when it begins and when it is cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        self.ended.clear()
        try:
            await asyncio.Event().wait()
        finally:
            self.begun.clear()
            self.ended.set()


def test_work_is_done_beside_the_leader_and_nowhere_else() -> None:
    async def story() -> None:
        clock = SystemClock()
        etcd = MemoryEtcd(clock)
        a, b = Work(), Work()
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(beside_leader(etcd.client(), PREFIX, name, clock, work))
                for name, work in (("a", a), ("b", b))
            ]
            async with campaign(etcd.client(), PREFIX, Leader(machine="a"), 5, clock):
                await a.begun.wait()
                assert not b.begun.is_set()
            await a.ended.wait()
            async with campaign(etcd.client(), PREFIX, Leader(machine="b"), 5, clock):
                await b.begun.wait()
                assert not a.begun.is_set()
            for task in tasks:
                task.cancel()

    asyncio.run(story())


def test_a_deposed_leader_loses_its_leadership_at_once() -> None:
    async def story() -> bool:
        clock = SystemClock()
        kv = MemoryEtcd(clock).client()
        assert not await depose(kv, PREFIX)
        try:
            async with campaign(kv, PREFIX, Leader(machine="a"), 4, clock):
                assert await depose(kv, PREFIX)
                await asyncio.Event().wait()
        except LeadershipLost:
            return True
        return False

    assert asyncio.run(story())
