"""Health and readiness checks of an app, as [X-Fleet] has them.

Marathon's own kinds (HTTP, HTTPS, TCP) ask at the machine's address, those of Mesos at the loopback
address, and a command runs on the machine: in a container, when the app is one.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from fleetish.errors import BadUnit
from fleetish.units import health
from fleetish.units.health import LONGEST, MAX_FAILURES, SHORTEST, CheckKind
from marathon_compat.apps.app import App, HealthCheck, ReadinessCheck
from marathon_compat.apps.translate_lines import Line, fleet
from marathon_compat.apps.translate_ports import Port, ports

#: Makes the command that the machine runs of one that the app gives.
Wrap = Callable[[str], str]


def lines(app: App, wrap: Wrap) -> Iterator[Line]:
    """The lines of an app's checks; ``wrap`` makes a command of the machine of one of the app.

    Raises BadUnit for a check that cannot be made from the machine.
    """
    found = ports(app)
    for check in app.health_checks:
        yield fleet("HealthCheck", health.written(_health(check, found, wrap)))
    if app.check is not None:
        yield fleet("HealthCheck", health.written(_advisory(app.check, found, wrap)))
    for ready in app.readiness_checks[:1]:
        yield fleet("Readiness", health.written(_readiness(ready, found)))


def _health(check: HealthCheck, found: tuple[Port, ...], wrap: Wrap) -> health.HealthCheck:
    word = check.protocol.value
    kind = CheckKind(word.removeprefix("MESOS_").lower())
    by_mesos = word.startswith("MESOS_") or kind is CheckKind.COMMAND
    is_command = kind is CheckKind.COMMAND
    index, port = (0, 0) if is_command else _where(check, found)
    is_web = kind in (CheckKind.HTTP, CheckKind.HTTPS)
    return health.HealthCheck(
        kind=kind,
        index=index,
        port=port,
        path=_path(check.path) if is_web else "/",
        command=wrap(check.command.value) if is_command and check.command else "",
        interval=_seconds(check.interval_seconds),
        timeout=_seconds(check.timeout_seconds),
        grace=min(LONGEST, float(check.grace_period_seconds)),
        delay=min(LONGEST, float(check.delay_seconds)) if by_mesos else None,
        failures=min(MAX_FAILURES, check.max_consecutive_failures),
        ignore1xx=is_web and bool(check.ignore_http1xx),
        loopback=word.startswith("MESOS_"),
        ipv6=not is_command and check.ip_protocol == "IPv6",
    )


def _advisory(given: Mapping[str, Any], found: tuple[Port, ...], wrap: Wrap) -> health.HealthCheck:
    """An app's ``check``; Mesos asks at the loopback address. No timeout means the longest."""
    check = {"intervalSeconds": 60, "timeoutSeconds": 20, "delaySeconds": 15, **given}
    asked = check.get("http") or check.get("tcp") or {}
    web, command = "http" in check, (check.get("exec") or {}).get("command")
    scheme = str(asked.get("scheme") or "HTTP").lower() if web else "tcp"
    fixed = int(asked.get("port") or 0)
    asks = command is None and not fixed
    return health.HealthCheck(
        kind=CheckKind.COMMAND if command else CheckKind(scheme),
        index=_granted(found, int(asked.get("portIndex") or 0)) if asks else 0,
        port=fixed,
        path=_path(asked.get("path")) if web else "/",
        command=wrap(_shell(command)) if command else "",
        interval=_seconds(check["intervalSeconds"]),
        timeout=_seconds(check["timeoutSeconds"]) if check["timeoutSeconds"] else LONGEST,
        delay=min(LONGEST, float(check["delaySeconds"])),
        loopback=command is None,
        advisory=True,
    )


def _shell(command: Mapping[str, Any]) -> str:
    """A command of Mesos as a line of a shell."""
    return str(command.get("shell") or shlex.join(map(str, command.get("argv") or ())))


def _where(check: HealthCheck, found: tuple[Port, ...]) -> tuple[int, int]:
    """The number of the granted port, or a port that is fixed, as (index, port)."""
    if check.port:
        return 0, check.port
    return _granted(found, check.port_index or 0), 0


def _granted(found: tuple[Port, ...], at: int) -> int:
    if at >= len(found):
        raise BadUnit(f"cannot check port {at}: the app has {len(found)} ports")
    if found[at].claim is None:
        raise BadUnit(
            f"cannot check port {at}: it is not reached from the machine",
            hint="give its mapping a hostPort",
        )
    return found[at].grant


def _readiness(check: ReadinessCheck, found: tuple[Port, ...]) -> health.Readiness:
    at = next((at for at, port in enumerate(found) if port.name == check.port_name), None)
    if at is None:
        raise BadUnit(f"cannot check readiness: no port is named {check.port_name!r}")
    return health.Readiness(
        kind=CheckKind(check.protocol.lower()),
        index=_granted(found, at),
        path=_path(check.path),
        interval=_seconds(check.interval_seconds),
        timeout=_seconds(check.timeout_seconds),
        codes=check.http_status_codes_for_ready,
    )


def _seconds(given: int) -> float:
    return min(LONGEST, max(SHORTEST, float(given)))


def _path(path: str | None) -> str:
    """The path as it is asked for: what no request line may hold is escaped."""
    return quote("/" + (path or "").removeprefix("/"), safe="/%:?&=#[]@!$'()*+,;~-._")
