"""What real etcd members do to a client: die, hang, restart, forget the past, demand a login."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from aetcd import rpc

from fleetish.errors import FleetishError, OutcomeUnknown, Refused, StoreUnavailable
from fleetish.store.base import Batch, Compacted, KeyValues, Put, Txn
from fleetish.store.etcd import EtcdKeyValues, open_store
from tests.contract.members import Members, free_ports

pytestmark = pytest.mark.etcd


@asynccontextmanager
async def members(path: Path, count: int) -> AsyncIterator[Members]:
    found = Members(path, count)
    try:
        for at in range(count):
            found.start(at)
        await found.ready()
        async with asyncio.timeout(90):
            yield found
    finally:
        await found.end()


@asynccontextmanager
async def client(urls: list[str]) -> AsyncIterator[EtcdKeyValues]:
    kv = open_store(urls)
    try:
        yield kv
    finally:
        await kv.close()


async def write(kv: KeyValues, key: str, value: bytes = b"") -> int:
    return (await kv.txn(Txn((), (Put(key, value),)))).revision


async def write_until_done(kv: KeyValues, key: str, value: bytes) -> int:
    """Write until an answer says that it is done; how often that failed."""
    for failed in range(200):
        try:
            await write(kv, key, value)
        except (OutcomeUnknown, StoreUnavailable):
            continue
        return failed
    raise AssertionError("no write was done")


class Watched:
    """A watch in the background, with all that it was told."""

    def __init__(self, kv: KeyValues, prefix: str, revision: int) -> None:
        self.batches: list[Batch] = []
        self._kv, self._prefix, self._revision = kv, prefix, revision
        self._grown = asyncio.Condition()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with aclosing(self._kv.watch(self._prefix, self._revision)) as batches:
            async for batch in batches:
                async with self._grown:
                    self.batches.append(batch)
                    self._grown.notify_all()

    async def until(self, value: bytes) -> None:
        """Wait until a value was told."""
        async with self._grown:
            await self._grown.wait_for(lambda: value in self.values())

    def values(self) -> list[bytes | None]:
        return [event.value for batch in self.batches for event in batch.events]

    def revisions(self) -> list[int]:
        return [event.mod for batch in self.batches for event in batch.events]


async def disturbed(found: Members, disturb: Callable[[int], Awaitable[None]], at: int) -> Watched:
    """Write 60 values through a client whose member ``at`` is disturbed after 20; all watched."""
    order = found.urls[at:] + found.urls[:at]
    async with client(order) as writer, client(order) as watcher:
        first = await write(writer, "/t/first")
        watched = Watched(watcher, "/t/", first + 1)
        for number in range(60):
            if number == 20:
                await disturb(at)
            await write_until_done(writer, "/t/key", b"%d" % number)
        await watched.until(b"59")
        history = [item for batch in watched.batches for item in batch.events]
        watched.task.cancel()
        async with client([found.urls[(at + 1) % len(found.urls)]]) as other:
            truth = await _history(other, first + 1, len(history))
        assert [event.mod for event in history] == truth
    return watched


async def _history(kv: KeyValues, revision: int, count: int) -> list[int]:
    """The revisions that etcd itself tells afterwards."""
    found: list[int] = []
    async with aclosing(kv.watch("/t/", revision)) as batches:
        async for batch in batches:
            found += [event.mod for event in batch.events]
            if len(found) >= count:
                break
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("who", ["leader", "follower"])
def test_writes_and_watches_outlive_a_member(
    tmp_path: Path, number: signal.Signals, who: str
) -> None:
    async def body() -> None:
        async with members(tmp_path, 3) as found:
            leader = await found.leader()

            async def disturb(at: int) -> None:
                found.signal(at, number)

            at = leader if who == "leader" else (leader + 1) % 3
            watched = await disturbed(found, disturb, at)
            told = [int(value) for value in watched.values() if value is not None]
            assert sorted(set(told)) == list(range(60))
            assert told == sorted(told)

    asyncio.run(body())


def test_a_client_whose_first_member_never_existed_uses_the_others(tmp_path: Path) -> None:
    async def body() -> None:
        (port,) = free_ports(1)
        async with (
            members(tmp_path, 1) as found,
            client([f"http://127.0.0.1:{port}", *found.urls]) as kv,
        ):
            revision = await write(kv, "/t/a", b"1")
            assert (await kv.list("/t/")).items[0].mod == revision
            assert await kv.renew(await kv.grant(10)) > 0
            assert kv.figures.unknown == 0

    asyncio.run(body())


def test_a_write_to_nobody_is_known_not_to_be_done(tmp_path: Path) -> None:
    async def body() -> None:
        (port,) = free_ports(1)
        async with client([f"http://127.0.0.1:{port}"]) as kv:
            with pytest.raises(StoreUnavailable):
                await write(kv, "/t/a")
            with pytest.raises(StoreUnavailable):
                await kv.renew(1)
            with pytest.raises(StoreUnavailable):
                await anext(kv.watch("/t/", 1))

    asyncio.run(body())


def test_a_write_that_hangs_has_an_unknown_outcome(tmp_path: Path) -> None:
    async def body() -> None:
        async with members(tmp_path, 1) as found, client(found.urls) as kv:
            await write(kv, "/t/a", b"1")
            found.signal(0, signal.SIGSTOP)
            with pytest.raises(OutcomeUnknown):
                await write(kv, "/t/a", b"2")
            found.signal(0, signal.SIGCONT)
            await write_until_done(kv, "/t/a", b"3")
            read = await kv.get("/t/a")
            assert read is not None
            assert read.value == b"3"

    asyncio.run(body())


def test_a_watch_goes_on_after_all_members_restarted(tmp_path: Path) -> None:
    async def body() -> None:
        async with members(tmp_path, 3) as found, client(found.urls) as kv:
            first = await write(kv, "/t/a", b"first")
            watched = Watched(kv, "/t/", first)
            await watched.until(b"first")
            for at in range(3):
                found.signal(at, signal.SIGKILL)
            for at in range(3):
                found.start(at)
            await found.ready()
            await write_until_done(kv, "/t/a", b"second")
            await watched.until(b"second")
            assert watched.values().count(b"first") == 1
            assert watched.revisions() == sorted(set(watched.revisions()))
            watched.task.cancel()

    asyncio.run(body())


def test_a_watch_that_was_away_during_compaction_says_so(tmp_path: Path) -> None:
    async def body() -> None:
        async with (
            members(tmp_path, 3) as found,
            client(found.urls[:1]) as away,
            client(found.urls[1:]) as kv,
        ):
            first = await write(kv, "/t/a", b"first")
            watched = Watched(away, "/t/", first)
            await watched.until(b"first")
            found.signal(0, signal.SIGKILL)
            for number in range(10):
                await write_until_done(kv, "/t/a", b"%d" % number)
            await kv.compact((await kv.list("/t/")).revision)
            found.start(0)
            with pytest.raises(Compacted):
                await watched.task
            assert watched.values() == [b"first"]

    asyncio.run(body())


def test_another_cluster_behind_the_same_address_is_not_written_to(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "other").mkdir()
        async with (
            members(tmp_path / "one", 1) as one,
            members(tmp_path / "other", 1) as other,
            client([*one.urls, *other.urls]) as kv,
            client(other.urls) as theirs,
        ):
            await write(kv, "/t/a", b"1")
            one.signal(0, signal.SIGKILL)
            with pytest.raises((StoreUnavailable, OutcomeUnknown)):
                await write(kv, "/t/a", b"2")
            with pytest.raises(StoreUnavailable):
                await kv.get("/t/a")
            assert await theirs.get("/t/a") is None

    asyncio.run(body())


async def demand_login(url: str, password: str) -> None:
    """Switch etcd's authentication on, with only the user root."""
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        auth = rpc.AuthStub(channel)
        await auth.UserAdd(rpc.AuthUserAddRequest(name="root", password=password))
        await auth.RoleAdd(rpc.AuthRoleAddRequest(name="root"))
        await auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
        await auth.AuthEnable(rpc.AuthEnableRequest())


def test_a_login_is_renewed_when_etcd_has_forgotten_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with members(tmp_path, 1) as found:
            await demand_login(found.urls[0], "secret")
            kv = open_store(found.urls, user="root", password="secret")
            first = await write(kv, "/t/a", b"first")
            watched = Watched(kv, "/t/", first)
            await watched.until(b"first")
            found.signal(0, signal.SIGKILL)
            found.start(0)  # simple tokens are kept in memory only
            await write_until_done(kv, "/t/a", b"second")
            await watched.until(b"second")
            assert await kv.renew(await kv.grant(10)) > 0
            watched.task.cancel()
            await kv.close()

    asyncio.run(body())


@pytest.mark.parametrize(("user", "password"), [("", ""), ("root", "wrong")])
def test_who_may_not_log_in_is_told_so(tmp_path: Path, user: str, password: str) -> None:
    async def body() -> None:
        async with members(tmp_path, 1) as found:
            await demand_login(found.urls[0], "secret")
            kv = open_store(found.urls, user=user, password=password)
            with pytest.raises(FleetishError) as caught:
                await kv.get("/t/a")
            assert isinstance(caught.value, Refused)
            await kv.close()

    asyncio.run(body())
