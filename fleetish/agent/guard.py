"""Exclusive units: at most one alive, since PID 1 ends them before the machine's lease does.

    t sent                 renewal answered (within 1 s), guard fed        nothing more comes
    |----------------------|------------- watchdog ----------|--- stop ---|--drift--|
    |------------------------------ machine TTL -------------------------------------|

The guard is a unit that sleeps and has a watchdog. The agent feeds it after each good renewal of
the machine's lease; without food PID 1 kills it, and every unit with ``BindsTo=`` it is stopped,
and killed after its stop timeout. That holds when the agent is stopped or the host was frozen. The
engine moves such a unit only when the lease is gone, so the bar above must fit into the TTL.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fleetish.errors import BadConfig, BadUnit, SystemdError
from fleetish.units.properties import Property, TransientUnit

NAME = "fleetish-guard.service"

#: Seconds in which a renewal must be answered to count as food.
ANSWER = 1.0

#: The share of the TTL by which two clocks may drift apart, and what signals take.
DRIFT = 0.02

#: The shortest TTL that leaves time to miss one renewal and to stop.
SHORTEST_TTL = 5.0


class Limits(NamedTuple):
    """Seconds: the guard's watchdog, and what an exclusive unit may take to stop, all phases."""

    watchdog: float
    stop: float


def limits(ttl: float) -> Limits:
    """The watchdog and stop time for a machine TTL (seconds): watchdog + stop + 1 + drift = TTL.

    The watchdog is half the TTL, twice the time between renewals. Raises BadConfig for a TTL under
    5 s, which leaves no time to stop.
    """
    if ttl < SHORTEST_TTL:
        raise BadConfig(
            f"cannot run exclusive units with machine_ttl = {ttl:g}",
            hint=f"it takes {SHORTEST_TTL:g} seconds at least to stop them before the lease ends",
        )
    watchdog = ttl / 2
    return Limits(watchdog, ttl - watchdog - ANSWER - DRIFT * ttl)


def guard_unit(found: Limits) -> TransientUnit:
    """The guard: sleeps, until its watchdog is not fed. It then stays failed, so that one can see
    when it died, and which units ended after it."""
    sleep = ["/bin/sleep", ["/bin/sleep", "infinity"], False]
    return TransientUnit(
        NAME,
        (
            Property("Description", "s", "Ends exclusive units when this machine is cut off"),
            Property("Type", "s", "simple"),
            Property("NotifyAccess", "s", "main"),
            Property("WatchdogUSec", "t", _usec(found.watchdog)),
            Property("WatchdogSignal", "i", 9),
            Property("TimeoutStopUSec", "t", 1_000_000),
            Property("Slice", "s", "fleetish.slice"),
            Property("ExecStart", "a(sasb)", [sleep]),
        ),
    )


def bound(unit: TransientUnit, found: Limits) -> tuple[Property, ...]:
    """What an exclusive unit gets beside its own properties.

    Raises BadUnit when its file would let it live on: a longer stop timeout, or no final kill; and
    for anything but a service, whose end PID 1 could not see to.
    """
    if not unit.name.endswith(".service"):
        raise BadUnit(
            f"cannot run {unit.name} as exclusive: only a service can be",
            directive="Class",
            hint="leave Class=exclusive out",
        )
    held = {one.name: one.value for one in unit.properties}
    longest = found.stop / _phases(held)
    asked = held.get("TimeoutStopUSec")
    if isinstance(asked, int) and asked > _usec(longest):
        raise BadUnit(
            f"cannot run {unit.name} as exclusive: TimeoutStopSec= is longer than {longest:.3g} s",
            directive="TimeoutStopSec",
            hint="make it shorter, or machine_ttl longer",
        )
    if held.get("SendSIGKILL") is False or held.get("KillMode", "control-group") in (
        "none",
        "process",
    ):
        raise BadUnit(
            f"cannot run {unit.name} as exclusive: it may outlive its stop",
            directive="KillMode",
            hint="remove SendSIGKILL=no and KillMode=none or process",
        )
    own = (Property("BindsTo", "as", [NAME]), Property("After", "as", [NAME]))
    return own if asked else (*own, Property("TimeoutStopUSec", "t", _usec(longest)))


def _phases(held: dict[str, object]) -> int:
    """How many times TimeoutStopSec= may pass until all is killed (systemd.service(5)): each
    ExecStop= command, then SIGTERM; each ExecStopPost= command, then SIGTERM once more."""
    stops = len(_commands(held, "ExecStop"))
    posts = len(_commands(held, "ExecStopPost"))
    return stops + 1 + (posts + 1 if posts else 0)


def _commands(held: dict[str, object], name: str) -> Sequence[object]:
    found = held.get(name) or held.get(f"{name}Ex") or ()
    return found if isinstance(found, Sequence) else ()


def _usec(seconds: float) -> int:
    return round(seconds * 1_000_000)


def feed(pid: int, notify_socket: Path = Path("/run/systemd/notify")) -> None:
    """Tell systemd, on behalf of the guard's main process, that it is alive (sd_pid_notify(3)).

    Needs CAP_SYS_ADMIN to speak for another process. Raises SystemdError.
    """
    credentials = struct.pack("3i", pid, 0, 0)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.sendmsg([b"WATCHDOG=1"], ancillary, 0, str(notify_socket))
    except OSError as error:
        raise SystemdError(
            f"cannot feed {NAME}: {error.strerror}",
            hint="exclusive units need fleetish serve to run as root",
        ) from error
