"""An app as the API answers it: JSON without a null, and without a key that nobody asked for.

Clients of 1.4 and later are served alike, and the strictest of them refuse keys that they do not
know. So a key is there always, or only when its feature is used; never one of our own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from marathon_compat.apps.app import (
    App,
    Container,
    Docker,
    Network,
    PersistentVolume,
    Piece,
    PortDefinition,
    PortMapping,
    Volume,
)

#: Of each kind of piece: the keys that are left out when they hold nothing. A None always is.
LEFT_OUT: dict[type[Piece], tuple[str, ...]] = {
    App: (
        "args", "constraints", "dependencies", "env", "fetch", "healthChecks", "readinessChecks",
        "secrets", "version",
    ),
    PortDefinition: ("labels",),
    PortMapping: ("networkNames",),
    Network: ("labels",),
    Docker: (),
    Container: (),
    Volume: (),
    PersistentVolume: ("constraints",),
}  # fmt: skip

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def show(app: App) -> dict[str, Any]:
    """The app as JSON's values."""
    found: dict[str, Any] = _decode(_encode(app))
    _prune(found, App)
    for row in found["networks"]:
        _prune(row, Network)
    for row in found.get("portDefinitions", ()):
        _prune(row, PortDefinition)
    for key in ("healthChecks", "fetch"):
        for row in found.get(key, ()):
            _prune(row, Piece)
    if "container" in found:
        _container(found["container"])
    if "resourceLimits" in found:
        _prune(found["resourceLimits"], Piece)
    return found


def show_bytes(app: App) -> bytes:
    """The app as JSON."""
    return _encode(show(app))


def _container(found: dict[str, Any]) -> None:
    _prune(found, Container)
    if "docker" in found:
        _prune(found["docker"], Docker)
    for row in found.get("portMappings", ()):
        _prune(row, PortMapping)
    for row in found["volumes"]:
        _prune(row, Volume)
        if "persistent" in row:
            _prune(row["persistent"], PersistentVolume)


def _prune(found: dict[str, Any], kind: type[Piece]) -> None:
    silent = LEFT_OUT.get(kind, ())
    for key in [key for key, value in found.items() if value is None]:
        del found[key]
    for key in silent:
        if key in found and not found[key]:
            del found[key]
