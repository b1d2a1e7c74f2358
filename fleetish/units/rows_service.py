"""The [Service] section's own directives and how its processes are killed (systemd.service(5),
systemd.kill(5)).

What it shares with other types is in rows_exec, rows_sandbox and rows_resource.
"""

from __future__ import annotations

from fleetish.units import codes, values
from fleetish.units.execline import Command, commands
from fleetish.units.rows import (
    Given,
    Property,
    Row,
    choice,
    coded,
    flag,
    micros,
    number,
    scalar,
    text,
)
from fleetish.units.rows_unit import START_LIMITS

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


def _both_timeouts() -> Row:
    """TimeoutSec= is short for both."""

    def build(found: list[int]) -> tuple[Property, ...]:
        names = ("TimeoutStartUSec", "TimeoutStopUSec")
        return tuple(Property(name, "t", found[-1]) for name in names)

    properties = (("TimeoutStartUSec", "t"), ("TimeoutStopUSec", "t"))
    return Row(("TimeoutSec",), properties, lambda given: values.span_or_never(given.text), build)


def _statuses(name: str) -> Row:
    def read(words: list[str]) -> list[object]:
        return list(codes.exit_statuses(words))

    return coded(name, "(aiai)", read)


def signal(name: str) -> Row:
    """A signal by name or number."""
    return scalar(name, "i", codes.signal_number)


FAILURE_MODES = ("terminate", "abort", "kill")

KILL = (
    choice("KillMode", "control-group", "process", "mixed", "none"),
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
    micros("TimeoutAbortSec"),
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
    text("BusName"),
    choice("NotifyAccess", "none", "main", "exec", "all"),
    number("FileDescriptorStoreMax", "u", 0, 2**32 - 1),
    text("USBFunctionDescriptors"),
    text("USBFunctionStrings"),
    choice("OOMPolicy", "continue", "stop", "kill"),
    flag("NonBlocking"),
    *START_LIMITS,
    *KILL,
)

SERVICE_NOT_TRANSIENT: dict[str, str] = {
    "Sockets": "name the service in the .socket unit with Service= instead",
    "TimeoutCleanSec": "it only bounds systemctl clean",
}
