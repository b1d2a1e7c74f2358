"""The [Path] section (systemd.path(5))."""

from __future__ import annotations

from fleetish.units.rows import (
    Given,
    Property,
    Row,
    absolute,
    count,
    file_mode,
    flag,
    micros,
    only_default,
)

_KINDS = ("PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty")


def _paths() -> Row:
    """All that is watched, in file order; an empty line of any kind drops all before it."""

    def read(given: Given) -> list[str]:
        return [given.directive, absolute(given.scope.expand(given.text))]

    def build(found: list[list[str]]) -> tuple[Property]:
        return (Property("Paths", "a(ss)", found),)

    return Row(_KINDS, (("Paths", "a(ss)"),), read, build)


PATH = (
    _paths(),
    flag("MakeDirectory"),
    file_mode("DirectoryMode"),
    micros("TriggerLimitIntervalSec"),
    count("TriggerLimitBurst"),
    only_default("Unit", "service"),
)
