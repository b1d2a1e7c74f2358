"""Booting a host and running commands on it: systemd-nspawn, with limits that bite.

The host's groups are entered *before* systemd-nspawn starts, so ``--keep-unit`` makes them the root
of what systemd sees inside. On cgroup v1 systemd-nspawn mounts the controllers read-only; the
first command inside makes them writable and then becomes systemd.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from fleetish.errors import LabError
from fleetish.lab.cgroups import V1_WRITABLE
from fleetish.lab.layout import Host, Places
from fleetish.lab.processes import ProcessId, alive

SYSTEMD = "/usr/lib/systemd/systemd"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INIT = (
    f"for c in {' '.join(V1_WRITABLE)}; do "
    "[ ! -d /sys/fs/cgroup/$c ] || mount -o remount,bind,rw /sys/fs/cgroup/$c; done; "
    "[ -e /dev/autofs ] || mknod /dev/autofs c 10 235; "  # without it systemd has no automounts
    f"exec {SYSTEMD} systemd.unit=multi-user.target"
)


def boot_command(places: Places, host: Host, shown: Iterable[Path]) -> list[str]:
    """The command that boots a host; ``shown`` is bound into it read-only.

    Capabilities and system calls are those that podman needs inside (keyrings, bpf, mounts).
    """
    return [
        "systemd-nspawn",
        "--quiet",
        f"--directory={places.part(host.name) / 'root'}",
        f"--machine={machine_name(places, host)}",
        f"--hostname={host.name}",
        "--register=no",
        "--keep-unit",
        f"--network-namespace-path={places.net(host.name)}",
        "--kill-signal=SIGRTMIN+3",
        "--notify-ready=yes",
        "--rlimit=RLIMIT_NOFILE=1024:524288",  # what systemd gives on a machine of its own
        "--capability=all",
        "--system-call-filter=@keyring bpf",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
        *(f"--bind-ro={path}" for path in shown),
        "/bin/sh",
        "-c",
        _INIT,
    ]


def machine_name(places: Places, host: Host) -> str:
    """The name that systemd-nspawn knows the host by: unique among all labs."""
    return f"fleetish-{places.name}-{host.name}"


def leader_of(messages: bytes) -> int | None:
    """The host's PID 1 as systemd-nspawn announces it (sd_notify: X_NSPAWN_LEADER_PID=)."""
    for line in messages.splitlines():
        key, _, value = line.partition(b"=")
        if key == b"X_NSPAWN_LEADER_PID":
            return int(value)
    return None


def remember_leader(folder: Path, process: ProcessId | None) -> None:
    """Keep the leader (a host's PID 1, or an etcd process) of a part in its directory."""
    (folder / "leader").write_bytes(msgspec.json.encode(process))


def leader(folder: Path) -> ProcessId | None:
    """The part's leader when it still runs."""
    try:
        found = msgspec.json.decode((folder / "leader").read_bytes(), type=ProcessId | None)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return found if alive(found) else None


def command_inside(folder: Path, name: str, argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` inside a host, with a login's usual environment."""
    process = leader(folder)
    if process is None:
        raise LabError(f"cannot run a command on {name}: it is dead", hint="fleetish lab start")
    environ = [f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER=", "PAGER=cat"]
    environ.append(f"TERM={os.environ.get('TERM', 'dumb')}")
    enter = ["nsenter", f"--target={process.pid}", "-m", "-u", "-i", "-n", "-p", "-C", "--"]
    return [*enter, "/usr/bin/env", "-i", *environ, *argv]


def forget(places: Places, host: Host) -> None:
    """Remove what systemd-nspawn leaves outside when it is killed."""
    shutil.rmtree(f"/run/systemd/nspawn/propagate/{machine_name(places, host)}", ignore_errors=True)
