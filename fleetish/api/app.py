"""The native API as one ASGI application.

    GET    /v1/machines[/WHICH]            PATCH /v1/machines/WHICH
    POST   /v1/machines/WHICH/cordon       …/uncordon  …/drain
    GET    /v1/units[/NAME]                PUT, DELETE /v1/units/NAME
    POST   /v1/units  /v1/targets          /v1/units/NAME/target  …/restart
    GET    /v1/states  /v1/explain/UNIT    /v1/events  /v1/journal/UNIT  /v1/status/UNIT  /v1/top
    POST   /v1/verify
    GET    /v1/rollouts[/ID]               POST /v1/rollouts  …/ID/undo   DELETE …/ID
    GET    /v1/rebalance                   POST, DELETE /v1/rebalance
    GET    /v1/leader  /v1/version  /v1/health  /metrics
    GET    /v1/local/…                     this machine's own part, when an agent runs here
    ANY    /fleet/v1/…  /v1-alpha/…        fleet's API (:mod:`fleetish.api.fleet`)

Bodies are the structs of :mod:`fleetish.wire`; errors have one shape (:mod:`fleetish.api.errors`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetish.api import cluster, errors, machines, rebalance, rollouts, streams, units
from fleetish.api.bodies import STALE
from fleetish.api.fleet.face import FleetRoute
from fleetish.api.ledger import Ledger
from fleetish.errors import FleetishError

Routes = Sequence[BaseRoute]


class StaleReads:
    """Marks answers that were made while etcd was silent with the seconds since it was heard."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self.app = app
        self.ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            since = self.ledger.stale_since
            if message["type"] == "http.response.start" and since is not None:
                silent = self.ledger.clock.monotonic() - since
                MutableHeaders(scope=message)[STALE] = f"{max(silent, 0.0):.1f}"
            await send(message)

        await self.app(scope, receive, marked)


def create_app(
    ledger: Ledger,
    local: Routes = (),
    counters: Callable[[], Mapping[str, float]] = dict,
    registered: Callable[[], bool] = lambda: True,
) -> Starlette:
    """The application; ``local`` are the routes below /v1/local, ``counters`` feed /metrics,
    and ``registered`` says whether this machine is, for fleet's API answers only then."""
    app = Starlette(
        routes=[
            *units.ROUTES,
            *machines.ROUTES,
            *rollouts.ROUTES,
            *rebalance.ROUTES,
            *streams.ROUTES,
            *cluster.ROUTES,
            *local,
            FleetRoute(ledger, registered),
        ],
        middleware=[Middleware(StaleReads, ledger=ledger)],
        exception_handlers={
            FleetishError: errors.ours,
            HTTPException: errors.http,
            Exception: errors.surprise,
        },
    )
    app.router.redirect_slashes = False
    app.state.ledger = ledger
    app.state.counters = counters
    return app
