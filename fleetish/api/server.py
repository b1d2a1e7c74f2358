"""Listening: uvicorn inside our own loop, on sockets that were opened here or by systemd."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from fleetish.errors import BadConfig

BACKLOG = 1024
#: Seconds for which an idle connection is kept. More than clients wait between two questions: one
#: that asks in the moment in which its connection is closed gets no answer.
KEEP_ALIVE_S = 75


class Server(uvicorn.Server):
    """uvicorn without its signal handlers (the daemon has its own) and without its 10 Hz tick."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                date_header=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
                backlog=BACKLOG,
            )
        )
        self._stopping = asyncio.Event()
        # What handlers raise is logged by our own handler, what is cut off at the end is no error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._stopping.wait()

    def stop(self) -> None:
        """Take no more requests, and end those that are open within a second."""
        self.should_exit = True
        self._stopping.set()


async def serve(
    app: ASGIApp, sockets: Sequence[socket.socket], closing: Callable[[], None] = lambda: None
) -> None:
    """Answer requests until cancelled; then stop within about a second.

    ``closing`` is called first: it ends streams that would otherwise be cut off.
    """
    server = Server(app)
    serving = asyncio.ensure_future(server.serve(sockets=list(sockets)))
    try:
        await asyncio.shield(serving)
    finally:
        closing()
        server.stop()
        await serving


def open_sockets(listen: Sequence[str]) -> list[socket.socket]:
    """Sockets for ``unix:/path`` and ``address:port``, listening.

    Raises BadConfig naming the listener that cannot be had; then none stays open.
    """
    opened: list[socket.socket] = []
    try:
        for where in listen:
            opened.append(_open(where))
    except (OSError, ValueError) as error:
        for sock in opened:
            sock.close()
        raise BadConfig(f"cannot listen on {where}: {error}", hint="see listen") from None
    return opened


def not_among(listen: Sequence[str], sockets: Sequence[socket.socket]) -> list[str]:
    """The listeners that none of these open sockets stands for already.

    A socket on every address of a port stands for that port, IPv4 and IPv6 alike.
    """
    paths = {sock.getsockname() for sock in sockets if sock.family == socket.AF_UNIX}
    names = {sock.getsockname()[:2] for sock in sockets if sock.family != socket.AF_UNIX}
    return [where for where in listen if not _stands_for(where, paths, names)]


def _stands_for(where: str, paths: set[str], names: set[tuple[str, int]]) -> bool:
    if where.startswith("unix:"):
        return _path_of(where) in paths
    try:
        host, port = split_address(where)
    except ValueError:
        return False  # whoever opens it says what is wrong
    return bool({(host, port), ("0.0.0.0", port), ("::", port)} & names)


def _path_of(where: str) -> str:
    """The path in ``unix:/path`` or ``unix:///path``."""
    return where.removeprefix("unix:").removeprefix("//")


def _open(where: str) -> socket.socket:
    if where.startswith("unix:"):
        return _open_unix(_path_of(where))
    host, port = split_address(where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio knows to send small answers at once (TCP_NODELAY).
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def split_address(where: str) -> tuple[str, int]:
    """``address:port``, ``:port`` (every IPv4 address) or ``[address]:port``. Raises ValueError."""
    host, colon, port = where.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError("it is neither unix:/path nor address:port")
    return host.strip("[]") or "0.0.0.0", int(port)


def _open_unix(path: str) -> socket.socket:
    """A socket file for root and its group; one that nobody answers any more is replaced."""
    if not path.startswith("/"):
        raise ValueError("the path of a socket must be absolute")
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _answers(path):
            raise OSError("another process answers there")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        before = os.umask(0o117)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def addresses(sockets: Sequence[socket.socket]) -> list[str]:
    """Where sockets listen, as in the settings."""
    return [_address(sock) for sock in sockets]


def _address(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"{host}:{name[1]}"
