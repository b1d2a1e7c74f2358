"""The [Service] section's own directives and how its processes are killed (systemd.service(5),
systemd.kill(5)).

What it shares with other types is in rows_exec, rows_sandbox and rows_resource.
"""

from __future__ import annotations

import dataclasses

from fleetish.units import codes, values
from fleetish.units.execline import Command, commands
from fleetish.units.rows import (
    Empty,
    Given,
    Property,
    Row,
    absolute,
    choice,
    coded,
    flag,
    micros,
    number,
    scalar,
    text,
)
from fleetish.units.rows_unit import OLD_START_LIMIT, START_LIMITS
from fleetish.units.words import Escapes

_EX_ONLY = frozenset({"privileged", "no-setuid", "ambient", "no-env-expand"})


def exec_line(name: str) -> Row:
    """Commands; the …Ex property only where a prefix needs it, as systemd-run chooses."""

    def read(given: Given) -> list[Command]:
        return commands(given.text, given.scope.expand)

    def build(found: list[list[Command]]) -> tuple[Property, ...]:
        rows = [command for part in found for command in part]
        if any(_EX_ONLY.intersection(row.flags) for row in rows):
            full = [[row.path, list(row.argv), list(row.flags)] for row in rows]
            return (Property(f"{name}Ex", "a(sasas)", full),)
        plain = [[row.path, list(row.argv), "ignore-failure" in row.flags] for row in rows]
        return (Property(name, "a(sasb)", plain),)

    properties = ((name, "a(sasb)"), (f"{name}Ex", "a(sasas)"))
    return Row((name,), properties, read, build, controls=True)


def plain_exec_line(name: str) -> Row:
    """Commands of a type for which the bus has no …Ex property."""
    extended = exec_line(name)

    def read(given: Given) -> list[Command]:
        found = extended.read(given)
        if any(_EX_ONLY.intersection(row.flags) for row in found):
            kind = given.scope.name.suffix
            raise ValueError(f"the commands of a transient {kind} take no prefix but - and @")
        return list(found)

    return dataclasses.replace(extended, properties=((name, "a(sasb)"),), read=read)


def _both_timeouts() -> Row:
    """TimeoutSec= is short for both."""

    def build(found: list[int]) -> tuple[Property, ...]:
        names = ("TimeoutStartUSec", "TimeoutStopUSec")
        return tuple(Property(name, "t", found[-1]) for name in names)

    def read(given: Given) -> int:
        return values.span_or_never(given.text)

    properties = (("TimeoutStartUSec", "t"), ("TimeoutStopUSec", "t"))
    return Row(("TimeoutSec",), properties, read, build, empty=Empty.REFUSED)


def only_own_socket() -> Row:
    """Sockets=: only the socket of the service's own name activates it without being named; what
    else the directive does, Wants= and After=, can be said on the bus."""

    def read(given: Given) -> list[str]:
        own = f"{given.scope.name.stem}.socket"
        names = given.words(Escapes.KEEP)
        if any(name != own for name in names):
            raise ValueError(f"a transient service is activated by {own} only, whose name it has")
        return names

    def build(found: list[list[str]]) -> tuple[Property, ...]:
        names = list(dict.fromkeys(name for part in found for name in part))
        return Property("Wants", "as", names), Property("After", "as", names)

    properties = (("Wants", "as"), ("After", "as"))
    return Row(("Sockets",), properties, read, build, empty=Empty.NOTHING)


def _statuses(name: str) -> Row:
    def read(words: list[str]) -> list[object]:
        return list(codes.exit_statuses(words))

    return coded(name, "(aiai)", read)


def signal(name: str) -> Row:
    """A signal by name or number."""
    return scalar(name, "i", codes.signal_number, empty=Empty.REFUSED)


FAILURE_MODES = ("terminate", "abort", "kill")

KILL = (
    choice("KillMode", "control-group", "process", "mixed", "none", empty=Empty.RESETS),
    signal("KillSignal"),
    signal("RestartKillSignal"),
    signal("FinalKillSignal"),
    signal("WatchdogSignal"),
    flag("SendSIGKILL"),
    flag("SendSIGHUP"),
)

SERVICE = (
    choice("Type", "simple", "forking", "oneshot", "dbus", "notify", "idle", "exec"),
    choice("ExitType", "main", "cgroup"),
    choice(
        "Restart",
        "no",
        "on-success",
        "on-failure",
        "on-abnormal",
        "on-watchdog",
        "on-abort",
        "always",
    ),
    exec_line("ExecCondition"),
    exec_line("ExecStartPre"),
    exec_line("ExecStart"),
    exec_line("ExecStartPost"),
    exec_line("ExecReload"),
    exec_line("ExecStop"),
    exec_line("ExecStopPost"),
    micros("RestartSec"),
    micros("TimeoutStartSec", read=values.span_or_never),
    micros("TimeoutStopSec", read=values.span_or_never),
    micros("TimeoutAbortSec", empty=Empty.RESETS),
    _both_timeouts(),
    choice("TimeoutStartFailureMode", *FAILURE_MODES),
    choice("TimeoutStopFailureMode", *FAILURE_MODES),
    micros("RuntimeMaxSec"),
    micros("RuntimeRandomizedExtraSec"),
    micros("WatchdogSec"),
    flag("PermissionsStartOnly"),
    flag("RootDirectoryStartOnly"),
    flag("RemainAfterExit"),
    flag("GuessMainPID"),
    _statuses("SuccessExitStatus"),
    _statuses("RestartPreventExitStatus"),
    _statuses("RestartForceExitStatus"),
    text("PIDFile"),
    text("BusName", empty=Empty.REFUSED),
    choice("NotifyAccess", "none", "main", "exec", "all"),
    number("FileDescriptorStoreMax", "u", 0, 2**32 - 1),
    text("USBFunctionDescriptors", check=absolute),
    text("USBFunctionStrings", check=absolute),
    choice("OOMPolicy", "continue", "stop", "kill"),
    flag("NonBlocking"),
    OLD_START_LIMIT,
    *START_LIMITS,
    only_own_socket(),
)

SERVICE_NOT_TRANSIENT: dict[str, str] = {
    "SysVStartPriority": "systemd ignores it; leave it out",
    "BusPolicy": "systemd ignores it; leave it out",
}
