"""Steps into as few transactions as etcd's limits allow, and why one was refused.

A step is never split; steps keep the order in which they were decided; the guard is compared in
every transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fleetish.errors import Conflict, FleetishError, LeadershipLost, LeaseLost, Refused
from fleetish.store.base import Compare, Delete, Guard, Put, Txn, TxnResult

#: etcd's default --max-txn-ops, and a size at which one write does not hold up the others (bytes).
MAX_OPERATIONS = 128
MAX_BYTES = 512 * 1024


class Step(NamedTuple):
    """One change as conditions and writes."""

    compares: tuple[Compare, ...]
    operations: tuple[Put | Delete, ...]


class _Batch:
    """Steps that will go into one transaction."""

    def __init__(self, guard: Compare | None) -> None:
        self.compares: dict[Compare, None] = {guard: None} if guard else {}
        self.operations: dict[str, Put | Delete] = {}
        self.bytes = 0
        self._empty = len(self.compares)

    def fits(self, step: Step) -> bool:
        """True when the step fits beside what is there; the first one always does."""
        if not self.operations:
            return True
        compares = len(self.compares) + sum(c not in self.compares for c in step.compares)
        fresh = [o for o in step.operations if o.key not in self.operations]
        return (
            compares <= MAX_OPERATIONS
            and len(self.operations) + len(fresh) <= MAX_OPERATIONS
            and self.bytes + _size(step, fresh) <= MAX_BYTES
        )

    def add(self, step: Step) -> None:
        fresh = [o for o in step.operations if o.key not in self.operations]
        self.bytes += _size(step, fresh)
        self.compares.update(dict.fromkeys(step.compares))
        self.operations.update((o.key, o) for o in fresh)

    def txn(self) -> Txn:
        witness = tuple(dict.fromkeys(compare.key for compare in self.compares))
        return Txn(tuple(self.compares), tuple(self.operations.values()), witness)


def _size(step: Step, operations: Iterable[Put | Delete]) -> int:
    written = sum(len(o.key) + len(o.value) + 16 for o in operations if isinstance(o, Put))
    return written + sum(2 * len(compare.key) + 32 for compare in step.compares)


def pack(steps: Iterable[Step], guard: Guard | None = None) -> tuple[Txn, ...]:
    """Steps in as few transactions as etcd's limits allow, in order, each under the guard.

    Raises Refused when two steps write one key, or one compares what another writes: the later one
    could only fail.
    """
    held = Compare(guard.key, "create", "=", guard.create) if guard else None
    written: dict[str, Put | Delete] = {}
    batches = [_Batch(held)]
    for step in steps:
        _check_alone(step, written)
        if not batches[-1].fits(step):
            batches.append(_Batch(held))
        batches[-1].add(step)
        written.update((operation.key, operation) for operation in step.operations)
    return tuple(batch.txn() for batch in batches if batch.operations)


def _check_alone(step: Step, written: dict[str, Put | Delete]) -> None:
    keys = [compare.key for compare in step.compares]
    keys += [o.key for o in step.operations if written.get(o.key, o) != o]
    twice = next((key for key in keys if key in written), None)
    if twice is not None:
        raise Refused(
            f"cannot write {twice} twice in one commit", hint="commit the second change afterwards"
        )


def refusal(txn: Txn, result: TxnResult, guard: Guard | None = None) -> FleetishError:
    """Why a transaction was refused: LeadershipLost or LeaseLost by the guard, else Conflict."""
    found = {item.key: item for item in result.read}
    failed = [compare for compare in txn.compares if not compare.holds(found.get(compare.key))]
    if guard and any(compare.key == guard.key for compare in failed):
        if guard.lost == "leadership":
            return LeadershipLost("cannot write: another engine leads, or none")
        return LeaseLost("cannot write: this machine's registration is gone")
    if not failed:
        return Conflict("cannot write: somebody was faster")
    names = ", ".join(dict.fromkeys(compare.key for compare in failed[:3]))
    return Conflict(f"cannot write: {names} changed meanwhile", hint="look again, then decide")
