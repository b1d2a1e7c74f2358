"""Asking another machine's API for what only that machine knows: journals, status, live figures.

A plain HTTP/1.1 GET over asyncio streams, framed by h11; the answer's body is handed on as it
comes, so a followed journal costs no memory here. Ending the iteration closes the connection,
which ends the reader on the other machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import h11
import msgspec

from fleetish.errors import FleetishError, Unavailable
from fleetish.wire_faults import FaultBody, error_of

#: Seconds until a machine must have begun to answer.
PATIENCE = 3.0
CHUNK = 65536


class Answer(NamedTuple):
    """A machine's answer; ``body`` must be read inside the ``ask`` block."""

    status: int
    content_type: str
    body: AsyncIterator[bytes]


@asynccontextmanager
async def ask(
    endpoint: str, path: str, query: Mapping[str, str], patience: float = PATIENCE
) -> AsyncIterator[Answer]:
    """GET ``path`` from a machine's ``endpoint`` (http://address:port).

    Raises Unavailable when it cannot be reached or does not answer in ``patience`` seconds, and
    the machine's own error when it answers with one.
    """
    where = urlsplit(endpoint)
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(where.hostname, where.port or 80)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"cannot reach {endpoint}: {_said(error)}") from None
    try:
        connection = h11.Connection(our_role=h11.CLIENT)
        target = f"{where.path.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
        head = h11.Request(method="GET", target=target, headers=[("Host", where.netloc)])
        writer.write(connection.send(head) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        async with asyncio.timeout(patience):
            response = await _response(connection, reader)
        answer = Answer(response.status_code, _type(response), _body(connection, reader))
        if answer.status >= 400:
            raise await _fault(answer, endpoint)
        yield answer
    except (OSError, TimeoutError, h11.ProtocolError) as error:
        raise Unavailable(f"cannot read from {endpoint}: {_said(error)}") from None
    finally:
        writer.close()


async def read(
    endpoint: str, path: str, query: Mapping[str, str], patience: float = PATIENCE
) -> bytes:
    """The whole body of an answer. Raises as ``ask`` does."""
    async with ask(endpoint, path, query, patience) as answer, asyncio.timeout(patience):
        return b"".join([part async for part in answer.body])


def _said(error: BaseException) -> str:
    return "it does not answer" if isinstance(error, TimeoutError) else str(error)


def _type(response: h11.Response) -> str:
    found = [value for name, value in response.headers if name == b"content-type"]
    return found[0].decode("latin-1") if found else "application/octet-stream"


async def _response(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Response:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            return event
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(CHUNK))
        elif not isinstance(event, h11.InformationalResponse):
            raise Unavailable("cannot read the answer: the connection was closed")


async def _body(connection: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(CHUNK))
        elif isinstance(event, h11.Data):
            yield bytes(event.data)
        else:
            return


async def _fault(answer: Answer, endpoint: str) -> FleetishError:
    text = b"".join([part async for part in answer.body])
    try:
        fault = msgspec.json.decode(text, type=FaultBody).error
    except msgspec.MsgspecError:
        return Unavailable(f"cannot read from {endpoint}: it answers {answer.status}")
    return error_of(fault)
