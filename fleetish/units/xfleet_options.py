"""The options of [X-Fleet]: a table of how the values of each become a field of Requirements."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from fleetish.units import constraint, fetch, values, variables
from fleetish.units.globs import is_glob, matches
from fleetish.units.health import health_checks, on_unhealthy, readiness

#: Ports that one unit may claim, at most.
MAX_PORTS = 1024


class Class(StrEnum):
    """What happens to a unit whose machine is lost."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"
    PINNED = "pinned"


class Option(NamedTuple):
    """One row of the table: how the values of an option (in order, never empty) become a field.

    ``merge`` gets the values after quoting and specifiers, and raises ValueError on a bad one.
    ``resets`` says that an empty assignment drops what came before.
    """

    key: str
    field: str
    merge: Callable[[list[str]], object]
    doc: str
    aliases: tuple[str, ...] = ()
    resets: bool = False


def _first(rows: list[str]) -> str:
    return _filled(rows)[0]


def _filled(rows: list[str]) -> list[str]:
    if not all(rows):
        raise ValueError("it is empty")
    return rows


def _peers(rows: list[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_filled(rows)))
    for word in found:
        if is_glob(word):
            matches(word, "")  # a malformed pattern is refused here, once
    return found


def _patterns(rows: list[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(word for row in rows for word in row.split()))
    for pattern in found:
        matches(pattern, "")  # a malformed pattern is refused here, once
    return found


def _metadata(rows: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        key, *rest = row.split("=")
        if len(rest) != 1 or not key or not rest[0]:
            raise ValueError(f'{row!r} is not key=value (several go in quotes: "a=1" "b=2")')
        found.setdefault(key, {})[rest[0]] = None
    return tuple((key, tuple(allowed)) for key, allowed in found.items())


def _truthy(rows: list[str]) -> bool:
    return rows[-1].lower() in ("true", "yes", "1", "on", "t")


def _cpus(rows: list[str]) -> int:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?|\.\d{1,3}", rows[-1], re.ASCII):
        raise ValueError("it is no number of cores such as 2 or 0.5")
    return round(float(rows[-1]) * 1000)


def _bytes(rows: list[str]) -> int:
    amount = values.size(rows[-1])
    if amount >= 2**63:
        raise ValueError("the size is too large")
    return amount


def _ports(rows: list[str]) -> tuple[int, ...]:
    found = [port for row in rows for word in row.split() for port in _port_range(word)]
    if len(found) > MAX_PORTS:
        raise ValueError(f"a unit may have {MAX_PORTS} ports at most")
    fixed = [port for port in found if port]
    if len(set(fixed)) != len(fixed):
        raise ValueError("it names a port twice")
    return tuple(found)


def _port_range(word: str) -> range:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", word, re.ASCII)
    first = int(found[1]) if found else -1
    last = int(found[2]) if found and found[2] else first
    lowest = 1 if found and found[2] else 0
    if not lowest <= first <= last <= 65535:
        raise ValueError(f"{word!r} is no port, no range a-b and not 0 for any port")
    return range(first, last + 1)


def _class(rows: list[str]) -> Class:
    try:
        return Class(rows[-1])
    except ValueError:
        raise ValueError("it is none of shared, exclusive, pinned") from None


def _priority(rows: list[str]) -> int:
    return values.integer(rows[-1], -1000, 1000)


def _reschedule(rows: list[str]) -> bool:
    if rows[-1] not in ("no", "on-failure"):
        raise ValueError("it is neither no nor on-failure")
    return rows[-1] == "on-failure"


def _failures(rows: list[str]) -> int:
    return values.integer(rows[-1], 1, 1000)


def _seconds(rows: list[str]) -> float:
    found = values.seconds(rows[-1])
    if found == float("inf"):
        raise ValueError("it must be finite")
    return found


OPTIONS = (
    Option(
        "MachineID",
        "machine_id",
        _first,
        "Run on this machine only: its full id, or the first 8 characters of it. First wins.",
        aliases=("X-ConditionMachineID", "X-ConditionMachineBootID"),
    ),
    Option(
        "MachineOf",
        "machine_of",
        _peers,
        "Run where this unit is placed; with a pattern such as web@*.service, where one of the "
        "units is that it means. Repeated: where all of that holds.",
        aliases=("X-ConditionMachineOf",),
    ),
    Option(
        "MachineMetadata",
        "metadata",
        _metadata,
        "Run where the machine's metadata has key=value. One key repeated: any of its values; "
        "different keys: all of them.",
        aliases=("X-ConditionMachineMetadata",),
    ),
    Option(
        "Conflicts",
        "conflicts",
        _patterns,
        "Never run beside a unit whose name matches one of these patterns; holds both ways.",
        aliases=("X-Conflicts",),
    ),
    Option(
        "Global",
        "global_",
        _truthy,
        "Run on every machine that MachineMetadata and Conflicts allow. Last wins.",
    ),
    Option(
        "Replaces",
        "replaces",
        _patterns,
        "When placed beside a unit whose name matches, move that one to another machine.",
    ),
    Option("CPUs", "millicpus", _cpus, "Cores to reserve, such as 0.5.", resets=True),
    Option("Memory", "memory", _bytes, "Memory to reserve, such as 512M.", resets=True),
    Option("Disk", "disk", _bytes, "Disk space to reserve, such as 10G.", resets=True),
    Option(
        "Ports",
        "ports",
        _ports,
        "Ports of the machine to claim: numbers, ranges a-b, or 0 for one that is assigned. "
        "Repeats add.",
        resets=True,
    ),
    Option(
        "Class",
        "klass",
        _class,
        "shared (default): moved when its machine is lost, may overlap briefly. "
        "exclusive: at most one alive. pinned: never moved by itself.",
        resets=True,
    ),
    Option("Priority", "priority", _priority, "-1000 … 1000, higher is placed first.", resets=True),
    Option(
        "Reschedule",
        "reschedule",
        _reschedule,
        "on-failure: move to another machine after repeated failure. Default no.",
        resets=True,
    ),
    Option(
        "RescheduleAfter",
        "reschedule_after",
        _failures,
        "Failures on one machine before the unit moves. Default 3.",
        resets=True,
    ),
    Option(
        "Backoff",
        "backoff_s",
        _seconds,
        "First wait before a failed unit is started again, doubled each time. Default 1s.",
        resets=True,
    ),
    Option("BackoffMax", "backoff_max_s", _seconds, "Longest such wait. Default 60s.", resets=True),
    Option(
        "Environment",
        "environment",
        variables.read_all,
        "NAME=text: a variable whose text holds ${PORT0}, ${PORT1} … ${PORTS}, ${LAUNCH} or "
        "${MACHINE}. Repeats add; [Service]'s own Environment= wins.",
        resets=True,
    ),
    Option(
        "HealthCheck",
        "health",
        health_checks,
        "A probe that its machine repeats while the unit is active: http, https, tcp or command, "
        "then options. Repeated: all must succeed.",
        resets=True,
    ),
    Option(
        "Readiness",
        "readiness",
        lambda rows: readiness(rows[-1]),
        "A probe (http or https, then options) that must succeed once after each start.",
        resets=True,
    ),
    Option(
        "OnUnhealthy",
        "on_unhealthy",
        lambda rows: on_unhealthy(rows[-1]),
        "restart: an unhealthy unit is killed, so that Restart= or Reschedule= starts it again. "
        "Default none.",
        resets=True,
    ),
    Option(
        "Constraint",
        "constraints",
        constraint.read_all,
        "FIELD OPERATOR [VALUE]: spread or gather the units of a template by hostname or a "
        "metadata key. UNIQUE, MAX_PER n, GROUP_BY [n], CLUSTER [value], IS value, LIKE and "
        "UNLIKE regular expression. Repeated: all must hold.",
        resets=True,
    ),
    Option(
        "Sandbox",
        "sandbox",
        lambda rows: values.boolean(rows[-1]),
        "yes: a directory of its own to work in, gone when the unit leaves the machine. "
        "Default no.",
        resets=True,
    ),
    Option(
        "Fetch",
        "fetch",
        fetch.read_all,
        "URI [extract] [executable] [cache] [dest=PATH] [sha256=HEX]: a file to have in the "
        "sandbox before each start; implies Sandbox=yes. Repeats add.",
        resets=True,
    ),
)
