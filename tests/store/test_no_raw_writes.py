"""Cluster writes are made in one place; everybody else speaks in changes."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITES = {"Put", "Delete", "Txn", "TxnRequest", "PutRequest", "DeleteRangeRequest", "RequestOp"}
#: Who may, and what for: changes; packing them; the keys that hang on leases; etcd's own messages;
#: a measured cluster that is nothing but records, in memory, whose machines and leader nobody is.
ALLOWED = {
    "fleetish/store/txn.py": {"Put", "Delete"},
    "fleetish/store/pack.py": {"Txn"},
    "fleetish/store/lease.py": {"Put", "Delete", "Txn"},
    "fleetish/store/memory.py": {"Delete"},
    "fleetish/store/etcd/messages.py": {
        "TxnRequest", "PutRequest", "DeleteRangeRequest", "RequestOp",
    },
    "bench/marathon_face.py": {"Put", "Txn"},
}  # fmt: skip


def writes(path: Path) -> set[str]:
    """The names of write messages that a file makes."""
    calls = (
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    )
    names = (call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "")
             for call in calls)  # fmt: skip
    return WRITES & set(names)


def test_only_the_store_makes_writes() -> None:
    found = {
        str(path.relative_to(ROOT)): writes(path)
        for package in ("fleetish", "marathon_compat", "bench")
        for path in (ROOT / package).rglob("*.py")
    }
    assert {name: made for name, made in found.items() if made} == ALLOWED
