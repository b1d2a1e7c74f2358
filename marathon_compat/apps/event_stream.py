"""GET /v2/events: Marathon's events as server-sent events, on every node.

    id: 4711-2\r\nevent: status_update_event\r\ndata: {…}\r\n\r\n        \r\n every 10 s

``event_type`` (repeated) asks for some kinds, ``plan-format=light`` for plans without the two keys
that old clients need. With ``Last-Event-ID`` the stream goes on after that event; where it cannot,
it begins with ``event_stream_restarted``, and the client should read the apps anew.

The connection of a reader that does not read is given up without a goodbye: there is no room left
to write it to.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fleetish.errors import FleetishError
from marathon_compat.apps import events, replies
from marathon_compat.apps.event_hub import CHUNK, HEARTBEAT, EventHub, Opened, Reader, Wanted

TYPE = "text/event-stream"

#: Proxies must not collect what is to be told at once.
HEADERS = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}

NOT_ACCEPTED = """<html>
<head><title>Error 405</title></head>
<body>
<h2>HTTP ERROR: 405</h2>
<p>Problem accessing /v2/events. Reason:
<pre>    HTTP method GET is not supported by this URL</pre></p>
<p>Ask with the header Accept: text/event-stream.</p>
</body>
</html>
"""


async def stream(request: Request) -> Response:
    """The stream; 405 for a client that does not say that it takes one, as Marathon's answer is."""
    if not accepts(request.headers.getlist("accept")):
        return HTMLResponse(NOT_ACCEPTED, 405, {"Allow": "GET"})
    if request.method == "HEAD":
        return Response(headers=HEADERS, media_type=f"{TYPE}; charset=utf-8")
    hub: EventHub = request.app.state.events
    query = request.query_params
    wanted = Wanted(frozenset(query.getlist("event_type")), query.get("plan-format") == "light")
    asked = request.headers.get("last-event-id", "").strip()
    try:
        opened = await hub.open(asked)
    except FleetishError as error:
        return replies.fault(error)
    address = request.client.host if request.client else ""
    return EventStream(hub, opened, wanted, address, asked)


def accepts(values: list[str]) -> bool:
    """True when one of the Accept headers names the type of an event stream."""
    words = (word.partition(";")[0].strip() for text in values for word in text.split(","))
    return TYPE in words


class EventStream(Response):
    """An answer that lasts as long as both sides want it to."""

    def __init__(
        self,
        hub: EventHub,
        opened: Opened,
        wanted: Wanted,
        address: str,
        asked: str = "",
    ) -> None:
        super().__init__(headers=HEADERS, media_type=f"{TYPE}; charset=utf-8")
        del MutableHeaders(raw=self.raw_headers)["content-length"]
        self._hub = hub
        self._opened = opened
        self._wanted = wanted
        self._address = address
        self._asked = asked
        self._beat = hub.beat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        with self._hub.reading(self._opened, self._wanted) as reader:
            self._hub.local(events.stream_changed("attached", self._address))
            try:
                await send(start)
                await self._both(reader, receive, send)
            finally:
                self._hub.local(events.stream_changed("detached", self._address))

    async def _both(self, reader: Reader, receive: Receive, send: Send) -> None:
        """Write until there is nothing more to write, or nobody to read it; now and then look
        whether it is read, and show a sign of life."""
        writing = asyncio.ensure_future(self._write(reader, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            while not writing.done() and not leaving.done():
                await asyncio.wait(
                    (writing, leaving), timeout=self._beat, return_when=asyncio.FIRST_COMPLETED
                )
                if reader.stuck():
                    return
                reader.wake()
            if writing.done():
                writing.result()
        except OSError:
            return  # the connection went away while it was written to
        finally:
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)

    async def _write(self, reader: Reader, send: Send) -> None:
        if self._opened.restarted:
            await _part(send, self._hub.restarted(self._opened, self._asked))
        async for told in reader.taken(CHUNK):
            await _part(send, b"".join([self._wanted.frame(one) for one in told]) or HEARTBEAT)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _part(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


ROUTES = (Route("/v2/events", stream, methods=["GET"]),)
