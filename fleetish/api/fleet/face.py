"""fleet's paths as one route: finds the resource, answers refusals in fleet's shape.

1. Names in paths are percent-encoded, and are read from the path as it was sent.
2. While etcd is silent, or this machine is not registered, *every* path answers 503 with the text
   that fleet's clients print; a hiccup shorter than :data:`GRACE` is answered from what is known,
   for a client that is told 503 in the middle of a ``stop`` waits for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from fleetish import __version__
from fleetish.api.fleet.resources import Resources
from fleetish.api.fleet.schema import FleetError
from fleetish.api.ledger import Ledger
from fleetish.api.reads import current_world
from fleetish.errors import FleetishError, Unavailable
from fleetish.wire_faults import row_for
from fleetish.world import World

log = logging.getLogger(__name__)

PREFIXES = ("/fleet/v1", "/v1-alpha")

#: Seconds of etcd's silence after which nothing is answered but 503.
GRACE = 5.0
SILENT = "fleet server unable to communicate with etcd"

#: Clients look for fleetd; a further product is how HTTP says what it is built from (RFC 9110).
SERVER = f"fleetd/1.0.0 fleetish/{__version__}"

Method = Callable[[Request, World, str], Awaitable[Response]]


class Resource(NamedTuple):
    """What a path takes, and how fleet refuses any other method."""

    methods: Mapping[str, Method]
    status: int
    refusal: str


class FleetRoute(BaseRoute):
    """Everything below fleet's two prefixes. ``registered`` says whether this machine is."""

    def __init__(self, ledger: Ledger, registered: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._registered = registered
        does = Resources(ledger)
        get, item = "only GET supported against this resource", ("units", "state")
        self._collections = {
            "machines": Resource(
                {"GET": does.list_machines, "PATCH": does.patch_machines},
                405,
                "only GET and PATCH supported against this resource",
            ),
            "units": Resource({"GET": does.list_units}, 405, get),
            "state": Resource({"GET": does.list_states}, 405, get),
            "discovery": Resource({"GET": does.discovery}, 400, get.replace("GET", "HTTP GET")),
        }
        unit = {"GET": does.get_unit, "PUT": does.put_unit, "DELETE": does.delete_unit}
        refusal = "only GET, PUT and DELETE supported against this resource"
        rows = (Resource(unit, 405, refusal), Resource({"GET": does.get_state}, 405, get))
        self._items = dict(zip(item, rows, strict=True))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """fleet's paths, whatever comes after the prefix."""
        path = scope.get("path", "")
        ours = any(path == one or path.startswith(f"{one}/") for one in PREFIXES)
        return (Match.FULL if ours and scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, also when it is wrong or when we are."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except FleetError as error:
            response = refused(error.status, error.message)
        except HTTPException as error:
            response = refused(error.status_code, error.detail)
        except Unavailable:
            response = refused(503, SILENT)
        except FleetishError as error:
            response = refused(row_for(error).status, str(error))
        except Exception:
            log.exception("cannot answer %s %s", request.method, request.url.path)
            response = refused(500, "cannot answer: a fault in fleetish; see its log")
        response.headers["Server"] = SERVER
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        world = await self._world(request)
        resource, name = self._find(segments(request.scope))
        method = resource.methods.get(request.method)
        if method is None:
            raise FleetError(resource.status, resource.refusal)
        return await method(request, world, name)

    async def _world(self, request: Request) -> World:
        """The world to answer from. Raises FleetError 503, StoreUnavailable."""
        world = await current_world(request)
        since = self._ledger.stale_since
        silent = since is not None and self._ledger.clock.monotonic() - since > GRACE
        if silent or not self._registered():
            raise FleetError(503, SILENT)
        return world

    def _find(self, path: list[str]) -> tuple[Resource, str]:
        """The resource of a path below the prefix, and the item's name. Raises FleetError."""
        match path:
            case []:
                raise FleetError(405)
            case [collection] if collection in self._collections:
                return self._collections[collection], ""
            case [collection, name] if collection in self._items and name and "/" not in name:
                return self._items[collection], name
        raise FleetError(404)


def segments(scope: Scope) -> list[str]:
    """The decoded parts of the path below the prefix; bytes that are no UTF-8 become U+FFFD."""
    raw = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
    rest = unquote_prefix(raw)
    return [unquote(part, errors="replace") for part in rest.split("/")[1:]]


def unquote_prefix(raw: str) -> str:
    """A path without its prefix, of which a client may have encoded letters too."""
    for prefix in PREFIXES:
        if raw.startswith(prefix):
            return raw.removeprefix(prefix)
    plain = unquote(raw, errors="replace")
    return next(plain.removeprefix(one) for one in PREFIXES if plain.startswith(one))


def refused(status: int, message: str) -> Response:
    """An error in fleet's shape; code and status are the same, for clients read either."""
    body = msgspec.json.encode({"error": {"code": status, "message": message}})
    headers = {"Retry-After": "1"} if status == 503 else {}
    return Response(body, status, headers, media_type="application/json")
