"""Starting parts side by side and waiting until each says that it is ready (sd_notify(3))."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleetish.errors import LabError, WaitTimeout
from fleetish.lab.guest import leader_of, remember_leader
from fleetish.lab.processes import ProcessId, alive, identify, notify_socket, start

_LONGEST = 4096
_TICK_S = 0.5


@dataclass(frozen=True)
class Booting:
    """A part that was started; its messages arrive at ``receiver``."""

    folder: Path
    process: ProcessId
    receiver: socket.socket
    since: float

    @property
    def name(self) -> str:
        """The host's or member's name."""
        return self.folder.name


@contextmanager
def begin(folder: Path, argv: Sequence[str], groups: Iterable[Path]) -> Iterator[Booting]:
    """Start a part whose directory is ``folder``; its console is appended to a file there."""
    with notify_socket(folder / "notify") as receiver:
        process = start(argv, folder / "console", groups, notify=folder / "notify")
        remember_leader(folder, process)
        yield Booting(folder, process, receiver, time.monotonic())


def await_ready(boots: Sequence[Booting], seconds: float, report: Callable[[str], None]) -> None:
    """Wait until all are ready.

    LabError with the end of its console when one ended instead; WaitTimeout after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for boot in boots:
            selector.register(boot.receiver, selectors.EVENT_READ, boot)
        while selector.get_map():
            for key, _ in selector.select(_TICK_S):
                if _receive(key.data):
                    selector.unregister(key.fileobj)
                    report(f"{key.data.name}: up in {time.monotonic() - key.data.since:.1f} s")
            waiting: list[Booting] = [key.data for key in selector.get_map().values()]
            _check(waiting, deadline)


def _receive(boot: Booting) -> bool:
    """Take one message; whether it says that the part is ready."""
    message = boot.receiver.recv(_LONGEST)
    if (pid := leader_of(message)) is not None:
        remember_leader(boot.folder, identify(pid))
    return b"READY=1" in message.splitlines()


def _check(waiting: Sequence[Booting], deadline: float) -> None:
    for boot in waiting:
        if not alive(boot.process):
            raise LabError(f"cannot start {boot.name}: {_console(boot)}")
    if waiting and time.monotonic() > deadline:
        names = ", ".join(boot.name for boot in waiting)
        raise WaitTimeout(
            f"cannot wait longer for {names}", hint=f"see {waiting[0].folder / 'console'}"
        )


def _console(boot: Booting) -> str:
    lines = (boot.folder / "console").read_text(errors="replace").strip().splitlines()
    return "; ".join(lines[-3:]) or "it ended without a word"
