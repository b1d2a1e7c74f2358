"""A machine under test: the whole agent over the stores in memory and a systemd in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fleetish.agent.run import run_agent
from fleetish.agent.settings import AgentSettings
from fleetish.clock import SystemClock
from fleetish.model import Assignment, Content, Record, Target, UnitState
from fleetish.store.base import Delete, Put, Txn
from fleetish.store.codec import Quarantined, decode, encode
from fleetish.store.live import LiveStore
from fleetish.store.memory import MemoryEtcd
from fleetish.testing.systemd import FakeSystemd
from fleetish.units.xfleet import Requirements
from fleetish.world import Ident, ident

MACHINE = "0123456789abcdef0123456789abcdef"
PREFIX = "/t"

SLEEP = "[Service]\nExecStart=/bin/sleep 1000\n"
FALSE = "[Service]\nExecStart=/bin/false\n"
ONCE = "[Service]\nType=oneshot\nExecStart=/bin/true\n"


class Rig:
    """What a test looks at and turns."""

    def __init__(self, directory: Path) -> None:
        self.clock = SystemClock()
        self.etcd = MemoryEtcd(self.clock)
        self.kv = self.etcd.client()
        self.agents = self.etcd.client()
        self.store = LiveStore(self.agents, PREFIX, clock=self.clock)
        self.systemd = FakeSystemd(self.clock.now)
        self.settings = AgentSettings(
            cluster="t", prefix=PREFIX, machine_id=MACHINE, run_directory=directory
        )

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        """The agent runs inside the block; at its end it is cancelled, as by SIGTERM."""
        task = asyncio.create_task(
            run_agent(self.store, self.agents, self.systemd, self.clock, self.settings)
        )
        try:
            yield
        finally:
            assert not task.done(), task
            task.cancel()
            await asyncio.wait((task,))

    async def put(self, *records: Record) -> None:
        """Write records as the engine and the API would."""
        key = self.store.keys.key
        writes = tuple(Put(key(ident_of(record)), encode(record)) for record in records)
        await self.kv.txn(Txn((), writes))

    async def raw(self, where: Ident, value: bytes) -> None:
        await self.kv.txn(Txn((), (Put(self.store.keys.key(where), value),)))

    async def drop(self, *places: Ident) -> None:
        keys = tuple(Delete(self.store.keys.key(where)) for where in places)
        await self.kv.txn(Txn((), keys))

    async def assign(
        self,
        name: str,
        text: str = SLEEP,
        *,
        target: Target = Target.LAUNCHED,
        launch: int = 1,
        generation: int = 1,
        ports: tuple[int, ...] = (),
        requirements: Requirements = Requirements(),  # noqa: B008 - frozen
    ) -> Assignment:
        digest = f"{hash(text) & 0xFFFFFFFF:040x}"
        wish = Assignment(
            unit=name,
            machine=MACHINE,
            hash=digest,
            target=target,
            launch=launch,
            generation=generation,
            ports=ports,
            requirements=requirements,
        )
        await self.put(Content(hash=digest, text=text), wish)
        return wish

    async def state(self, name: str, holds: Callable[[UnitState], bool]) -> UnitState:
        """Wait for a published state of a unit for which something holds."""
        key = self.store.keys.key(("states", MACHINE, name))
        listed = await self.kv.list(key)
        held = [read(("states", MACHINE, name), item.value) for item in listed.items]
        if held and holds(held[0]):
            return held[0]
        async for batch in self.kv.watch(key, listed.revision + 1):
            for event in batch.events:
                if event.key == key and event.value is not None:
                    found = read(("states", MACHINE, name), event.value)
                    if holds(found):
                        return found
        raise AssertionError("the watch ended")

    async def active(self, name: str, active: str = "active") -> UnitState:
        return await self.state(name, lambda state: state.active == active)


def ident_of(record: Record) -> Ident:
    return ("content", record.hash) if isinstance(record, Content) else ident(record)


def read(where: Ident, value: bytes) -> UnitState:
    found = decode(where, value)
    assert not isinstance(found, Quarantined)
    assert isinstance(found.record, UnitState)
    return found.record


def tell(directory: Path, story: Callable[[Rig], Awaitable[None]]) -> None:
    """Run a story; 20 s at most."""

    async def run() -> None:
        async with asyncio.timeout(20):
            await story(Rig(directory))

    asyncio.run(run())
