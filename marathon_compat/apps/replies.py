"""Answers in Marathon's shapes: JSON, compressed where asked for, with its headers and its errors.

1. An error is ``{"message": …}``, with what the case adds (:mod:`marathon_compat.apps.errors`).
2. An answer that follows from the stored cluster alone has an ETag, which names the revision at
   which any of it last changed. It is the same on every node.
3. Large answers are compressed in a thread: the loop also holds leases.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fleetish.errors import Conflict, FleetishError, NotFound, Refused, Unavailable
from marathon_compat.apps.dependencies import Cyclic
from marathon_compat.apps.deploy import Locked, Proposal, TooMany
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.ports import NoPorts

log = logging.getLogger(__name__)

encode = msgspec.json.Encoder().encode

#: On every answer. Old dashboards rely on the first; caches must not keep any of it.
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
}
DEPLOYMENT = "Marathon-Deployment-Id"

#: With the answer to a body that is not read to its end: what still comes of it is no request.
UNREAD = {"Connection": "close"}

#: Bytes from which an answer is compressed, and from which that is done in a thread.
SMALL, LARGE = 1024, 64 * 1024

#: Errors with a status of their own; the first row that fits is taken.
STATUS: tuple[tuple[type[FleetishError], int], ...] = (
    (TooMany, 403),
    (NoPorts, 500),
    (Cyclic, 422),
    (Refused, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
    (FleetishError, 500),
)

#: What is said where HTTP itself refuses.
HTTP = {404: "URI not found", 405: "Method Not Allowed", 415: "Unsupported Media Type"}


def json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON; bytes are taken for JSON already."""
    content = body if isinstance(body, bytes) else encode(body)
    return Response(content, status, headers, media_type="application/json")


def plain(text: str, status: int = 200) -> Response:
    """A text for people and scripts."""
    return Response(text, status, media_type="text/plain")


def deployed(proposal: Proposal, status: int = 200, location: str = "") -> Response:
    """A change that was taken: the deployment that makes it."""
    body = {"version": proposal.version, "deploymentId": proposal.id}
    return json(body, status, started(proposal, location))


def started(proposal: Proposal, location: str = "") -> dict[str, str]:
    """The headers that tell of a deployment, and of where something new is."""
    return {DEPLOYMENT: proposal.id} | ({"Location": location} if location else {})


def fault(error: Exception) -> Response:
    """An error as an answer. What is none of ours is logged, and told without its text."""
    if isinstance(error, BadBody):
        return json(error.body(), error.status, UNREAD if error.status in (408, 413) else {})
    if isinstance(error, Locked):
        held = [{"id": one.id} for one in error.holders]
        return json({"message": str(error), "deployments": held}, 409)
    if isinstance(error, HTTPException):
        said = HTTP.get(error.status_code, error.detail)
        return json({"message": said}, error.status_code, error.headers)
    if isinstance(error, FleetishError):
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        return json({"message": str(error)}, status, {"Retry-After": "1"} if status == 503 else {})
    log.error("cannot answer: a fault in fleetish", exc_info=error)
    return json({"message": "cannot answer: a fault in fleetish; see its log"}, 500)


def tag(revision: int) -> str:
    """The ETag of what follows from the cluster at a revision; weak, as it may be compressed."""
    return f'W/"{revision}"'


def unchanged(request: Request, etag: str) -> Response | None:
    """304 when the client has what would be answered (RFC 9110, 13.1.2), else None."""
    held = {word.strip() for word in request.headers.get("if-none-match", "").split(",")}
    if etag in held or etag.removeprefix("W/") in held:
        return Response(status_code=304, headers={"ETag": etag})
    return None


async def compressed(request: Request, response: Response) -> Response:
    """The answer in gzip, when the client takes that and it is large enough to pay."""
    body = bytes(response.body)
    if len(body) < SMALL or "gzip" not in request.headers.get("accept-encoding", ""):
        return response
    packed = await asyncio.to_thread(_pack, body) if len(body) >= LARGE else _pack(body)
    response.body = packed
    response.headers["Content-Length"] = str(len(packed))
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    return response


def _pack(body: bytes) -> bytes:
    return gzip.compress(body, 1, mtime=0)
