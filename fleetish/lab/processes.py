"""Commands and processes: run one, start one that stays, know one again, end it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fleetish.errors import LabError

_LAUNCH = """\
set -e
log=$1; shift
exec 3>&1 >>"$log" 2>&1
while [ "$1" != -- ]; do echo $$ >"$1"; shift; done
shift
echo $$ >&3
exec 3>&- "$@"
"""


class ProcessId(NamedTuple):
    """A process that cannot be mistaken for a later one with the same number.

    ``start`` is its start time in clock ticks since boot (proc(5), stat, field 22).
    """

    pid: int
    start: int


def run(argv: Sequence[str], *, stdin: str = "") -> str:
    """Run a command to its end and return what it printed; LabError when it fails."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise LabError(f"cannot run {' '.join(argv[:6])}: {reason}")
    return done.stdout


def identify(pid: int) -> ProcessId | None:
    """The process of that number, or None when there is none or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else ProcessId(pid, int(fields[19]))


def alive(process: ProcessId | None) -> bool:
    """Whether exactly that process still runs."""
    return process is not None and identify(process.pid) == process


def start(
    argv: Sequence[str],
    log: Path,
    groups: Iterable[Path] = (),
    *,
    pass_fds: Sequence[int] = (),
    notify: Path | None = None,
) -> ProcessId:
    """Start a process that is nobody's child and outlives this one; its output goes to ``log``.

    It is a member of ``groups`` (their cgroup.procs files) before it becomes ``argv``. With
    ``notify`` it finds a socket for sd_notify(3) messages there.
    """
    environ = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "HOME")}
    if notify is not None:
        environ["NOTIFY_SOCKET"] = str(notify)
    launch = ["setsid", "--fork", "/bin/sh", "-c", _LAUNCH, "sh", str(log), *map(str, groups)]
    done = subprocess.run(
        [*launch, "--", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environ,
        cwd="/",
        pass_fds=pass_fds,
        check=True,
    )
    pid = int(done.stdout)
    return identify(pid) or ProcessId(pid, -1)


def notify_socket(path: Path) -> socket.socket:
    """A datagram socket at ``path`` that receives sd_notify(3) messages."""
    path.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    receiver.bind(str(path))
    return receiver


def end(pids: Iterable[int], *, seconds: float = 5.0) -> None:
    """SIGKILL these processes and wait until each is gone; LabError when one stays."""
    handles = [fd for pid in pids if (fd := _open(pid)) is not None]
    try:
        for fd in handles:
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for fd in handles:
            if not select.select([fd], [], [], seconds)[0]:
                raise LabError("cannot end a process of the lab", hint="see ps -e -o pid,stat,args")
    finally:
        for fd in handles:
            os.close(fd)


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
