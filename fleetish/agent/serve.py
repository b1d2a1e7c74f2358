"""This machine's journal, status texts and figures over HTTP, for any node's API to relay.

GET /v1/local/journal/{unit}?lines=&follow=&cursor=&since=     one JSON object a line
GET /v1/local/status/{unit}                                    text
GET /v1/local/figures                                          {"unit": {"memory":, "cpu":}, …}
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from fleetish.agent.base import Figures, Journal, JournalQuery
from fleetish.errors import Refused
from fleetish.units.name import parse_name

#: Lines of a journal that one call may ask for.
MOST_LINES = 100_000


def local_routes(journal: Journal, figures: Callable[[], Mapping[str, Figures]]) -> list[Route]:
    """The routes of this machine. ``figures`` gives what each running unit of it uses now.

    Handlers raise FleetishError; the application that mounts them makes answers of those.
    """

    async def entries(request: Request) -> Response:
        query = _query(request)
        lines = _lines(journal.entries(query))
        # What is read at once may fail before the answer begins; what follows may stay silent.
        first = b"" if query.follow else await anext(lines, b"")
        return StreamingResponse(_chain(first, lines), media_type="application/x-ndjson")

    async def status(request: Request) -> Response:
        name = parse_name(request.path_params["unit"]).full
        return PlainTextResponse(await journal.status(name))

    async def live(_: Request) -> Response:
        found = {name: {"memory": one.memory, "cpu": one.cpu} for name, one in figures().items()}
        return Response(msgspec.json.encode(found), media_type="application/json")

    return [
        Route("/v1/local/journal/{unit}", entries),
        Route("/v1/local/status/{unit}", status),
        Route("/v1/local/figures", live),
    ]


def _query(request: Request) -> JournalQuery:
    given = request.query_params
    lines = given.get("lines", "10")
    if not (lines.isascii() and lines.isdigit() and int(lines) <= MOST_LINES):
        raise Refused(f"cannot show {lines!r} lines", hint=f"a number up to {MOST_LINES}")
    return JournalQuery(
        unit=parse_name(request.path_params["unit"]).full,
        lines=int(lines),
        follow=given.get("follow", "") in ("1", "true", "yes"),
        cursor=given.get("cursor", ""),
        since=given.get("since", ""),
    )


async def _lines(entries: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(entries):
        async for entry in entries:
            yield entry + b"\n"


async def _chain(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        if first:
            yield first
        async for line in rest:
            yield line
