"""What the rest of fleetish may know of the store.

Two layers. :class:`KeyValues` is etcd v3's contract in small: revisions, transactions that
compare, leases, watches that resume; :mod:`fleetish.store.etcd` and :mod:`fleetish.store.memory`
both keep it, held by one set of tests. :class:`Store` is what loops and handlers use: a
:class:`~fleetish.world.World` kept current, and changes committed under a guard.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from fleetish.changes import Change
from fleetish.world import Touched, World


class KeyValue(NamedTuple):
    """A key as it was read: ``create``, ``mod``: revisions of its birth and last write."""

    key: str
    value: bytes
    create: int
    mod: int
    lease: int = 0


class Listing(NamedTuple):
    """All keys below a prefix at one revision, in key order."""

    revision: int
    items: tuple[KeyValue, ...]


class Compare(NamedTuple):
    """A condition on a key; an absent key has ``create`` and ``mod`` 0."""

    key: str
    field: Literal["create", "mod"]
    op: Literal["=", "!=", ">", "<"]
    value: int

    def holds(self, item: KeyValue | None) -> bool:
        """True when the condition is met by a key as it was read; None: it is absent."""
        value = 0 if item is None else item.create if self.field == "create" else item.mod
        match self.op:
            case "=":
                return value == self.value
            case "!=":
                return value != self.value
            case ">":
                return value > self.value
            case "<":
                return value < self.value


class Put(NamedTuple):
    """Write a value; ``lease`` 0 means none."""

    key: str
    value: bytes
    lease: int = 0


class Delete(NamedTuple):
    """Remove a key; no error when it is absent."""

    key: str


class Txn(NamedTuple):
    """All compares hold: do the operations, else read ``witness`` keys to say why not."""

    compares: tuple[Compare, ...]
    operations: tuple[Put | Delete, ...]
    witness: tuple[str, ...] = ()


class TxnResult(NamedTuple):
    """What came of a transaction; ``read`` holds the witnesses that exist when it was refused,
    without their values."""

    done: bool
    revision: int
    read: tuple[KeyValue, ...] = ()


class Event(NamedTuple):
    """One key's change; ``value`` None means deleted (then ``create`` is 0)."""

    key: str
    value: bytes | None
    create: int
    mod: int
    lease: int = 0


class Batch(NamedTuple):
    """Events of a watch, whole revisions only; an empty batch reports progress to ``revision``."""

    revision: int
    events: tuple[Event, ...]


class StoredText(NamedTuple):
    """A unit file's text that is stored: its hash, and when it was written last."""

    hash: str
    mod: int


class Compacted(Exception):
    """The revision to watch from is gone; ``revision`` is the oldest that is left."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"compacted up to revision {revision}")
        self.revision = revision


class KeyValues(Protocol):
    """etcd v3 in small. Every call raises StoreUnavailable, or OutcomeUnknown when a write was
    sent but not answered; none waits longer than its deadline (seconds)."""

    async def get(self, key: str) -> KeyValue | None: ...

    async def get_all(self, keys: Sequence[str]) -> tuple[KeyValue, ...]:
        """Those of some keys that exist, in the order asked, in as few requests as may be."""

    async def list(self, prefix: str, *, revision: int = 0) -> Listing:
        """Linearizable, paged inside at one revision. Raises Compacted."""

    async def keys(self, prefix: str, *, after: str = "", most: int = 1000) -> Listing:
        """The first ``most`` keys below a prefix that come after a key, as they are now, without
        their values. Cheap, however large the values are."""

    async def txn(self, txn: Txn) -> TxnResult: ...

    def watch(self, prefix: str, revision: int) -> AsyncGenerator[Batch, None]:
        """Yield what happens from ``revision`` on, for ever; resumes over lost connections without
        hole or repetition. Raises Compacted, and StoreUnavailable when the store stays silent."""

    async def grant(self, ttl: int) -> int:
        """A new lease's id; ``ttl`` in seconds."""

    async def renew(self, lease: int) -> float:
        """Keep a lease alive once; its time to live in seconds, 0.0 when it is gone."""

    async def remaining(self, lease: int) -> float:
        """Seconds that a lease has left, 0.0 when it is gone; does not renew it."""

    async def revoke(self, lease: int) -> None:
        """End a lease; its keys go with it. No error when it is gone."""

    async def compact(self, revision: int) -> None: ...

    async def version(self) -> str:
        """The store's version, as ``3.4.23``."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still hold for a commit: ``key`` was created at revision ``create``.

    The engine's guard is the leader key, an agent's its machine key. A commit that fails it raises
    LeadershipLost or LeaseLost, whichever ``lost`` names.
    """

    key: str
    create: int
    lost: Literal["leadership", "lease"]


class Observed(Protocol):
    """A world that is kept current: listed, watched, listed again every 30 s."""

    @property
    def world(self) -> World: ...

    @property
    def stale_since(self) -> float | None:
        """When etcd was last heard (monotonic seconds) while it is silent, else None."""

    async def changed(self, timeout: float) -> Touched:
        """What was touched since the last call; waits up to ``timeout`` seconds for something.

        ``Touched.everything`` is set after each full list. Each caller of one Observed shares the
        cursor: one Observed, one reader."""

    async def reached(self, revision: int) -> None:
        """Wait until the world holds all that was written up to ``revision``."""


class Store(Protocol):
    """What loops and handlers use."""

    def observe(self, machine: str | None = None) -> AbstractAsyncContextManager[Observed]:
        """The whole cluster, or with ``machine`` only what that machine's agent needs: its
        assignments, its own states and its overlay."""

    async def commit(
        self, changes: Sequence[Change], world: World, guard: Guard | None = None
    ) -> int:
        """Write all changes, in as few transactions as etcd's limits allow, each change whole.

        Compares the revisions of what ``world`` holds and the guard. Returns the last revision
        written (``world.revision`` when there was nothing to do). Raises Conflict when somebody
        was faster, LeadershipLost or LeaseLost by the guard."""

    async def content(self, digest: str) -> str:
        """A unit file's text by its hash. Raises NotFound."""

    async def texts(self, digests: Iterable[str]) -> dict[str, str]:
        """Many unit files' texts by hash, together; those that are not there are left out."""

    async def contents(self, after: str, most: int) -> tuple[StoredText, ...]:
        """The first ``most`` stored texts whose hash comes after another, in order of hash."""
