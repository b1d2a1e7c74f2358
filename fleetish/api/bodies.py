"""Reading requests and writing answers: JSON, strictly, and not without end."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fleetish.errors import Refused

#: Bytes in a request's body, at most.
MAX_BODY = 1024 * 1024

#: Requests carry the revision that their sender has seen, answers the one they were made from.
REVISION = "Fleetish-Revision"
STALE = "Fleetish-Stale"

T = TypeVar("T")


async def read_body(request: Request, kind: type[T]) -> T:
    """The body as a struct. Raises Refused naming the path of what is wrong, or HTTP's 413, 415.

    JSON must be announced as such: then no page of another site can send it unasked.
    """
    announced = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    text = await read_bytes(request)
    if not text:
        text = b"{}"
    elif announced != "application/json":
        raise HTTPException(415, "the body must be application/json")
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise Refused(f"cannot read the request: {error}") from None
    except UnicodeDecodeError as error:
        raise Refused(f"cannot read the request: it is not UTF-8: {error}") from None


async def read_bytes(request: Request) -> bytes:
    """The body as it came. Raises HTTP's 413 for one that is too large."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > MAX_BODY:
        raise HTTPException(413, f"the body is larger than {MAX_BODY} bytes")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise HTTPException(413, f"the body is larger than {MAX_BODY} bytes")
        parts.append(part)
    return b"".join(parts)


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A struct as JSON."""
    return Response(
        msgspec.json.encode(body), status, headers=headers, media_type="application/json"
    )


def flag(request: Request, name: str) -> bool:
    """A query parameter that is there, and neither 0 nor false."""
    return request.query_params.get(name, "0").lower() not in ("0", "false", "no")


def number(request: Request, name: str, default: int, least: int = 0) -> int:
    """A whole number among the query parameters. Raises Refused."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise Refused(f"cannot use {name}={text!r}: it must be a whole number from {least} on")
    return int(text)
