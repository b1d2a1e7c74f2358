"""The contract's values as etcd's messages, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aetcd import rpc

from fleetish.store.base import Compare, Delete, Event, KeyValue, Put, Txn

_OPERATORS = {
    "=": rpc.Compare.EQUAL,
    "!=": rpc.Compare.NOT_EQUAL,
    ">": rpc.Compare.GREATER,
    "<": rpc.Compare.LESS,
}


def transaction(txn: Txn) -> Any:
    """A transaction; the witnesses are read without their values."""
    return rpc.TxnRequest(
        compare=[_compare(compare) for compare in txn.compares],
        success=[_operation(operation) for operation in txn.operations],
        failure=[_witness(key) for key in txn.witness],
    )


def reading(keys: Sequence[str]) -> Any:
    """A transaction that only reads some keys."""
    ranges = (rpc.RangeRequest(key=key.encode()) for key in keys)
    return rpc.TxnRequest(success=[rpc.RequestOp(request_range=one) for one in ranges])


def read(answer: Any) -> Iterator[KeyValue]:
    """The keys that a transaction has read."""
    for part in answer.responses:
        yield from map(item, part.response_range.kvs)


def after(prefix: str) -> bytes:
    """The first key that does not have this prefix (etcd's range_end of a prefix)."""
    raw = prefix.encode().rstrip(b"\xff")
    return raw[:-1] + bytes((raw[-1] + 1,)) if raw else b"\0"


def item(found: Any) -> KeyValue:
    """A key as it was read."""
    return KeyValue(
        found.key.decode(), found.value, found.create_revision, found.mod_revision, found.lease
    )


def happened(event: Any) -> Event:
    """What a watch tells of one key."""
    found = event.kv
    key = found.key.decode("utf-8", "replace")
    if event.type:
        return Event(key, None, 0, found.mod_revision)
    return Event(key, found.value, found.create_revision, found.mod_revision, found.lease)


def _compare(compare: Compare) -> Any:
    operator, key = _OPERATORS[compare.op], compare.key.encode()
    if compare.field == "create":
        target = rpc.Compare.CREATE
        return rpc.Compare(result=operator, target=target, key=key, create_revision=compare.value)
    target = rpc.Compare.MOD
    return rpc.Compare(result=operator, target=target, key=key, mod_revision=compare.value)


def _operation(operation: Put | Delete) -> Any:
    key = operation.key.encode()
    if isinstance(operation, Delete):
        return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key))
    put = rpc.PutRequest(key=key, value=operation.value, lease=operation.lease)
    return rpc.RequestOp(request_put=put)


def _witness(key: str) -> Any:
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode(), keys_only=True))
