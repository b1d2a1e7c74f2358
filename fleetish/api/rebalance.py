"""Evening out the machines over HTTP: what would be moved, and moving it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fleetish.api.bodies import REVISION, answer, read_body
from fleetish.api.reads import current_world, ledger_of
from fleetish.api.units import answered
from fleetish.api.wishes import Asked
from fleetish.changes import DropDocument, PutDocument
from fleetish.engine.losses import host
from fleetish.engine.orders import (
    CURRENT,
    REBALANCE,
    Rebalance,
    rebalance_document,
    rebalance_of,
)
from fleetish.engine.rebalance import Shift, rebalance
from fleetish.errors import Conflict, Refused
from fleetish.wire_orders import RebalanceBody, RebalanceView, ShiftView
from fleetish.world import World

#: Units that one rebalance may move.
MOST = 10_000
#: Moves that are planned ahead for the answer.
SHOWN = 200


async def post_rebalance(request: Request) -> Response:
    """POST /v1/rebalance: the moves that even out the machines; unless ``dry_run``, the engine
    makes them."""
    body = await read_body(request, RebalanceBody)
    if not (1 <= body.most <= MOST and 1 <= body.at_once <= MOST):
        raise Refused(f"cannot rebalance so: most and at_once are 1 to {MOST}")
    if body.dry_run:
        world = await current_world(request)
        return answer(RebalanceView(shifts=_shown(world, _shifts(world, body))))
    ledger = ledger_of(request)
    now = ledger.clock.now()
    found: tuple[ShiftView, ...] = ()

    def plan(world: World) -> Asked:
        nonlocal found
        going = rebalance_of(world)
        if going is not None and going.since == now:
            return Asked((), ())  # written already, though no answer came
        if going is not None:
            raise Conflict(
                "cannot rebalance: it is being done",
                hint="see fleetish rebalance --status, or --cancel",
            )
        shifts = _shifts(world, body)
        found = _shown(world, shifts)
        order = Rebalance(most=body.most, at_once=body.at_once, since=now)
        change = PutDocument(rebalance_document(order), "asked for")
        return Asked((change,) if shifts else (), ())

    written = await ledger.write(plan)
    view = RebalanceView(going=bool(found), shifts=found)
    return answer(view, 202 if found else 200, {REVISION: str(written.revision)})


def _shifts(world: World, body: RebalanceBody) -> tuple[Shift, ...]:
    return rebalance(world, min(body.most, SHOWN))


def _shown(world: World, shifts: tuple[Shift, ...]) -> tuple[ShiftView, ...]:
    return tuple(
        ShiftView(
            unit=one.unit,
            source=one.source,
            machine=one.machine,
            source_host=host(world, one.source),
            host=host(world, one.machine),
            reason=one.reason,
        )
        for one in shifts
    )


async def get_rebalance(request: Request) -> Response:
    """GET /v1/rebalance: whether one goes on, and how far it is."""
    order = rebalance_of(await current_world(request))
    if order is None:
        return answer(RebalanceView())
    return answer(RebalanceView(going=True, moved=order.moved, moving=order.moving))


async def delete_rebalance(request: Request) -> Response:
    """DELETE /v1/rebalance: move nothing more; what is on its way arrives."""

    def plan(world: World) -> Asked:
        drop = DropDocument(REBALANCE, CURRENT, "cancelled")
        return Asked((drop,) if (REBALANCE, CURRENT) in world.documents else (), ())

    return answered(await ledger_of(request).write(plan))


ROUTES = [
    Route("/v1/rebalance", get_rebalance, methods=["GET"]),
    Route("/v1/rebalance", post_rebalance, methods=["POST"]),
    Route("/v1/rebalance", delete_rebalance, methods=["DELETE"]),
]
