"""Who may import whom, and what pure modules may not touch; read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ("errors", "resources", "units", "model", "health", "changes", "world")

PURE = [
    "errors",
    "resources",
    "model",
    "health",
    "changes",
    "world",
    "units.*",
    "store.base",
    "store.keys",
    "store.codec",
    "store.pack",
    "store.txn",
    "store.fold",
    "engine.constraints",
    "engine.score",
    "engine.draft",
    "engine.plan",
    "engine.explain",
    "engine.losses",
    "engine.place",
    "engine.preempt",
    "engine.roster",
    "engine.spread",
    "engine.vacate",
    "engine.contents",
    "engine.orders",
    "engine.rebalance",
    "engine.rolling",
    "engine.rollout",
    "agent.base",
    "agent.steps",
    "agent.plan",
    "agent.slices",
    "agent.report",
    "agent.backoff",
    "agent.observe",
    "agent.probe_unit",
    "agent.probing",
    "agent.companions",
    "agent.compose",
    "agent.keep",
    "agent.needs",
    "agent.settings",
    "fetch.members",
    "api.diff",
    "api.fleet.discovery",
    "api.fleet.metadata",
    "api.fleet.names",
    "api.fleet.paging",
    "api.fleet.puts",
    "api.fleet.schema",
    "api.fleet.states",
    "api.replace",
    "api.views",
    "api.wishes",
    "cli.fleetctl.openssh",
    "cli.fleetctl.pflag",
    "wire",
    "wire_faults",
    "wire_orders",
    "lab.layout",
    "testing.build",
]

IMPURE = {
    "asyncio", "logging", "os", "random", "secrets", "socket", "subprocess", "threading", "time",
    "uuid",
}  # fmt: skip

ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "clock": (),
    "resources": ("errors",),
    "units": ("errors", "resources", "units"),
    "model": ("resources", "units"),
    "health": ("model", "units"),
    "changes": ("model", "units"),
    "world": ("model", "resources"),
    "config": ("errors", "resources", "units"),
    "fetch": ("errors", "units", "fetch", "__version__"),
    "wire": ("resources",),
    "wire_faults": ("errors", "wire"),
    "wire_orders": ("wire",),
    "transport": (),
    "store": (*CORE, "store", "clock"),
    "engine": (*CORE, "engine", "store.base", "store.lease", "clock"),
    "agent": (*CORE, "agent", "store.base", "store.lease", "clock"),
    "api": (
        *CORE, "api", "store.base", "store.live", "engine.explain", "engine.losses",
        "engine.policy", "engine.orders", "engine.rebalance", "engine.rolling", "engine.rollout",
        "clock", "config", "agent.serve", "wire", "wire_faults", "wire_orders",
    ),
    "client": (
        "errors", "model", "resources", "units", "wire", "wire_faults", "wire_orders", "transport",
    ),
    "cli": (
        "errors", "model", "resources", "units", "client", "transport", "wire", "wire_faults",
        "wire_orders", "cli",
        "fetch", "lab",
        "config", "daemon", "dev",
    ),
    "lab": ("errors", "client", "lab", "config"),
    "testing": (*CORE, "store", "engine", "agent", "clock", "testing"),
    "sim": (*CORE, "store", "engine", "agent", "clock", "testing", "sim"),
}  # fmt: skip

ONE_EDGE = {
    "dbus_fast": ("agent.systemd",),
    "grpc": ("store.etcd",),
    "aetcd": ("store.etcd",),
    "click": ("cli",),
    "starlette": ("api", "agent.serve"),
    "uvicorn": ("api", "daemon"),
    "requests": ("client", "transport", "fetch.download"),
    "re2": ("units.constraint",),
    "jinja2": ("units.template",),
    "httptools": ("agent.probes",),
}


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield name, ast.parse(path.read_text(), str(path))


def imports(tree: ast.Module) -> Iterator[str]:
    """Every module named in an import, also inside functions; but not for type checking only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def below(name: str, prefixes: tuple[str, ...] | list[str]) -> bool:
    return any(name == p or name.startswith(f"{p}.") for p in prefixes)


def is_pure(name: str) -> bool:
    return any(name == row or (row.endswith(".*") and name.startswith(row[:-1])) for row in PURE)


FLEETISH = [
    (name.removeprefix("fleetish").removeprefix("."), tree) for name, tree in modules("fleetish")
]


@pytest.mark.parametrize(("name", "tree"), FLEETISH, ids=[name for name, _ in FLEETISH])
def test_imports_go_downwards(name: str, tree: ast.Module) -> None:
    layer = name.split(".")[0]
    allowed = ALLOWED.get(layer)
    if allowed is None:
        return
    ours = {
        item.removeprefix("fleetish.") for item in imports(tree) if item.startswith("fleetish.")
    }
    wrong = {item for item in ours if not below(item, list(allowed)) and not _is_parent(item)}
    assert not wrong


def _is_parent(item: str) -> bool:
    """``from fleetish.store import base`` names the package ``store`` on its way to a module."""
    return item in {"store", "engine", "agent", "units"} or item == "__version__"


@pytest.mark.parametrize(("name", "tree"), FLEETISH, ids=[name for name, _ in FLEETISH])
def test_pure_modules_touch_no_clock_socket_or_chance(name: str, tree: ast.Module) -> None:
    if not is_pure(name):
        return
    assert not {item.split(".")[0] for item in imports(tree)} & IMPURE


@pytest.mark.parametrize(("name", "tree"), FLEETISH, ids=[name for name, _ in FLEETISH])
def test_each_third_party_edge_is_one_file(name: str, tree: ast.Module) -> None:
    for library, owners in ONE_EDGE.items():
        if any(below(item, [library]) for item in imports(tree)):
            assert below(name, owners), f"{name} imports {library}"


def test_every_pure_module_named_here_exists() -> None:
    known = {name for name, _ in FLEETISH}
    assert {row for row in PURE if not row.endswith(".*")} <= known


def test_fleetish_does_not_know_what_extends_it() -> None:
    for _, tree in FLEETISH:
        assert not any(below(item, ["marathon_compat", "bench"]) for item in imports(tree))


#: Of ``marathon_compat.apps``: definitions are read, judged and shown as values.
MARATHON_PURE = [
    "aims", "app", "backoff", "bounds", "checks", "clash", "containers", "credentials",
    "decisions", "decode", "defaults", "dependencies", "deploy", "docker_parameters", "edits",
    "embed", "environment", "errors", "event_diff", "event_log", "event_tasks", "events",
    "forget", "group_body", "ids", "instances", "json_text", "kills", "legacy", "loose",
    "losses", "making", "merge", "plan", "pod_status", "pods", "pods_app", "ports", "queue",
    "records", "rolling", "rounds", "rules_container", "rules_network", "rules_placement",
    "rules_text", "selector", "shape", "show", "task", "timestamps", "translate",
    "translate_checks", "translate_lines", "translate_ports", "tree", "validate", "view",
    "volumes", "marathon_compat.cli.text", "marathon_compat.wire",
]  # fmt: skip

MARATHON = {
    name.removeprefix("marathon_compat.apps."): tree for name, tree in modules("marathon_compat")
}


@pytest.mark.parametrize("name", MARATHON_PURE)
def test_marathons_pure_modules_touch_no_clock_socket_or_chance(name: str) -> None:
    assert not {item.split(".")[0] for item in imports(MARATHON[name])} & IMPURE


def test_functions_are_at_most_sixty_lines() -> None:
    long = [
        f"{name}.{node.name}: {(node.end_lineno or 0) - node.lineno + 1}"
        for package in ("fleetish", "marathon_compat", "bench")
        for name, tree in modules(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > 60
    ]
    assert not long


def test_files_are_at_most_four_hundred_lines() -> None:
    long = [
        str(path.relative_to(ROOT))
        for package in ("fleetish", "marathon_compat", "bench")
        for path in (ROOT / package).rglob("*.py")
        if len(path.read_text().splitlines()) > 400
    ]
    assert not long
