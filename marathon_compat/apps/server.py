"""Marathon's API as one ASGI application, from the tables of its parts.

    GET POST PUT PATCH          /v2/apps              GET PUT PATCH DELETE  /v2/apps/ID
    GET                         /v2/apps/GROUP/*      POST                  /v2/apps/ID/restart
    GET DELETE                  /v2/apps/ID/tasks     GET  /v2/apps/ID/versions[/VERSION]
    GET POST PUT PATCH DELETE   /v2/groups[/ID]       GET  /v2/groups/[ID/]versions[/VERSION]
    GET POST PUT DELETE         /v2/pods[/ID]         GET  /v2/pods/ID::status  ::versions
    GET DELETE                  /v2/deployments       GET DELETE            /v2/queue
    GET POST                    /v2/tasks[/delete]    GET DELETE            /v2/leader
    GET POST DELETE             /v2/eventSubscriptions
    GET                         /v2/info  /v2/events  /v2/plugins  /ping  /metrics  /logging

Any node answers all of it, also what Marathon's standbys passed on to their leader.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marathon_compat.apps import (
    callbacks,
    event_stream,
    routes_apps,
    routes_deployments,
    routes_figures,
    routes_groups,
    routes_pods,
    routes_system,
    routes_tasks,
)
from marathon_compat.apps.endpoints import Call, Table
from marathon_compat.apps.face import Face
from marathon_compat.apps.replies import HEADERS, compressed, fault
from marathon_compat.gate import ANYBODY, Gate, Terms

#: Rows with more words first: see :mod:`marathon_compat.apps.endpoints`.
ROUTES = (
    *routes_tasks.ROUTES,
    *routes_apps.ROUTES,
    *routes_groups.ROUTES,
    *routes_pods.ROUTES,
    *routes_deployments.ROUTES,
    *routes_figures.ROUTES,
    *routes_system.ROUTES,
)


class Headers:
    """Puts on every answer what Marathon's have, streams included."""

    def __init__(self, app: ASGIApp, face: Face) -> None:
        self.app = app
        self.face = face

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, text in HEADERS.items():
                    headers.setdefault(name, text)
                leader = self.face.known_leader()
                if leader:
                    headers["X-Marathon-Leader"] = f"http://{leader}"
            await send(message)

        await self.app(scope, receive, told)


class Rows(BaseRoute):
    """Every path of the tables, and the answer to every other."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._table = Table(ROUTES)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """All of HTTP."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, also when it is wrong or when we are."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Exception as error:
            response = fault(error)
        await (await compressed(request, response))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = str(request.scope["path"])  # that of request.url ends at a "?" that was escaped
        try:
            handler, found = self._table.find(path, request.method)
        except HTTPException as error:
            if request.method == "OPTIONS" and error.status_code == 405:
                return Response(status_code=200, headers=error.headers)
            raise
        return await handler(Call(request, self._face, found.id, found.words))


def create_app(face: Face, further: Sequence[BaseRoute] = (), terms: Terms = ANYBODY) -> Starlette:
    """The application, for those who meet the terms; ``further`` routes come before the tables."""
    streams = (*event_stream.ROUTES, *callbacks.ROUTES)
    guards = [Middleware(Headers, face=face), Middleware(Gate, terms=terms)]
    app = Starlette(routes=[*further, *streams, Rows(face)], middleware=guards)
    app.router.redirect_slashes = False
    app.state.ledger = face.ledger
    app.state.face = face
    app.state.events = face.events
    return app
