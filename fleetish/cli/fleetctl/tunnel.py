"""The two ends of ``--tunnel``: a socket here whose connections are commands, and ``fd-forward``.

Client ──▶ socket here ──▶ ssh HOST fleetctl fd-forward PATH ──▶ the API's socket there
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import click

from fleetish.cli.fleetctl.settings import FleetctlCommand
from fleetish.errors import Refused

#: Bytes that are copied at a time.
CHUNK = 65536
#: Seconds that a command may take to end once nobody listens to it.
END = 2.0


class Tunnel:
    """A socket in a directory of its own; each connection to it is the standard input and output
    of a new process, which reads and writes the connection itself: nothing is copied here."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = list(argv)
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> str:
        """The endpoint to connect to. Raises Refused when the command is not installed."""
        if shutil.which(self._argv[0]) is None:
            raise Refused(f"cannot run {self._argv[0]}: it is not installed")
        self._directory = Path(tempfile.mkdtemp(prefix="fleetctl-"))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._directory / "api.sock"))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return f"unix://{self._directory}/api.sock"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._thread.join()
        self._listener.close()
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(END)
            except subprocess.TimeoutExpired:
                child.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                # ssh reads and writes the connection by the descriptor that it inherits.
                end = connection.fileno()
                self._children.append(subprocess.Popen(self._argv, stdin=end, stdout=end))


@click.command("fd-forward", cls=FleetctlCommand)
@click.argument("words", nargs=-1, metavar="SOCKET")
def fd_forward(words: tuple[str, ...]) -> int:
    """Copy standard input to a unix socket, and what comes from it to standard output.

    ``fleetctl --tunnel`` calls this on the other side; people seldom do.

    \b
    fleetctl fd-forward /run/fleetish/api.sock
    """
    if len(words) != 1:
        click.echo("Provide a single argument", err=True)
        return 1
    path = words[0].removeprefix("unix://")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as there:
        try:
            there.connect(path)
        except OSError as error:
            raise Refused(f"Failed dialing remote address: {path}: {error.strerror}") from None
        threading.Thread(target=_send, args=(there,), daemon=True).start()
        return _receive(there)


def _send(there: socket.socket) -> None:
    """Standard input to the socket; its end is passed on, and answers may still come."""
    try:
        while data := os.read(sys.stdin.fileno(), CHUNK):
            there.sendall(data)
        there.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the socket is gone: the other direction ends, and with it the command


def _receive(there: socket.socket) -> int:
    """The socket to standard output, until either ends; the exit code."""
    out = sys.stdout.fileno()
    try:
        while data := there.recv(CHUNK):
            view = memoryview(data)
            while view:
                view = view[os.write(out, view) :]
    except BrokenPipeError:
        return 0
    except OSError as error:
        raise Refused(f"Encountered error during copy: {error.strerror}") from None
    return 0
