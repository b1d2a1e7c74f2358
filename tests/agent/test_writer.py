"""dbus-fast takes a full socket for the end of the connection; our writer waits."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dbus_fast import Message
from dbus_fast.aio.message_bus import MessageBus, _MessageWriter

from fleetish.agent.systemd.connection import PatientWriter

#: Far more than a socket's buffer holds: 200 messages of 16 kB.
COUNT, SIZE = 200, 16_000


class Bus(SimpleNamespace):
    """As much of a MessageBus as a writer looks at."""

    unique_name = ":1.1"
    _negotiate_unix_fd = False
    _user_disconnect = False
    ended: Exception | None = None

    def _finalize(self, error: Exception) -> None:
        self.ended = error


async def send_all(kind: type[_MessageWriter], far: socket.socket, near: socket.socket) -> Any:
    """Write everything in one turn of the loop, then read it: how that came out."""
    loop = asyncio.get_running_loop()
    bus = Bus(_sock=near, _loop=loop, _fd=near.fileno())
    writer = kind(cast(MessageBus, bus))
    sent = [loop.create_future() for _ in range(COUNT)]
    expected = b""
    for serial, future in enumerate(sent, start=1):
        message = Message(path="/a", member="B", signature="s", body=["x" * SIZE], serial=serial)
        expected += bytes(message._marshall(False))
        writer.schedule_write(message, future)
    if bus.ended is not None:
        for future in sent:
            future.cancel()
            if future.done() and not future.cancelled():
                future.exception()
        return bus.ended
    received = b""
    while len(received) < len(expected):
        received += await loop.sock_recv(far, 1 << 20)
    await asyncio.gather(*sent)
    return received == expected


def run(kind: type[_MessageWriter]) -> Any:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        return asyncio.run(send_all(kind, far, near))


def test_a_full_socket_is_waited_for_and_nothing_is_lost_or_repeated() -> None:
    assert run(PatientWriter) is True


def test_dbus_fasts_own_writer_still_needs_replacing() -> None:
    assert isinstance(run(_MessageWriter), BlockingIOError)


def test_a_broken_connection_still_ends_the_bus() -> None:
    async def broken() -> tuple[Exception | None, asyncio.Future[None]]:
        near, far = socket.socketpair()
        far.close()
        with near:
            near.setblocking(False)
            loop = asyncio.get_running_loop()
            bus = Bus(_sock=near, _loop=loop, _fd=near.fileno())
            future: asyncio.Future[None] = loop.create_future()
            message = Message(path="/a", member="B", serial=1)
            writer = PatientWriter(cast(MessageBus, bus))
            writer.schedule_write(message, future)
            loop.remove_writer(near.fileno())
            return bus.ended, future

    ended, future = asyncio.run(broken())
    assert isinstance(ended, BrokenPipeError)
    with pytest.raises(BrokenPipeError):
        future.result()
