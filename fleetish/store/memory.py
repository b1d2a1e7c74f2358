"""The store's contract in memory: for tests, and for a cluster inside one process.

    MemoryEtcd  ── one history of revisions, leases on a Clock ──  MemoryKeyValues (a client) × n

1. Every revision is kept until it is compacted, so lists at a revision and watches from one are
   exact. A watch reads the history at its own pace: nothing can be lost between queue and reader.
2. Leases expire by the clock. Every call looks; :meth:`MemoryEtcd.run` looks when nobody calls.
3. A client can be told to misbehave as networks do (:class:`Faults`); the history never does.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from fleetish.clock import Clock, SystemClock
from fleetish.errors import LeaseLost, OutcomeUnknown, Refused, StoreUnavailable
from fleetish.store.base import (
    Batch,
    Compacted,
    Delete,
    Event,
    KeyValue,
    Listing,
    Put,
    Txn,
    TxnResult,
)

MAX_OPERATIONS = 128


@dataclass(slots=True)
class _Lease:
    ttl: float
    deadline: float
    keys: set[str]


@dataclass(slots=True)
class Faults:
    """How one client is disturbed; all off at first.

    ``cut``: no call gets through, watches hear nothing. ``unheard``: so many next transactions are
    done but not answered. ``unsent``: so many are neither. ``hidden``: watch events that this
    client is never told of. ``held``: revision that its watches do not go beyond; None for no
    limit. After a change of ``cut`` or ``held`` call :meth:`MemoryEtcd.wake`.
    """

    cut: bool = False
    unheard: int = 0
    unsent: int = 0
    hidden: Callable[[Event], bool] | None = None
    held: int | None = None


class MemoryEtcd:
    """The history that all clients share."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.revision = 1
        self.compacted = 0
        self.stopped = False
        self._versions: dict[str, list[tuple[int, KeyValue | None]]] = {}
        self._names: list[str] = []
        self._history: list[Batch] = []
        self._leases: dict[int, _Lease] = {}
        self._next_lease = 1000
        self._waiting: set[asyncio.Event] = set()

    def client(self) -> MemoryKeyValues:
        """A new client with faults of its own."""
        return MemoryKeyValues(self)

    async def run(self) -> None:
        """Let leases expire in time though nobody calls; for ever."""
        while True:
            self.expire()
            await self.clock.sleep(0.05)

    def wake(self) -> None:
        """Let every watch look again."""
        for event in self._waiting:
            event.set()

    def expire(self) -> None:
        """End the leases whose time is over by the clock."""
        now = self.clock.monotonic()
        for lease in [lease for lease, row in self._leases.items() if row.deadline <= now]:
            self.end_lease(lease)

    def current(self, key: str) -> KeyValue | None:
        """A key now."""
        versions = self._versions.get(key)
        return versions[-1][1] if versions else None

    def at(self, key: str, revision: int) -> KeyValue | None:
        """A key as of a revision."""
        versions = self._versions.get(key, [])
        place = bisect_left(versions, revision + 1, key=lambda version: version[0])
        return versions[place - 1][1] if place else None

    def below(self, prefix: str, revision: int) -> tuple[KeyValue, ...]:
        """All keys with a prefix as of a revision, in order."""
        found = []
        for name in self._names[bisect_left(self._names, prefix) :]:
            if not name.startswith(prefix):
                break
            item = self.at(name, revision)
            if item is not None:
                found.append(item)
        return tuple(found)

    def apply(self, txn: Txn) -> TxnResult:
        """Do a transaction. Raises Refused for what etcd refuses."""
        self._check(txn)
        if not all(compare.holds(self.current(compare.key)) for compare in txn.compares):
            found = (self.current(key) for key in txn.witness)
            read = tuple(item._replace(value=b"") for item in found if item)
            return TxnResult(False, self.revision, read)
        self._write(txn.operations)
        return TxnResult(True, self.revision)

    def grant(self, ttl: int) -> int:
        """A new lease of so many seconds."""
        self._next_lease += 1
        self._leases[self._next_lease] = _Lease(ttl, self.clock.monotonic() + ttl, set())
        return self._next_lease

    def lease(self, lease: int) -> _Lease | None:
        """A lease that lives, or None."""
        return self._leases.get(lease)

    def end_lease(self, lease: int) -> None:
        """Delete a lease with its keys, in one revision."""
        row = self._leases.pop(lease, None)
        if row is not None and row.keys:
            self._write(tuple(Delete(key) for key in sorted(row.keys)))

    def compact(self, revision: int) -> None:
        """Forget what was before a revision. Raises Compacted when that is done already."""
        if revision <= self.compacted:
            raise Compacted(self.compacted)
        if revision > self.revision:
            raise Refused(f"cannot compact to revision {revision}: it is in the future")
        self.compacted = revision
        self._history = [batch for batch in self._history if batch.revision >= revision]
        if self._history and self._history[0].revision == revision:
            # etcd keeps no tombstone of the compacted revision itself, so once it is done a watch
            # from there is not told of what was deleted at it (3.4.23; a list finds out).
            kept = tuple(event for event in self._history[0].events if event.value is not None)
            self._history[:1] = [Batch(revision, kept)]
        for key in list(self._versions):
            self._trim(key, revision)
        self.wake()

    def next(self, revision: int) -> Batch | None:
        """The first revision's batch from a revision on, None if there is none yet.

        Raises Compacted.
        """
        if revision < self.compacted:
            raise Compacted(self.compacted)
        place = bisect_left(self._history, revision, key=lambda batch: batch.revision)
        return self._history[place] if place < len(self._history) else None

    async def changed(self) -> None:
        """Wait for the next change, or for :meth:`wake`."""
        wait = asyncio.Event()
        self._waiting.add(wait)
        try:
            await wait.wait()
        finally:
            self._waiting.discard(wait)

    def _check(self, txn: Txn) -> None:
        if max(len(txn.compares), len(txn.operations), len(txn.witness)) > MAX_OPERATIONS:
            raise Refused("cannot write: too many operations in one transaction")
        keys = [operation.key for operation in txn.operations]
        if len(set(keys)) < len(keys):
            raise Refused("cannot write: a key is written twice in one transaction")

    def _write(self, operations: tuple[Put | Delete, ...]) -> None:
        """All operations as one revision; none when nothing changes."""
        for operation in operations:
            if isinstance(operation, Put) and operation.lease not in {0, *self._leases}:
                raise LeaseLost("cannot use this lease: requested lease not found")
        effective = [o for o in operations if isinstance(o, Put) or self.current(o.key)]
        if not effective:
            return
        self.revision += 1
        events = tuple(self._one(operation) for operation in effective)
        self._history.append(Batch(self.revision, events))
        self.wake()

    def _one(self, operation: Put | Delete) -> Event:
        before = self.current(operation.key)
        if before is not None and before.lease in self._leases:
            self._leases[before.lease].keys.discard(operation.key)
        if isinstance(operation, Delete):
            self._versions[operation.key].append((self.revision, None))
            return Event(operation.key, None, 0, self.revision)
        create = before.create if before else self.revision
        item = KeyValue(operation.key, operation.value, create, self.revision, operation.lease)
        if operation.lease:
            self._leases[operation.lease].keys.add(operation.key)
        if operation.key not in self._versions:
            insort(self._names, operation.key)
        self._versions.setdefault(operation.key, []).append((self.revision, item))
        return Event(*item)

    def _trim(self, key: str, revision: int) -> None:
        """Keep of a key what is needed for reads from a revision on."""
        versions = self._versions[key]
        first = max(bisect_left(versions, revision + 1, key=lambda v: v[0]) - 1, 0)
        kept = versions[first:]
        if len(kept) == 1 and kept[0][1] is None:
            del self._versions[key]
            del self._names[bisect_left(self._names, key)]
        else:
            self._versions[key] = kept


class MemoryKeyValues:
    """One client of a :class:`MemoryEtcd`."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        self.etcd = etcd
        self.faults = Faults()

    async def _reach(self) -> None:
        """Get through to the store. Raises StoreUnavailable."""
        await asyncio.sleep(0)
        if self._silent():
            raise StoreUnavailable("cannot reach etcd: it does not answer")
        self.etcd.expire()

    def _silent(self) -> bool:
        return self.faults.cut or self.etcd.stopped

    async def get(self, key: str) -> KeyValue | None:
        await self._reach()
        return self.etcd.current(key)

    async def get_all(self, keys: Sequence[str]) -> tuple[KeyValue, ...]:
        await self._reach()
        return tuple(item for key in keys if (item := self.etcd.current(key)) is not None)

    async def list(self, prefix: str, *, revision: int = 0) -> Listing:
        await self._reach()
        if revision and revision < self.etcd.compacted:
            raise Compacted(self.etcd.compacted)
        if revision > self.etcd.revision:
            raise Refused(f"cannot list at revision {revision}: it is in the future")
        revision = revision or self.etcd.revision
        return Listing(revision, self.etcd.below(prefix, revision))

    async def keys(self, prefix: str, *, after: str = "", most: int = 1000) -> Listing:
        listing = await self.list(prefix)
        later = [item._replace(value=b"") for item in listing.items if item.key > after]
        return Listing(listing.revision, tuple(later[:most]))

    async def txn(self, txn: Txn) -> TxnResult:
        await self._reach()
        if self.faults.unsent:
            self.faults.unsent -= 1
            raise OutcomeUnknown("cannot tell whether this was written: no answer came")
        result = self.etcd.apply(txn)
        if self.faults.unheard:
            self.faults.unheard -= 1
            raise OutcomeUnknown("cannot tell whether this was written: no answer came")
        return result

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Batch, None]:
        while True:
            if self._silent():
                raise StoreUnavailable("cannot watch: etcd does not answer")
            told = self.etcd.next(revision)
            if told is None or self._held(told.revision):
                await self.etcd.changed()
                continue
            revision = told.revision + 1
            events = tuple(e for e in told.events if self._shown(e, prefix))
            if events:
                yield Batch(told.revision, events)

    def _held(self, revision: int) -> bool:
        return self.faults.held is not None and revision > self.faults.held

    def _shown(self, event: Event, prefix: str) -> bool:
        hidden = self.faults.hidden
        return event.key.startswith(prefix) and not (hidden and hidden(event))

    async def grant(self, ttl: int) -> int:
        await self._reach()
        return self.etcd.grant(ttl)

    async def renew(self, lease: int) -> float:
        await self._reach()
        row = self.etcd.lease(lease)
        if row is None:
            return 0.0
        row.deadline = self.etcd.clock.monotonic() + row.ttl
        return row.ttl

    async def remaining(self, lease: int) -> float:
        await self._reach()
        row = self.etcd.lease(lease)
        return max(row.deadline - self.etcd.clock.monotonic(), 0.0) if row else 0.0

    async def revoke(self, lease: int) -> None:
        await self._reach()
        self.etcd.end_lease(lease)

    async def compact(self, revision: int) -> None:
        await self._reach()
        self.etcd.compact(revision)

    async def version(self) -> str:
        await self._reach()
        return "memory"

    async def close(self) -> None:
        """Nothing is held open."""
