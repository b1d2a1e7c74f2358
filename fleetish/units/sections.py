"""Which rows each section of a unit file has, and what systemd reads there from files only."""

from __future__ import annotations

from fleetish.units.rows import Row
from fleetish.units.rows_exec import EXEC, EXEC_NOT_TRANSIENT
from fleetish.units.rows_mount import AUTOMOUNT, MOUNT
from fleetish.units.rows_path import PATH
from fleetish.units.rows_resource import (
    DELEGATE,
    MANAGED_OOM,
    NO_DELEGATE,
    NO_MANAGED_OOM,
    NO_SLICE,
    RESOURCE,
    RESOURCE_NOT_TRANSIENT,
    SLICE,
)
from fleetish.units.rows_sandbox import SANDBOX
from fleetish.units.rows_scope import SCOPE
from fleetish.units.rows_service import KILL, SERVICE, SERVICE_NOT_TRANSIENT
from fleetish.units.rows_socket import SOCKET
from fleetish.units.rows_timer import TIMER
from fleetish.units.rows_unit import UNIT, UNIT_NOT_TRANSIENT

#: What types that run processes share.
_PROCESSES = (*KILL, *EXEC, *SANDBOX, SLICE, *RESOURCE)

#: Sections by the rows they take.
SECTIONS: dict[str, tuple[Row, ...]] = {
    "Unit": UNIT,
    "Service": (*SERVICE, *_PROCESSES, DELEGATE, *MANAGED_OOM),
    "Socket": (*SOCKET, *_PROCESSES),
    "Timer": TIMER,
    "Path": PATH,
    "Mount": (*MOUNT, *_PROCESSES),
    "Automount": AUTOMOUNT,
    "Slice": (*RESOURCE, *MANAGED_OOM),
    "Scope": (*SCOPE, *KILL, SLICE, *RESOURCE, DELEGATE, *MANAGED_OOM),
}

_NO_GROUP = {**RESOURCE_NOT_TRANSIENT, **NO_DELEGATE, **NO_MANAGED_OOM}

#: Directives that systemd reads from files only: what to do instead, or why it cannot matter.
NOT_TRANSIENT: dict[str, dict[str, str]] = {
    "Unit": UNIT_NOT_TRANSIENT,
    "Service": {**SERVICE_NOT_TRANSIENT, **EXEC_NOT_TRANSIENT, **RESOURCE_NOT_TRANSIENT},
    "Socket": {**EXEC_NOT_TRANSIENT, **_NO_GROUP},
    "Mount": {**EXEC_NOT_TRANSIENT, **_NO_GROUP},
    "Slice": {**RESOURCE_NOT_TRANSIENT, **NO_SLICE, **NO_DELEGATE},
    "Scope": RESOURCE_NOT_TRANSIENT,
}

#: The section of each unit type that can be started here.
TYPE_SECTIONS = {
    kind: kind.capitalize()
    for kind in ("service", "socket", "timer", "path", "mount", "automount", "slice")
}

PROPERTIES: dict[str, dict[str, Row]] = {
    section: {directive: row for row in rows for directive in row.directives}
    for section, rows in SECTIONS.items()
}
