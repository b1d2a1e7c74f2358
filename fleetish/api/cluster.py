"""The cluster as a whole over HTTP: why a unit is where it is, who leads, health, metrics."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fleetish import __version__
from fleetish.api.bodies import answer, flag
from fleetish.api.ledger import alarms_of
from fleetish.api.metrics import CONTENT_TYPE, render
from fleetish.api.reads import current_world, ledger_of
from fleetish.engine.explain import explain as explain_unit
from fleetish.errors import FleetishError
from fleetish.units.name import parse_name
from fleetish.wire import Health, LeaderView, Version


async def explain(request: Request) -> Response:
    """GET /v1/explain/UNIT: where it is and why, or per machine what turned it away."""
    world = await current_world(request)
    return answer(explain_unit(world, parse_name(request.path_params["unit"]).full))


async def leader(request: Request) -> Response:
    """GET /v1/leader: the elected engine."""
    known = (await current_world(request)).leader
    if known is None:
        return answer(LeaderView())
    return answer(LeaderView(machine=known.machine, host=known.host, since=known.since))


async def version(_: Request) -> Response:
    """GET /v1/version."""
    return answer(Version(fleetish=__version__))


async def health(request: Request) -> Response:
    """GET /v1/health: ok while reads are current, stale while etcd is silent.

    Always 200, for the answer is given; with ``strict`` 503 when stale, for load balancers.
    """
    ledger, strict = ledger_of(request), flag(request, "strict")
    try:
        world = await current_world(request)
    except FleetishError:
        return answer(Health(status="stale"), 503 if strict else 200)
    since = ledger.stale_since
    stale = 0.0 if since is None else max(0.0, ledger.clock.monotonic() - since)
    body = Health(
        status="ok" if since is None else "stale",
        stale_seconds=round(stale, 3),
        revision=world.revision,
        alarms=tuple(sorted(alarms_of(world))),
    )
    return answer(body, 503 if strict and since is not None else 200)


async def metrics(request: Request) -> Response:
    """GET /metrics?cluster=1: Prometheus text of this process, with ``cluster`` of the cluster too.

    Without it the cluster is told only while it is observed anyway: scraping every machine must
    not make every machine watch everything.
    """
    ledger = ledger_of(request)
    world = await ledger.world() if flag(request, "cluster") else ledger.open_world()
    text = render(world, request.app.state.counters())
    return Response(text, media_type=CONTENT_TYPE)


ROUTES = [
    Route("/v1/explain/{unit}", explain, methods=["GET"]),
    Route("/v1/leader", leader, methods=["GET"]),
    Route("/v1/version", version, methods=["GET"]),
    Route("/v1/health", health, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
]
