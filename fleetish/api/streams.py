"""What flows or is asked of other machines: events, journals, status, live figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from itertools import chain
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from fleetish.api import relay
from fleetish.api.bodies import answer, number
from fleetish.api.feed import Wanted
from fleetish.api.reads import current_world, ledger_of
from fleetish.api.views import find_machine, find_unit, homes
from fleetish.engine.losses import host as host_of
from fleetish.errors import Conflict, FleetishError, Refused, Unavailable
from fleetish.units.name import parse_name
from fleetish.wire import LiveFigures, Top
from fleetish.world import World

#: Seconds between signs of life on a silent stream.
HEARTBEAT = 15.0
#: Where each machine answers for itself.
LOCAL = "/v1/local"


async def events(request: Request) -> Response:
    """GET /v1/events?kind=…&unit=PATTERN: server-sent events, from ``Last-Event-ID`` on."""
    ledger = ledger_of(request)
    world = await current_world(request)
    query = request.query_params
    wanted = Wanted(frozenset(query.getlist("kind")), tuple(query.getlist("unit")))
    text = request.headers.get("last-event-id") or query.get("after", "")
    after = int(text) if text.isascii() and text.isdigit() else 0
    stream = ledger.feed.listen(wanted, world.revision, after, HEARTBEAT)
    return StreamingResponse(
        stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


def home_of(world: World, unit: str, machine: str = "") -> str:
    """The machine to ask about a unit.

    Raises NotFound, Conflict when it is on none, Refused when it is on several and none is named.
    """
    find_unit(world, unit)
    on = homes(world, unit)
    if machine:
        found = find_machine(world, machine)
        if found not in on:
            raise Conflict(f"cannot ask {host_of(world, found)} about {unit}: it is not there")
        return found
    if not on:
        raise Conflict(
            f"cannot ask about {unit}: it is on no machine", hint=f"see fleetish explain {unit}"
        )
    if len(on) > 1:
        hosts = ", ".join(host_of(world, one) for one in on)
        raise Refused(f"cannot tell which {unit} is meant: it is on {hosts}", hint="name a machine")
    return on[0]


def endpoint_of(world: World, machine: str) -> str:
    """Where a machine's API listens. Raises Unavailable when it is lost or has none."""
    known = world.machines.get(machine)
    if known is None:
        raise Unavailable(f"cannot ask machine {machine[:8]}: it is lost")
    if not known.endpoint:
        raise Unavailable(f"cannot ask {known.host}: its API listens on no address")
    return known.endpoint


async def journal(request: Request) -> Response:
    """GET /v1/journal/UNIT?lines=10&follow=1&since=…&machine=…: entries as JSON, one a line."""
    number(request, "lines", 10)
    return await _relayed(request, "journal", ("lines", "follow", "since", "cursor"))


async def status(request: Request) -> Response:
    """GET /v1/status/UNIT?machine=…: what ``systemctl status`` prints where the unit is."""
    return await _relayed(request, "status", ())


async def _relayed(request: Request, what: str, keys: tuple[str, ...]) -> Response:
    unit = request.path_params["unit"]
    parse_name(unit)
    world = await current_world(request)
    machine = home_of(world, unit, request.query_params.get("machine", ""))
    query = {key: request.query_params[key] for key in keys if key in request.query_params}
    stack = AsyncExitStack()
    path = f"{LOCAL}/{what}/{quote(unit, safe='')}"
    said = await stack.enter_async_context(relay.ask(endpoint_of(world, machine), path, query))
    headers = {"Fleetish-Machine": machine}
    return StreamingResponse(
        _passed_on(stack, said.body), said.status, headers, media_type=said.content_type
    )


async def _passed_on(stack: AsyncExitStack, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with stack:
        async for part in body:
            yield part


async def top(request: Request) -> Response:
    """GET /v1/top?unit=…&machine=…: live figures, asked of every machine at once."""
    world = await current_world(request)
    machine = request.query_params.get("machine", "")
    asked = [find_machine(world, machine)] if machine else sorted(world.machines)
    found = await asyncio.gather(*(_figures(world, one) for one in asked))
    silent = tuple(one for one, rows in zip(asked, found, strict=True) if rows is None)
    wanted = set(request.query_params.getlist("unit"))
    rows = tuple(
        row for row in chain.from_iterable(filter(None, found)) if not wanted or row.unit in wanted
    )
    return answer(Top(units=rows, silent=silent))


async def _figures(world: World, machine: str) -> tuple[LiveFigures, ...] | None:
    """A machine's live figures with the states it published; None when it does not answer."""
    try:
        text = await relay.read(endpoint_of(world, machine), f"{LOCAL}/figures", {})
        found: Mapping[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except (FleetishError, msgspec.MsgspecError):
        return None
    return tuple(_live(world, machine, name, row) for name, row in sorted(found.items()))


def _live(world: World, machine: str, name: str, row: Mapping[str, Any]) -> LiveFigures:
    state = world.state(name, machine)
    return LiveFigures(
        unit=name,
        machine=machine,
        active=state.active if state else "",
        sub=state.sub if state else "",
        memory=int(row.get("memory", 0)),
        cpu=float(row.get("cpu", 0.0)),
    )


ROUTES = [
    Route("/v1/events", events, methods=["GET"]),
    Route("/v1/journal/{unit}", journal, methods=["GET"]),
    Route("/v1/status/{unit}", status, methods=["GET"]),
    Route("/v1/top", top, methods=["GET"]),
]
