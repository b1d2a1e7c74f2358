"""What a request must pass before a face answers it, and what browsers are told; for any face.

    from another site ─▶ too many at once: 503 ─▶ not who it must be: 401 ─▶ the face

1. Streams of events last for ever, so they do not count as requests at once.
2. A browser asks without credentials whether it may ask (Fetch, "CORS-preflight request"); only
   reading is allowed from other sites.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetish.config import Config
from fleetish.errors import BadConfig

REALM = "Mesosphere"
METHODS = "GET, HEAD, OPTIONS"
#: Seconds for which a browser remembers what it was allowed.
REMEMBERED = 86_400


class Terms(NamedTuple):
    """Who may ask. ``credentials``: ``user:password``, "" for anybody. ``origins``: the sites that
    browsers may read from, ``*`` for all. ``most``: requests at once, 0 for any number."""

    credentials: str = ""
    origins: tuple[str, ...] = ()
    most: int = 0


ANYBODY = Terms()


def terms(config: Config) -> Terms:
    """The terms of a daemon's settings. Raises BadConfig for credentials that cannot be read."""
    return Terms(
        _credentials(config.faces_credentials_file), config.faces_origins, config.faces_requests
    )


def _credentials(path: str) -> str:
    if not path:
        return ""
    try:
        line = Path(path).read_text().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"cannot read {path}: {error}") from None
    if ":" not in line:
        raise BadConfig(f"cannot use {path}: its first line is not user:password")
    return line


class Gate:
    """Lets those requests pass that meet the terms."""

    def __init__(self, app: ASGIApp, terms: Terms) -> None:
        self._app = app
        self._terms = terms
        plain = terms.credentials.encode()
        self._known = b"Basic " + base64.b64encode(plain) if plain else b""
        self._varies = bool(terms.origins) and "*" not in terms.origins
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        shared = dict(self._shared(headers))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered.update(shared)
                if self._varies:
                    answered.add_vary_header("Origin")
            await send(message)

        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await refusal(scope, receive, told)
            return
        counts = "text/event-stream" not in headers.get("accept", "")
        self._open += counts
        try:
            await self._app(scope, receive, told)
        finally:
            self._open -= counts

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        """What is answered in place of the face, or None."""
        asks = method == "OPTIONS" and "access-control-request-method" in headers
        if asks and self._terms.origins:
            return Response(status_code=200)
        if self._terms.most and self._open >= self._terms.most:
            said = {"message": f"{self._open} requests are being answered already; try again"}
            return JSONResponse(said, 503, {"Retry-After": "1"})
        given = headers.get("authorization", "").encode("latin-1")
        if self._known and not hmac.compare_digest(given, self._known):
            said = {"message": "Who asks is not known: the right user and password are needed"}
            return JSONResponse(said, 401, {"WWW-Authenticate": f'Basic realm="{REALM}"'})
        return None

    def _shared(self, headers: Headers) -> Iterator[tuple[str, str]]:
        """What a browser is told that asks from another site."""
        origins, origin = self._terms.origins, headers.get("origin", "")
        if not origins or (self._varies and origin not in origins):
            return
        yield "Access-Control-Allow-Origin", "*" if "*" in origins else origin
        yield "Access-Control-Allow-Methods", METHODS
        yield "Access-Control-Max-Age", str(REMEMBERED)
        if asked := headers.get("access-control-request-headers", ""):
            yield "Access-Control-Allow-Headers", asked
