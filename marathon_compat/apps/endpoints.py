"""The API as a table: paths with ids that have slashes in them, and who answers which method.

    /v2/apps/{id}/tasks/{task}      {id}: one segment or more; any other {word}: exactly one

1. Empty segments count for nothing: ``/v2/apps//a/b`` and ``/v2/apps/a/b/`` are ``/v2/apps/a/b``.
2. A segment ``.`` or ``..`` is in no path: clients resolve those (RFC 3986, 5.2.4), and whoever
   sends one all the same must not reach another id than the one that is read.
3. The first row whose path and method fit is taken. Rows with words behind ``{id}`` come before the
   bare one, for no id ends in such a word.
4. HEAD is answered as GET; OPTIONS with the methods that there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from marathon_compat.apps.face import Face


class Call(NamedTuple):
    """A request for a handler; ``id``: that of the path, "/" for none; ``words``: its others."""

    request: Request
    face: Face
    id: str
    words: Mapping[str, str]


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint(NamedTuple):
    """A path, and who answers which method."""

    path: str
    methods: Mapping[str, Handler]


class Found(NamedTuple):
    """What a path means."""

    id: str
    words: Mapping[str, str]


def segments(path: str) -> list[str]:
    """The segments of a path that are not empty."""
    return [part for part in path.split("/") if part]


def match(pattern: Sequence[str], parts: Sequence[str]) -> Found | None:
    """What the parts of a path mean by a pattern; None when they do not fit."""
    if "{id}" not in pattern:
        words = _words(pattern, parts)
        return None if words is None else Found("/", words)
    at = pattern.index("{id}")
    after = len(pattern) - at - 1
    if len(parts) < len(pattern):
        return None
    end = len(parts) - after
    head, tail = _words(pattern[:at], parts[:at]), _words(pattern[at + 1 :], parts[end:])
    if head is None or tail is None:
        return None
    return Found("/" + "/".join(parts[at:end]), {**head, **tail})


def _words(pattern: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    found = {}
    for want, part in zip(pattern, parts, strict=True):
        if want.startswith("{"):
            found[want[1:-1]] = part
        elif want != part:
            return None
    return found


class Table:
    """The rows of an API."""

    def __init__(self, rows: Iterable[Endpoint]) -> None:
        self._rows = [(segments(row.path), row.methods) for row in rows]

    def find(self, path: str, method: str) -> tuple[Handler, Found]:
        """Who answers a request, and what its path means. Raises HTTP's 422 for one with dots, 404,
        and 405 with the methods that there are."""
        parts, known = segments(path), dict[str, None]()
        if not {".", ".."}.isdisjoint(parts):
            raise HTTPException(422, "A path must not hold the segments . and ..")
        for pattern, methods in self._rows:
            found = match(pattern, parts)
            if found is None:
                continue
            handler = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
            if handler is not None:
                return handler, found
            known |= dict.fromkeys(methods)
        if not known:
            raise HTTPException(404)
        if "GET" in known:
            known["HEAD"] = None
        raise HTTPException(405, headers={"Allow": ", ".join([*known, "OPTIONS"])})
