"""The transient unit in which the command of a health check runs; pure.

It gets what the checked unit has of identity, scheduling, environment and confinement
(systemd.exec(5)), its slice and its memory limit. So the command sees what the unit sees and may
use what the unit may; PID 1 ends it in time, also when nobody waits for it any more.
"""

from __future__ import annotations

from hashlib import sha256

from fleetish.units.health import HealthCheck
from fleetish.units.properties import Property, TransientUnit
from fleetish.units.rows_exec import ENVIRONMENT, IDENTITY, SCHEDULING
from fleetish.units.rows_sandbox import SANDBOX

#: What is of the unit alone, or would be cleaned up when its check ends.
_OWN = frozenset({"PAMName", "RemoveIPC", "UtmpIdentifier", "UtmpMode"})

#: Properties that a check has in common with its unit. Its directories are left out: a second unit
#: with the same RuntimeDirectory= would remove it when it ends.
SHARED = {
    *("Slice", "MemoryMax"),
    *(
        name
        for row in (*IDENTITY, *SCHEDULING, *ENVIRONMENT, *SANDBOX)
        for name, _ in row.properties
        if name not in _OWN
    ),
}

#: What is shared only between units that are joined (JoinsNamespaceOf= in systemd.unit(5)).
_JOINED = frozenset({"PrivateTmp", "PrivateNetwork", "PrivateIPC"})

PREFIX = "fleetish-check-"

#: Only what is wrong with systemd itself is logged: a probe that fails is in the unit's state.
_ALERT = 1


def check_unit_name(unit: str, number: int) -> str:
    """The name of the unit of a check; one at a time runs under it."""
    return f"{PREFIX}{sha256(unit.encode()).hexdigest()[:16]}-{number}.service"


def check_unit(unit: TransientUnit, number: int, check: HealthCheck) -> TransientUnit:
    """The unit that runs a command check of ``unit``, as composed for this machine."""
    shared = tuple(one for one in unit.properties if one.name in SHARED)
    joins = any(one.name in _JOINED and one.value for one in shared)
    join = (Property("JoinsNamespaceOf", "as", [unit.name]),) if joins else ()
    shell = ["/bin/sh", ["/bin/sh", "-c", check.command], ["no-env-expand"]]
    own = (
        Property("Description", "s", f"Health check {number} of {unit.name}"),
        Property("Type", "s", "oneshot"),
        Property("ExecStartEx", "a(sasas)", [shell]),
        Property("CollectMode", "s", "inactive-or-failed"),
        Property("TimeoutStartUSec", "t", round(check.timeout * 1_000_000)),
        Property("TimeoutStopUSec", "t", 1_000_000),
        Property("KillSignal", "i", 9),
        Property("StandardOutput", "s", "null"),
        Property("StandardError", "s", "null"),
        Property("LogLevelMax", "i", _ALERT),
    )
    return TransientUnit(check_unit_name(unit.name, number), (*shared, *join, *own))
