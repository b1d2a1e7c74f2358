"""etcd v3 behind the store's contract: aetcd's messages and stubs under connections of our own.

1. One channel for each member and purpose (calls, leases, watches): none waits behind another.
2. gRPC does not leave a member that hangs. Here every call has a deadline; a member that misses one
   or cannot be reached is left for the next, and is asked for its status before it is used again.
   That question also tells, before anything is written, that it belongs to the same cluster.
3. Reads are repeated on the next member. A write is repeated only if it cannot have been sent; else
   its outcome is unknown.
4. A watch goes on after the last revision that it delivered. One that hears nothing asks; one that
   gets no answer moves to the next member. Compaction ends it.
5. An answer older than one seen before (etcd before 3.4.42 gives such after a pause) is not taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

import grpc.aio
from aetcd import rpc

from fleetish.clock import Clock, SystemClock
from fleetish.errors import LeaseLost, StoreUnavailable
from fleetish.store.base import Batch, Compacted, Event, KeyValue, Listing, Txn, TxnResult
from fleetish.store.etcd import messages
from fleetish.store.etcd.faults import Silent, is_unknown, raise_ours, said, unknown, wants_login
from fleetish.store.etcd.members import Credentials, Member, Route
from fleetish.store.figures import Figures

#: Seconds for one attempt: of asking a member's status, reading, writing, renewing a lease.
STATUS, READ, WRITE, RENEW = 1.0, 1.5, 2.0, 1.0
#: Seconds for all attempts at a call, and between two rounds of them.
OVERALL, BETWEEN = 4.0, 0.1
#: Seconds of silence after which a watch asks, for the answer, and in all before it gives up.
SILENCE, ANSWER, GIVE_UP = 2.0, 1.0, 5.0
#: Keys in one page of a list.
PAGE = 1000
#: Keys that are read in one transaction (etcd's --max-txn-ops).
READS = 128

Method = Callable[[Member], Callable[..., Awaitable[Any]]]


class EtcdKeyValues:
    """A :class:`fleetish.store.base.KeyValues` over etcd v3 (3.4 or newer).

    ``endpoints`` are URLs as ``http://127.0.0.1:2379``. Nothing is connected before the first call.
    Must be made inside a running event loop.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        credentials: Credentials | None = None,
        clock: Clock | None = None,
        figures: Figures | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.figures = figures or Figures()
        self._credentials = credentials = credentials or Credentials()
        self._calls = Route(endpoints, credentials, self.figures)
        self._leases = Route(endpoints, credentials, self.figures)
        self._watches = Route(endpoints, credentials, self.figures)
        self._token = ""
        self._cluster = 0
        self._revision = 0
        self._keepalive: tuple[Member, Any] | None = None
        self._renewing = asyncio.Lock()

    async def get(self, key: str) -> KeyValue | None:
        answer = await self._read(rpc.RangeRequest(key=key.encode()))
        return next((messages.item(found) for found in answer.kvs), None)

    async def get_all(self, keys: Sequence[str]) -> tuple[KeyValue, ...]:
        found: list[KeyValue] = []
        for at in range(0, len(keys), READS):
            request = messages.reading(keys[at : at + READS])
            found += messages.read(await self._read(request, lambda m: m.kv.Txn))
        return tuple(found)

    async def list(self, prefix: str, *, revision: int = 0) -> Listing:
        start, end = prefix.encode(), messages.after(prefix)
        items: list[KeyValue] = []
        while True:
            request = rpc.RangeRequest(key=start, range_end=end, revision=revision, limit=PAGE)
            answer = await self._read(request)
            revision = revision or answer.header.revision
            items += map(messages.item, answer.kvs)
            if not answer.more:
                return Listing(revision, tuple(items))
            start = answer.kvs[-1].key + b"\0"

    async def keys(self, prefix: str, *, after: str = "", most: int = PAGE) -> Listing:
        start = after.encode() + b"\0" if after else prefix.encode()
        end = messages.after(prefix)
        request = rpc.RangeRequest(key=start, range_end=end, limit=most, keys_only=True)
        answer = await self._read(request)
        return Listing(answer.header.revision, tuple(map(messages.item, answer.kvs)))

    async def txn(self, txn: Txn) -> TxnResult:
        answer = await self._call(lambda m: m.kv.Txn, messages.transaction(txn), WRITE, write=True)
        self._revision = max(self._revision, answer.header.revision)
        if answer.succeeded:
            return TxnResult(True, answer.header.revision)
        return TxnResult(False, answer.header.revision, tuple(messages.read(answer)))

    async def grant(self, ttl: int) -> int:
        # Repeating it does no harm: a lease that nobody knows of ends by itself.
        answer = await self._call(lambda m: m.lease.LeaseGrant, rpc.LeaseGrantRequest(TTL=ttl))
        return int(answer.ID)

    async def remaining(self, lease: int) -> float:
        request = rpc.LeaseTimeToLiveRequest(ID=lease)
        answer = await self._call(lambda m: m.lease.LeaseTimeToLive, request)
        return max(float(answer.TTL), 0.0)

    async def revoke(self, lease: int) -> None:
        with suppress(LeaseLost):
            await self._call(lambda m: m.lease.LeaseRevoke, rpc.LeaseRevokeRequest(ID=lease))

    async def compact(self, revision: int) -> None:
        await self._call(lambda m: m.kv.Compact, rpc.CompactionRequest(revision=revision))

    async def version(self) -> str:
        answer = await self._call(lambda m: m.maintenance.Status, rpc.StatusRequest())
        return str(answer.version)

    async def renew(self, lease: int) -> float:
        async with self._renewing:
            end = self.clock.monotonic() + OVERALL
            while True:
                member = self._leases.member()
                try:
                    async with asyncio.timeout(RENEW):
                        return await self._renew(member, lease)
                except (TimeoutError, grpc.aio.AioRpcError, grpc.aio.UsageError, Silent) as error:
                    await self._left(self._leases, member, error, end)

    async def _renew(self, member: Member, lease: int) -> float:
        """Ask over the one stream that all leases share; what is left in seconds, 0.0 if gone."""
        if self._keepalive is None or self._keepalive[0] is not member:
            await self._meet(member)
            self._keepalive = member, member.lease.LeaseKeepAlive(metadata=self._metadata())
        stream = self._keepalive[1]
        try:
            await stream.write(rpc.LeaseKeepAliveRequest(ID=lease))
            while (answer := await stream.read()) is not grpc.aio.EOF:
                if lease == answer.ID:
                    return max(float(answer.TTL), 0.0)
            raise Silent("the stream of renewals ended")
        except BaseException:
            self._keepalive = None
            stream.cancel()
            raise

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Batch, None]:
        heard = self.clock.monotonic()
        while True:
            member = self._watches.member()
            try:
                async with aclosing(self._stream(member, prefix, revision)) as stream:
                    async for batch in stream:
                        heard = self.clock.monotonic()
                        revision = batch.revision + 1
                        yield batch
            except (TimeoutError, grpc.aio.AioRpcError, grpc.aio.UsageError, Silent) as error:
                self.figures.resumed += 1
                await self._left(self._watches, member, error, heard + GIVE_UP)

    async def _stream(
        self, member: Member, prefix: str, revision: int
    ) -> AsyncGenerator[Batch, None]:
        """One watch on one member; ends by raising."""
        async with asyncio.timeout(STATUS):
            await self._meet(member)
        stream = member.watch.Watch(metadata=(*self._metadata(), ("hasleader", "true")))
        try:
            wanted = rpc.WatchCreateRequest(
                key=prefix.encode(),
                range_end=messages.after(prefix),
                start_revision=revision,
                fragment=True,
            )
            await stream.write(rpc.WatchRequest(create_request=wanted))
            parts: list[Event] = []
            while True:
                answer = await self._hear(stream)
                self._check_watch(answer)
                parts += (e for e in map(messages.happened, answer.events) if e.mod >= revision)
                if not answer.fragment:
                    revision = max(revision, parts[-1].mod + 1) if parts else revision
                    yield Batch(revision - 1, tuple(parts))
                    parts = []
        finally:
            stream.cancel()

    async def _hear(self, stream: Any) -> Any:
        """The next answer of a watch; one that is silent is asked. Raises Silent."""
        reading = asyncio.ensure_future(stream.read())
        try:
            await asyncio.wait((reading,), timeout=SILENCE)
            if not reading.done():
                asking = rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())
                async with asyncio.timeout(ANSWER):
                    await stream.write(asking)
                    await asyncio.wait((reading,))
            answer = reading.result()
        finally:
            if not reading.cancel() and not reading.cancelled():
                reading.exception()  # looked at, whatever else went wrong
        if answer is grpc.aio.EOF:
            raise Silent("the watch ended")
        return answer

    def _check_watch(self, answer: Any) -> None:
        """Raises Compacted, or Silent for a watch that was ended by the member."""
        self._check_cluster(answer.header)
        if answer.compact_revision:
            raise Compacted(answer.compact_revision)
        if answer.canceled:
            self._token = ""  # it may be that: etcd says no more than "permission denied"
            raise Silent(answer.cancel_reason or "the watch was ended")

    async def close(self) -> None:
        for route in (self._calls, self._leases, self._watches):
            await route.close()

    async def _read(self, request: Any, method: Method = lambda m: m.kv.Range) -> Any:
        """A linearizable read that is not older than what was seen. Raises Compacted."""
        end = self.clock.monotonic() + OVERALL
        while True:
            seen = self._revision
            answer = await self._call(method, request)
            if answer.header.revision >= seen:
                self._revision = max(self._revision, answer.header.revision)
                return answer
            if _over(self.clock, end):  # all say so: etcd was restored from a backup
                self._revision = 0
            error = Silent(f"its revision {answer.header.revision} is before {seen}")
            await self._left(self._calls, self._calls.member(), error, end)

    async def _call(
        self,
        method: Method,
        request: Any,
        limit: float = READ,
        *,
        write: bool = False,
    ) -> Any:
        """Ask one member after the other. Raises StoreUnavailable, OutcomeUnknown and what etcd
        says about the request."""
        end = self.clock.monotonic() + OVERALL
        while True:
            member = self._calls.member()
            sent = False
            try:
                async with asyncio.timeout(STATUS):
                    await self._meet(member)
                sent = True
                answer = await method(member)(request, timeout=limit, metadata=self._metadata())
                self._check_cluster(answer.header)
                return answer
            except grpc.aio.AioRpcError as error:
                if sent and write and is_unknown(error):
                    self._calls.leave(member)
                    raise unknown(member.url, error) from None
                if not self._must_login(error) or _over(self.clock, end):
                    raise_ours(error)
                    await self._left(self._calls, member, error, end)
            except (TimeoutError, grpc.aio.UsageError, Silent) as error:
                if sent and write:
                    raise unknown(member.url, error) from None
                await self._left(self._calls, member, error, end)

    async def _left(self, route: Route, member: Member, error: Exception, end: float) -> None:
        """Go to the next member, unless the time for it is over: then raise StoreUnavailable."""
        route.leave(member)
        self.figures.errors += 1
        if isinstance(error, grpc.aio.AioRpcError):
            self._must_login(error)
        if _over(self.clock, end):
            raise StoreUnavailable(f"cannot reach etcd: {said(member.url, error)}") from None
        await self.clock.sleep(BETWEEN)

    async def _meet(self, member: Member) -> None:
        """Before its first use, and again after it was left: is it there, and of our cluster?"""
        if not member.met:
            answer = await member.maintenance.Status(rpc.StatusRequest(), timeout=STATUS)
            self._check_cluster(answer.header)
            member.met = True
        if self._credentials.user and not self._token:
            name, password = self._credentials.user, self._credentials.password
            request = rpc.AuthenticateRequest(name=name, password=password)
            self._token = (await member.auth.Authenticate(request, timeout=STATUS)).token

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("token", self._token),) if self._token else ()

    def _must_login(self, error: grpc.aio.AioRpcError) -> bool:
        """True when the token was not taken; it is forgotten, so that the next call logs in."""
        if wants_login(error) and self._credentials.user:
            again, self._token = bool(self._token), ""
            return again
        return False

    def _check_cluster(self, header: Any) -> None:
        """Raises Silent for an answer of another cluster than the first one seen."""
        self._cluster = self._cluster or header.cluster_id
        if header.cluster_id != self._cluster:
            raise Silent(f"it is of cluster {header.cluster_id:x}, not {self._cluster:x}")


def open_store(
    endpoints: Sequence[str],
    *,
    ca: str = "",
    cert: str = "",
    key: str = "",
    user: str = "",
    password: str = "",
    clock: Clock | None = None,
    figures: Figures | None = None,
) -> EtcdKeyValues:
    """The cluster's etcd by its settings: URLs, names of PEM files, user and password."""
    credentials = Credentials(ca, cert, key, user, password)
    return EtcdKeyValues(endpoints, credentials=credentials, clock=clock, figures=figures)


def _over(clock: Clock, end: float) -> bool:
    return clock.monotonic() >= end
