"""Bodies of requests, as far as they are the same for all: bytes, types, lists of ids."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from marathon_compat.apps import shape
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.json_text import MAX_BODY, parse
from marathon_compat.apps.replies import LARGE

T = TypeVar("T")


#: Seconds within which a body must have come.
PATIENCE = 30.0


async def body_of(request: Request, patience: float = PATIENCE) -> bytes:
    """The body as it came, within ``patience`` seconds. Raises BadBody 413 when it is too large,
    408 when it takes too long."""
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced) > MAX_BODY:
        raise _too_large()
    try:
        async with asyncio.timeout(patience):
            return await _all_of(request)
    except TimeoutError:
        raise BadBody(408, f"The body has not come within {patience:g} seconds") from None


async def _all_of(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


def _too_large() -> BadBody:
    return BadBody(413, f"The body is larger than {MAX_BODY} bytes")


async def json_of(request: Request) -> bytes:
    """As :func:`body_of`. Raises HTTP's 415 for a body that says it is something else than JSON."""
    announced = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if announced and announced != "application/json":
        raise HTTPException(415)
    return await body_of(request)


async def read(body: bytes, reader: Callable[[bytes], T]) -> T:
    """What a body says; a large one is read in a thread, for the loop also holds leases."""
    return await asyncio.to_thread(reader, body) if len(body) >= LARGE else reader(body)


class Ids(msgspec.Struct):
    """``{"ids": […]}``."""

    ids: tuple[str, ...]


def ids_in(body: bytes) -> tuple[str, ...]:
    """The ids that a body lists. Raises BadBody."""
    return shape.read_whole(Ids, parse(body)).ids
