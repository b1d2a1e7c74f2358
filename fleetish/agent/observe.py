"""From systemd's properties and signals to an :class:`ObservedUnit`; pure.

Property names and types: org.freedesktop.systemd1(5). Signals carry what changed, so after the
first look a unit is followed without asking PID 1 again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from fleetish.agent.base import Labels, ObservedUnit
from fleetish.units.properties import TransientUnit

UNIT_PREFIX = "/org/freedesktop/systemd1/unit/"

#: siginfo codes of ExecMainCode (sigaction(2)), in systemctl's words.
EXIT_CODES = {0: "", 1: "exited", 2: "killed", 3: "dumped"}

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")

_FIELDS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "LoadState": ("load", str),
    "ActiveState": ("active", str),
    "SubState": ("sub", str),
    "StateChangeTimestamp": ("since", lambda microseconds: microseconds / 1e6),
    "ActiveExitTimestamp": ("left", lambda microseconds: microseconds / 1e6),
    "InvocationID": ("invocation", lambda raw: bytes(raw).hex()),
    "Result": ("result", str),
    "ExecMainCode": ("exit_code", lambda code: EXIT_CODES.get(code, "")),
    "ExecMainStatus": ("exit_status", int),
    "MainPID": ("main_pid", int),
    "NRestarts": ("restarts", int),
    "Slice": ("slice", str),
}


def bus_path(name: str) -> str:
    """The object path of a unit: every byte that is no letter or digit as ``_xx``."""
    return UNIT_PREFIX + "".join(
        char if char in _PLAIN else "".join(f"_{byte:02x}" for byte in char.encode())
        for char in name
    )


def fold(unit: ObservedUnit, changed: Mapping[str, Any]) -> ObservedUnit:
    """The unit after some of its properties changed; the same object when nothing we keep did."""
    known = {
        _FIELDS[key][0]: _FIELDS[key][1](value) for key, value in changed.items() if key in _FIELDS
    }
    news = {field: value for field, value in known.items() if getattr(unit, field) != value}
    return replace(unit, **news) if news else unit  # type: ignore[arg-type]


def from_properties(name: str, properties: Mapping[str, Any], cluster: str) -> ObservedUnit:
    """A unit from all its properties; ours when its labels name this cluster and this unit."""
    found = labels(properties.get("LogExtraFields", ()))
    ours = found if found and (found.cluster, found.unit) == (cluster, name) else None
    return fold(ObservedUnit(name, labels=ours), properties)


def property_names(introspected: str) -> frozenset[str]:
    """The names of all properties in an answer of org.freedesktop.DBus.Introspectable."""
    return frozenset(
        found.get("name", "") for found in ElementTree.fromstring(introspected).iter("property")
    )


def begun(unit: TransientUnit, given: Labels | None) -> ObservedUnit:
    """A unit that is about to be started, before systemd said anything of it."""
    where = next((str(one.value) for one in unit.properties if one.name == "Slice"), "")
    return ObservedUnit(unit.name, slice=where, labels=given)


def extra_fields(given: Labels) -> list[bytes]:
    """The journal fields that mark a unit as started by fleetish."""
    return [
        b"FLEETISH_CLUSTER=" + given.cluster.encode(),
        b"FLEETISH_UNIT=" + given.unit.encode(),
        b"FLEETISH_HASH=" + given.hash.encode(),
        b"FLEETISH_LAUNCH=%d" % given.launch,
    ]


def labels(fields: Iterable[bytes]) -> Labels | None:
    """The labels among journal fields, if they are all there."""
    known = dict(bytes(field).partition(b"=")[::2] for field in fields)
    try:
        return Labels(
            known[b"FLEETISH_CLUSTER"].decode(),
            known[b"FLEETISH_UNIT"].decode(),
            known[b"FLEETISH_HASH"].decode(),
            int(known[b"FLEETISH_LAUNCH"]),
        )
    except (KeyError, ValueError):
        return None
