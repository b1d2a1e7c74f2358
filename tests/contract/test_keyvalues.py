"""One contract, two stores: every test here runs on the store in memory and on real etcd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetish.errors import LeaseLost, Refused
from fleetish.store.base import (
    Compacted,
    Compare,
    Delete,
    Event,
    KeyValue,
    KeyValues,
    Listing,
    Put,
    Txn,
    TxnResult,
)
from fleetish.store.etcd import open_store
from fleetish.store.memory import MemoryEtcd
from tests.contract.members import Members

Run = Callable[[Callable[[KeyValues], Coroutine[Any, Any, None]]], None]


@asynccontextmanager
async def in_memory(path: Path) -> AsyncIterator[KeyValues]:
    etcd = MemoryEtcd()
    async with asyncio.timeout(60):
        expiry = asyncio.create_task(etcd.run())
        yield etcd.client()
        expiry.cancel()


@asynccontextmanager
async def in_etcd(path: Path, count: int) -> AsyncIterator[KeyValues]:
    members = Members(path, count)
    try:
        for at in range(count):
            members.start(at)
        await members.ready()
        kv = open_store(members.urls)
        async with asyncio.timeout(60):
            yield kv
        await kv.close()
    finally:
        await members.end()


@pytest.fixture(
    params=[
        "memory",
        pytest.param("one etcd member", marks=pytest.mark.etcd),
        pytest.param("three etcd members", marks=pytest.mark.etcd),
    ]
)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a test's body on a store of its own."""

    def on_store(body: Callable[[KeyValues], Coroutine[Any, Any, None]]) -> None:
        async def opened() -> None:
            if request.param == "memory":
                context = in_memory(tmp_path)
            else:
                context = in_etcd(tmp_path, 1 if "one" in request.param else 3)
            async with context as kv:
                await body(kv)

        asyncio.run(opened())

    return on_store


async def put(kv: KeyValues, key: str, value: bytes = b"x", lease: int = 0) -> int:
    """Write a key, whatever is there; the revision."""
    return (await kv.txn(Txn((), (Put(key, value, lease),)))).revision


async def take(kv: KeyValues, prefix: str, revision: int, count: int) -> list[Event]:
    """The first events of a watch. How it batches the past is up to the store, but every batch
    holds whole revisions, the last of which is its own."""
    found: list[Event] = []
    async with aclosing(kv.watch(prefix, revision)) as batches:
        async for batch in batches:
            if batch.events:
                assert batch.revision == batch.events[-1].mod
            found += batch.events
            if len(found) >= count:
                return found
    raise AssertionError("the watch ended")


def test_many_keys_are_read_together_and_those_that_are_absent_left_out(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        assert await kv.get_all(()) == ()
        names = [f"/t/{number:03}" for number in range(300)]
        for at in range(0, 300, 100):
            await kv.txn(Txn((), tuple(Put(name, name.encode()) for name in names[at : at + 100])))
        found = await kv.get_all([*reversed(names), "/t/none"])
        assert [(item.key, item.value) for item in found] == [(n, n.encode()) for n in names[::-1]]
        assert found[0] == await kv.get("/t/299")

    run(body)


def test_a_key_is_read_as_it_was_written(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        assert await kv.get("/t/a") is None
        first = await put(kv, "/t/a", b"1")
        second = await put(kv, "/t/a", b"2")
        assert await kv.get("/t/a") == KeyValue("/t/a", b"2", first, second)
        third = (await kv.txn(Txn((), (Delete("/t/a"),)))).revision
        assert third == second + 1
        assert await kv.get("/t/a") is None

    run(body)


def test_a_list_holds_the_prefix_in_order_at_one_revision(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        a = await put(kv, "/t/a", b"1")
        c = await put(kv, "/t/c")
        await put(kv, "/tz")
        b = await put(kv, "/t/b")
        await put(kv, "/t/a", b"2")
        assert await kv.list("/t/", revision=b) == Listing(
            b, (KeyValue("/t/a", b"1", a, a), KeyValue("/t/b", b"x", b, b),
                KeyValue("/t/c", b"x", c, c)),
        )  # fmt: skip
        newest = await kv.list("/t/")
        assert (newest.revision, newest.items[0].value) == (b + 1, b"2")
        assert await kv.list("/none") == Listing(b + 1, ())

    run(body)


def test_a_long_list_is_whole(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        names = [f"/t/{number:05}" for number in range(2500)]
        for start in range(0, len(names), 100):
            writes = tuple(Put(name, b"") for name in names[start : start + 100])
            await kv.txn(Txn((), writes))
        listing = await kv.list("/t/")
        assert [item.key for item in listing.items] == names

    run(body)


@pytest.mark.parametrize(
    ("field", "op", "offset", "holds"),
    [
        ("create", "=", 0, True), ("create", "!=", 0, False), ("create", ">", -1, True),
        ("create", "<", 0, False), ("mod", "=", 1, True), ("mod", "=", 0, False),
        ("mod", "<", 2, True), ("mod", ">", 1, False),
    ],
)  # fmt: skip
def test_a_transaction_is_done_only_if_all_holds(
    run: Run, field: Any, op: Any, offset: int, holds: bool
) -> None:
    async def body(kv: KeyValues) -> None:
        born = await put(kv, "/t/a", b"1")
        await put(kv, "/t/a", b"2")
        absent = Compare("/t/none", "create", "=", 0)
        compare = Compare("/t/a", field, op, born + offset)
        result = await kv.txn(Txn((absent, compare), (Put("/t/b", b""),), ("/t/a", "/t/none")))
        if holds:
            assert result == TxnResult(True, born + 2)
        else:
            witness = KeyValue("/t/a", b"", born, born + 1)
            assert result == TxnResult(False, born + 1, (witness,))
        assert (await kv.get("/t/b") is not None) is holds

    run(body)


def test_a_transaction_is_one_revision(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        before = await put(kv, "/t/a")
        result = await kv.txn(Txn((), (Put("/t/b", b"1"), Delete("/t/a"), Put("/t/c", b"2"))))
        assert result == TxnResult(True, before + 1)
        assert sorted(await take(kv, "/t/", before + 1, 1)) == [
            Event("/t/a", None, 0, before + 1),
            Event("/t/b", b"1", before + 1, before + 1),
            Event("/t/c", b"2", before + 1, before + 1),
        ]

    run(body)


def test_what_etcd_cannot_take_is_refused(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        many = tuple(Put(f"/t/{number}", b"") for number in range(129))
        with pytest.raises(Refused):
            await kv.txn(Txn((), many))
        with pytest.raises(Refused):
            await kv.txn(Txn((), (Put("/t/a", b"1"), Put("/t/a", b"2"))))
        assert (await kv.list("/t/")).items == ()

    run(body)


def test_a_watch_tells_what_was_and_what_comes(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        first = await put(kv, "/t/a", b"1")
        await put(kv, "/other")
        second = await put(kv, "/t/a", b"2")
        watching = asyncio.create_task(take(kv, "/t/", first, 3))
        third = (await kv.txn(Txn((), (Delete("/t/a"),)))).revision
        assert await watching == [
            Event("/t/a", b"1", first, first),
            Event("/t/a", b"2", first, second),
            Event("/t/a", None, 0, third),
        ]

    run(body)


def test_a_watch_tells_every_change_once_and_in_order(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        first = await put(kv, "/t/start")
        watching = asyncio.create_task(take(kv, "/t/", first + 1, 300))
        written = [await put(kv, f"/t/{number % 7}") for number in range(300)]
        assert [event.mod for event in await watching] == written

    run(body)


def test_the_past_is_gone_after_compaction(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        first = await put(kv, "/t/a", b"1")
        second = await put(kv, "/t/a", b"2")
        third = await put(kv, "/t/a", b"3")
        await kv.compact(second)
        with pytest.raises(Compacted):
            await take(kv, "/t/", first, 1)
        with pytest.raises(Compacted):
            await kv.list("/t/", revision=first)
        with pytest.raises(Compacted):
            await kv.compact(first)
        assert (await kv.list("/t/", revision=second)).items[0].value == b"2"
        assert await take(kv, "/t/", third, 1) == [Event("/t/a", b"3", first, third)]

    run(body)


def test_a_compacted_watch_names_the_oldest_revision(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        first = await put(kv, "/t/a", b"1")
        second = await put(kv, "/t/a", b"2")
        await kv.compact(second)
        with pytest.raises(Compacted) as caught:
            await take(kv, "/t/", first, 1)
        assert caught.value.revision == second

    run(body)


def test_keys_go_with_their_lease(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        lease = await kv.grant(60)
        await put(kv, "/t/a", b"1", lease)
        await put(kv, "/t/b", b"2", lease)
        last = await put(kv, "/t/c", b"3")
        found = await kv.get("/t/a")
        assert found is not None
        assert found.lease == lease
        await kv.revoke(lease)
        gone = await take(kv, "/t/", last + 1, 1)
        assert sorted(event.key for event in gone) == ["/t/a", "/t/b"]
        assert [item.key for item in (await kv.list("/t/")).items] == ["/t/c"]
        await kv.revoke(lease)

    run(body)


def test_a_key_that_is_written_under_another_lease_stays_with_that(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        old, new = await kv.grant(60), await kv.grant(60)
        await put(kv, "/t/a", b"1", old)
        await put(kv, "/t/a", b"2", new)
        await kv.revoke(old)
        assert await kv.get("/t/a") is not None
        await kv.revoke(new)
        assert await kv.get("/t/a") is None

    run(body)


def test_a_lease_expires_unless_it_is_renewed(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        kept, left = await kv.grant(2), await kv.grant(2)
        first = await put(kv, "/t/kept", b"", kept)
        await put(kv, "/t/left", b"", left)

        async def renew() -> None:
            while True:
                assert await kv.renew(kept) > 0
                await asyncio.sleep(0.3)

        renewing = asyncio.create_task(renew())
        events = await take(kv, "/t/", first, 3)
        renewing.cancel()
        assert [(event.key, event.value) for event in events[2:]] == [("/t/left", None)]
        assert await kv.get("/t/kept") is not None
        assert await kv.renew(left) == 0.0
        assert await kv.remaining(left) == 0.0
        assert 0 < await kv.remaining(kept) <= 2

    run(body)


def test_a_lease_that_is_gone_holds_nothing(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        lease = await kv.grant(60)
        await kv.revoke(lease)
        assert await kv.renew(lease) == 0.0
        with pytest.raises(LeaseLost):
            await put(kv, "/t/a", b"1", lease)
        assert await kv.get("/t/a") is None

    run(body)


def test_the_store_says_its_version(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        assert await kv.version()

    run(body)
