"""The way from 127.0.0.1 into a lab: a TCP proxy that listens outside and connects inside.

A socket belongs to the network namespace in which it was made, for ever. So the listening sockets
are made by whoever starts this process and are handed to it; the process then joins the lab's
namespace, and every connection that it opens is opened there (setns(2), network_namespaces(7)).

It leads a connection to a host that lives: hosts that the record calls off, frozen or cut are not
tried, nor are those that did not answer lately while others may; a host that falls silent in the
middle of a connection is given up after some seconds (tcp(7), TCP_USER_TIMEOUT).

    python -m fleetish.lab.forward RECORD NAMESPACE FACE=FD …
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from fleetish.lab.layout import FACES, Fault, Record

CONNECT_S = 1.0
SILENT_S = 4
BAD_S = 2.0
_CHUNK = 1 << 16
_CLONE_NEWNET = 0x40000000
_UNREACHABLE = frozenset({Fault.POWER, Fault.FROZEN, Fault.CUT_ALL})


def candidates(record: Record, failed: Iterable[str]) -> tuple[str, ...]:
    """Addresses to try, best first: hosts without any fault, then those cut from etcd only.

    Those that ``failed`` lately come last; hosts known to be unreachable are left out.
    """
    lately = frozenset(failed)
    reachable = [h for h in record.hosts if not _UNREACHABLE & {*record.faults.get(h.name, ())}]
    best = sorted(
        reachable, key=lambda h: (h.address in lately, record.having(h.name, Fault.CUT_ETCD))
    )
    return tuple(h.address for h in best)


class Forwarder:
    """Leads connections to the hosts of the lab whose record lies at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] = (0, 0)
        self._record: Record | None = None
        self._failed: dict[str, float] = {}

    async def serve(self, faces: Sequence[tuple[str, socket.socket]]) -> None:
        """Serve until cancelled; each face leads to its usual port on a host."""
        async with contextlib.AsyncExitStack() as stack:
            for face, listening in faces:
                lead = functools.partial(self._lead, FACES[face])
                server = await asyncio.start_server(lead, sock=listening)
                await stack.enter_async_context(server)
            await asyncio.Event().wait()

    async def _lead(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far = await self._connect(port)
        if far is None:
            refuse(writer)
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(copy(reader, far[1]))
                both.create_task(copy(far[0], writer))
        except* OSError:
            pass  # either end broke off; the other learns it below
        finally:
            writer.close()
            far[1].close()

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        now = asyncio.get_running_loop().time()
        lately = [a for a, when in self._failed.items() if now - when < BAD_S]
        for address in candidates(self._current(), lately):
            try:
                async with asyncio.timeout(CONNECT_S):
                    reader, writer = await asyncio.open_connection(address, port)
            except (OSError, TimeoutError):
                self._failed[address] = now
                continue
            self._failed.pop(address, None)
            notice_silence(writer.get_extra_info("socket"))
            return reader, writer
        return None

    def _current(self) -> Record:
        """The record, read again when its file has changed."""
        found = self._path.stat()
        seen = (found.st_ino, found.st_mtime_ns)
        if self._record is None or seen != self._seen:
            self._record = msgspec.json.decode(self._path.read_bytes(), type=Record)
            self._seen = seen
        return self._record


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of the stream, then tell the other side that there is no more."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def refuse(writer: asyncio.StreamWriter) -> None:
    """Break a client's connection with a reset (socket(7), SO_LINGER): nobody is there."""
    near: socket.socket = writer.get_extra_info("socket")
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def notice_silence(connection: socket.socket) -> None:
    """Let the kernel break the connection when the other end is silent for SILENT_S (tcp(7))."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, SILENT_S - 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)


def join_network(namespace: Path) -> None:
    """Join a network namespace; setns(2) is not in Python 3.11's os module."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"cannot join {namespace}: {os.strerror(code)}")
    finally:
        os.close(descriptor)


def listen(face: str, wanted: int) -> socket.socket:
    """A socket listening on 127.0.0.1, on the wanted port, the face's own, or any free one."""
    for port in (wanted, FACES[face], 0):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(128)
        except OSError:
            listening.close()
            if port == 0:
                raise
            continue
        return listening
    raise AssertionError("port 0 either works or raises")


def main(argv: Sequence[str]) -> None:
    """Serve the sockets handed over as ``FACE=FD``."""
    record, namespace, *pairs = argv
    faces = []
    for pair in pairs:
        face, _, descriptor = pair.partition("=")
        faces.append((face, socket.socket(fileno=int(descriptor))))
    join_network(Path(namespace))
    asyncio.run(Forwarder(Path(record)).serve(faces))


if __name__ == "__main__":
    main(sys.argv[1:])
