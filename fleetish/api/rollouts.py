"""Rolling updates over HTTP: begin, look, undo, cancel."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fleetish.api.bodies import REVISION, answer, read_body
from fleetish.api.reads import current_world, ledger_of
from fleetish.api.replace import (
    find_rollout,
    needed,
    plan_cancel,
    plan_replace,
    plan_undo,
    rollout_view,
)
from fleetish.api.units import answered
from fleetish.engine.orders import rollouts_of
from fleetish.wire_orders import ReplaceBody, Rollouts


async def post_rollout(request: Request) -> Response:
    """POST /v1/rollouts: begin one; the answer is the rollout."""
    body = await read_body(request, ReplaceBody)
    ledger, name = ledger_of(request), secrets.token_hex(3)
    digests = needed(await current_world(request), body)
    known = await ledger.store.texts(sorted(digests))
    now = ledger.clock.now()
    written = await ledger.write(lambda world: plan_replace(world, body, known, name, now))
    return await _shown(request, name, written.revision, 201)


async def list_rollouts(request: Request) -> Response:
    """GET /v1/rollouts: those that go on and the last that have ended, newest first."""
    world = await current_world(request)
    found = sorted(rollouts_of(world).values(), key=lambda one: (-one.since, one.id))
    return answer(Rollouts(rollouts=tuple(rollout_view(world, one, rows=False) for one in found)))


async def get_rollout(request: Request) -> Response:
    """GET /v1/rollouts/ID: how every unit of it stands."""
    world = await current_world(request)
    return answer(rollout_view(world, find_rollout(world, request.path_params["id"]), rows=True))


async def undo_rollout(request: Request) -> Response:
    """POST /v1/rollouts/ID/undo: every unit of it gets its old text back, a few at a time."""
    name = request.path_params["id"]
    written = await ledger_of(request).write(lambda world: plan_undo(world, name))
    return await _shown(request, name, written.revision)


async def delete_rollout(request: Request) -> Response:
    """DELETE /v1/rollouts/ID: cancel one that goes on, where it is; forget one that has ended."""
    ledger, name = ledger_of(request), request.path_params["id"]
    now = ledger.clock.now()
    return answered(await ledger.write(lambda world: plan_cancel(world, name, now)))


async def _shown(request: Request, name: str, revision: int, status: int = 200) -> Response:
    world = await ledger_of(request).world(revision)
    view = rollout_view(world, find_rollout(world, name), rows=True)
    return answer(view, status, {REVISION: str(revision)})


ROUTES = [
    Route("/v1/rollouts", list_rollouts, methods=["GET"]),
    Route("/v1/rollouts", post_rollout, methods=["POST"]),
    Route("/v1/rollouts/{id}", get_rollout, methods=["GET"]),
    Route("/v1/rollouts/{id}", delete_rollout, methods=["DELETE"]),
    Route("/v1/rollouts/{id}/undo", undo_rollout, methods=["POST"]),
]
