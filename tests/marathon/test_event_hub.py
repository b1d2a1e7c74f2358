"""Readers of events: the slow, the silent, those that come back, and the store between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetish.clock import SystemClock
from fleetish.errors import StoreUnavailable
from fleetish.model import Record
from fleetish.store.base import Delete, KeyValues, Put, Txn
from fleetish.store.codec import encode
from fleetish.store.etcd import open_store
from fleetish.store.keys import Keys
from fleetish.store.memory import MemoryEtcd
from fleetish.testing.build import machine
from fleetish.world import ident
from marathon_compat.apps import records
from marathon_compat.apps.event_hub import HEARTBEAT, LAG, EventHub, Opened, Reader, Wanted
from marathon_compat.apps.event_log import Told
from marathon_compat.apps.event_stream import EventStream
from tests.contract.members import Members
from tests.marathon.event_story import (
    UNIT,
    app,
    deployment,
    document,
    instance,
    over,
    running,
    state,
    stored,
    waiting,
)

PREFIX = "/fleetish/v1"
KEYS = Keys(PREFIX)
ALL = Wanted()


class Node:
    """One node's events over a store, and writes to that."""

    def __init__(self, kv: KeyValues, hub: EventHub) -> None:
        self.kv = kv
        self.hub = hub

    async def put(self, *known: Record | tuple[Record, ...]) -> int:
        """Write records in one transaction; its revision."""
        flat = [one for item in known for one in (item if isinstance(item, tuple) else (item,))]
        puts = tuple(Put(KEYS.key(ident(one)), encode(one)) for one in flat)
        return (await self.kv.txn(Txn((), puts))).revision

    async def drop(self, *places: tuple[str, ...]) -> int:
        """Delete records in one transaction; its revision."""
        gone = tuple(Delete(KEYS.key(where)) for where in places)
        return (await self.kv.txn(Txn((), gone))).revision


@asynccontextmanager
async def node(kv: KeyValues, beat: float = 10.0) -> AsyncIterator[Node]:
    hub = EventHub(kv, PREFIX, SystemClock(), beat=beat)
    beside = asyncio.create_task(hub.run())
    await asyncio.sleep(0)
    try:
        yield Node(kv, hub)
    finally:
        beside.cancel()
        await asyncio.wait((beside,))


def on(etcd: MemoryEtcd, work: Callable[[Node], Coroutine[Any, Any, None]], **how: Any) -> None:
    """Run a test on a node of a store in memory, within bounds."""

    async def bounded() -> None:
        async with asyncio.timeout(20), node(etcd.client(), **how) as one:
            await work(one)

    asyncio.run(bounded())


async def first(reader: Reader, count: int) -> list[Told]:
    """The next events of a reader."""
    found: list[Told] = []
    async for told in reader.taken(1):
        found += told
        if len(found) == count:
            break
    return found


def ended(name: str) -> Record:
    """A deployment of two steps that is over, which is three events."""
    return document(records.HISTORY, name, over(deployment()))


def described(told: list[Told]) -> list[tuple[str, str]]:
    return [(str(one.id), one.kind) for one in told]


def test_a_silent_stream_shows_that_it_lives() -> None:
    async def work(one: Node) -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        async with streaming(one, heard.put):
            while (part := await heard.get()) != HEARTBEAT:
                assert part == b"" or b"event_stream_attached" in part

    on(MemoryEtcd(), work, beat=0.05)


def test_a_stream_whose_events_are_not_wanted_shows_that_it_lives_too() -> None:
    async def work(one: Node) -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        async with streaming(one, heard.put, Wanted(frozenset({"deployment_info"}))):
            at = 0
            while heard.empty() or await heard.get() != HEARTBEAT:
                at += 1
                await one.put(stored(app(f"2026-01-01T00:00:00.{at % 1000:03}Z")))

    on(MemoryEtcd(), work, beat=0.05)


def test_a_reader_that_never_reads_is_given_up_and_the_others_are_not() -> None:
    async def work(one: Node) -> None:
        async def never(body: bytes) -> None:
            if body:
                await asyncio.Event().wait()

        number = 0
        with one.hub.reading(await one.hub.open()) as healthy:
            async with streaming(one, never) as slow:
                while not slow.done():
                    await one.put(ended(str(number := number + 1)))
                    await first(healthy, 3)
            assert one.hub.readers == 1
            assert number * 3 > LAG

    on(MemoryEtcd(), work, beat=0.05)


def test_nothing_is_lost_or_told_twice_while_etcd_is_away() -> None:
    etcd = MemoryEtcd()

    async def work(one: Node) -> None:
        writer = Node(etcd.client(), one.hub)
        with one.hub.reading(await one.hub.open()) as reader:
            await writer.put(waiting())
            before = await first(reader, 1)
            etcd.stopped = True
            etcd.wake()
            await asyncio.sleep(0.1)
            etcd.stopped = False
            revision = await writer.put(instance(staged=1.0), state())
            await writer.drop(("units", UNIT))
            after = await first(reader, 1)
        assert [one.kind for one in (*before, *after)] == ["instance_changed_event"] * 2
        assert after[0].id.revision > revision

    on(etcd, work)


def test_while_etcd_is_silent_nobody_can_begin_to_read() -> None:
    etcd = MemoryEtcd()
    etcd.stopped = True

    async def work(one: Node) -> None:
        with pytest.raises(StoreUnavailable):
            await one.hub.open()

    on(etcd, work)


def test_the_readers_of_a_younger_source_move_to_the_older_one() -> None:
    async def work(one: Node) -> None:
        old = await one.put(waiting())
        await one.put(stored(app()))
        with one.hub.reading(await one.hub.open()) as late:
            begun = late.source
            with one.hub.reading(await one.hub.open(str(old - 1))) as early:
                assert early.source is not begun
                await one.put(instance(leaving="scaled down"))
                told = await first(late, 1)
                one.hub.tidy()
                assert late.source is not begun
                assert described(await first(early, 2))[1:] == described(told)
            await one.drop(("docs", records.INSTANCE, instance().id))
            assert (await first(late, 1))[0].id.revision > told[0].id.revision

    on(MemoryEtcd(), work)


@pytest.mark.etcd
def test_every_node_tells_the_same_from_any_revision_on(tmp_path: Path) -> None:
    """Against etcd itself: what a source tells that was there is what one tells that came late."""

    async def bounded() -> None:
        members = Members(tmp_path, 1)
        try:
            members.start(0)
            await members.ready()
            kv = open_store(members.urls)
            async with asyncio.timeout(60), node(kv) as one, node(kv) as other:
                await _same(one, other)
            await kv.close()
        finally:
            await members.end()

    asyncio.run(bounded())


async def _same(one: Node, other: Node) -> None:
    begun = await one.put(machine("m1"), stored(app()))
    with one.hub.reading(await one.hub.open(str(begun))) as reader:
        await one.put(running())
        for at in range(1, 20):
            await one.put(state("active" if at % 2 else "failed", since=float(at)))
            await one.put(instance(staged=float(at)))
        await one.drop(("docs", records.APP, "/shop/web"))
        end = await one.drop(("docs", records.INSTANCE, instance().id))
        told: list[Told] = []
        while not told or told[-1].id.revision < end:
            told += await first(reader, 1)
    for at, since in enumerate(told[:-1]):
        with other.hub.reading(await other.hub.open(str(since.id))) as late:
            left = told[at + 1 :]
            assert described(await first(late, len(left))) == described(left)


@asynccontextmanager
async def streaming(
    one: Node, heard: Callable[[bytes], Coroutine[Any, Any, None]], wanted: Wanted = ALL
) -> AsyncIterator[asyncio.Task[None]]:
    """A stream whose bodies go to ``heard``; the client stays for as long as the block lasts."""
    opened: Opened = await one.hub.open()
    stream = EventStream(one.hub, opened, wanted, "192.0.2.1")

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        await heard(message.get("body", b""))

    task = asyncio.create_task(stream({"type": "http"}, receive, send))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
