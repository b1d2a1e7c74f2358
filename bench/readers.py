"""Readers of Marathon's events, run inside a host of the lab, next to the daemon that they read.

``readers.py delays READERS EVENTS``: so many read, and one more never does; apps are created one
after the other, and the seconds from each request to each reader's event are printed.
``readers.py flood CHANGES never|nobody``: so many changes of an app, while a reader never reads, or
nobody does; prints how many events another reader was told.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import uvloop

HOST, PORT = "127.0.0.1", 8080
POSTED = b"event: api_post_event\r\n"
OVER, GIVEN_UP = b"event: deployment_success", b"event: event_stream_detached"
PATIENCE_S = 60.0
FILES = 8192
#: Bytes of the receive buffer of a reader that never reads.
NARROW = 4096
#: Bytes by which an event of a flood is larger than it need be.
PADDING = 8000


@asynccontextmanager
async def stream(kind: str) -> AsyncIterator[asyncio.StreamReader]:
    """A connection that reads events of one kind, or of all; attached."""
    reader, writer = await asyncio.open_connection(HOST, PORT, limit=1 << 20)
    try:
        writer.write(_request(kind))
        await reader.readuntil(b"\r\n\r\n")
        yield reader
    finally:
        writer.close()


def _request(kind: str) -> bytes:
    path = f"/v2/events?event_type={kind}" if kind else "/v2/events"
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: text/event-stream\r\n\r\n".encode()


def never() -> socket.socket:
    """A connection that asks for all events and reads none."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
    sock.connect((HOST, PORT))
    sock.sendall(_request(""))
    return sock


def ask(method: str, path: str, body: object) -> None:
    """One request that must succeed."""
    wanted = urllib.request.Request(
        f"http://{HOST}:{PORT}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(wanted, timeout=PATIENCE_S) as answer:
        answer.read()


class Reader(asyncio.Protocol):
    """A connection that notes when an event came; no more than that, for there are many."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.attached: asyncio.Future[None] = loop.create_future()
        self.told: asyncio.Future[float] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the events that somebody posted."""
        cast(asyncio.Transport, transport).write(_request("api_post_event"))

    def data_received(self, data: bytes) -> None:
        """Events of this kind are small: one comes in one piece."""
        if not self.attached.done():
            self.attached.set_result(None)
        elif POSTED in data and not self.told.done():
            self.told.set_result(time.perf_counter())


async def delays(readers: int, events: int) -> None:
    """Print the delay of each event to each reader, in seconds, sorted."""
    loop = asyncio.get_running_loop()
    found: list[float] = []
    streams = [(await loop.create_connection(Reader, HOST, PORT))[1] for _ in range(readers)]
    async with asyncio.timeout(PATIENCE_S * 10):
        await asyncio.gather(*(one.attached for one in streams))
        with never():
            for number in range(events):
                for one in streams:
                    one.told = loop.create_future()
                begin = time.perf_counter()
                app = {"id": f"/events/n{number}", "cmd": "sleep 1", "instances": 0}
                await asyncio.to_thread(ask, "POST", "/v2/apps", app)
                found += [await one.told - begin for one in streams]
    print(json.dumps(sorted(found)))


async def flood(changes: int, silent: bool) -> None:
    """Print how many events were told, each change waited for; at the end the reader that never
    reads must have been given up."""
    events = 0
    async with stream("") as reader, asyncio.timeout(PATIENCE_S * 10):
        idle = never() if silent else None
        for number in range(changes):
            app = {"cmd": f"sleep {number}", "instances": 0, "env": {"PADDING": "x" * PADDING}}
            await asyncio.to_thread(ask, "PUT", "/v2/apps/events/f", app)
            events += await counted(reader, OVER)
        if idle is not None:
            events += await counted(reader, GIVEN_UP)
            idle.close()
    print(json.dumps(events))


async def counted(reader: asyncio.StreamReader, last: bytes) -> int:
    """How many events come, up to the first of a kind."""
    events, line = 0, b""
    while line != last:
        line = (await reader.readline()).rstrip()
        events += line.startswith(b"event: ")
    return events


def main(argv: list[str]) -> None:
    """See the module's own description."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    match argv:
        case ["delays", readers, events]:
            uvloop.run(delays(int(readers), int(events)))
        case ["flood", changes, ("never" | "nobody") as who]:
            uvloop.run(flood(int(changes), who == "never"))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
