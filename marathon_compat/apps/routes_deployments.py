"""/v2/deployments and /v2/queue: what is under way, and what waits."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from fleetish.changes import Change
from fleetish.errors import NotFound
from fleetish.world import World
from marathon_compat.apps import edits, pods_app, queue, records
from marathon_compat.apps.deploy import cancel
from marathon_compat.apps.embed import flag
from marathon_compat.apps.endpoints import Call, Endpoint
from marathon_compat.apps.replies import deployed, json, tag, unchanged
from marathon_compat.apps.show import show_bytes
from marathon_compat.apps.tree import Tree, put
from marathon_compat.apps.view import Views


async def list_deployments(call: Call) -> Response:
    """GET /v2/deployments: those under way, the oldest first, as a bare list."""
    views = await call.face.look()
    if same := unchanged(call.request, tag(views.changed)):
        return same
    rows = sorted(views.tree.deployments.values(), key=lambda one: one.version)
    return json([views.deployment(one) for one in rows], headers={"ETag": tag(views.changed)})


async def delete_deployment(call: Call) -> Response:
    """DELETE /v2/deployments/ID?force: a new deployment that undoes it; with ``force`` it is ended
    where it stands, and nothing is undone."""
    which, face = call.words["deployment"], call.face
    if not flag(call.request.query_params, "force"):
        done = await face.change(call.request, lambda tree: edits.undo(tree, which), force=True)
        return deployed(done)
    ended = [False]

    def plan(tree: Tree, _: World) -> tuple[Change, ...]:
        if ended[0] and which not in tree.deployments:
            return ()  # an earlier attempt whose answer was lost
        ended[0] = True
        return cancel(tree, which, face.clock.now())

    await face.write(plan)
    return Response(status_code=202)


async def list_queue(call: Call) -> Response:
    """GET /v2/queue?embed=lastUnusedOffers: what is not launched yet, and why."""
    views, now = await call.face.look(), call.face.clock.now()
    offers = "lastUnusedOffers" in call.request.query_params.getlist("embed")
    rows = waiting(views, now)
    draft = queue.draft_of(views.world) if any(row.unit for row in rows) else None
    told: list[dict[str, Any]] = []
    for row in rows:
        refused = queue.refusals(views.world, draft, row.unit) if draft and row.unit else []
        app = pods_app.show(row.app) if row.app.pod else msgspec.Raw(show_bytes(row.app))
        told.append(queue.shown(row, app, refused, now, offers=offers))
    return json({"queue": told})


def waiting(views: Views, now: float) -> list[queue.Waiting]:
    """Every app that has something left to launch."""
    rows = (
        queue.waiting(views.tree, app, views.members(name), now)
        for name, app in sorted(views.tree.apps.items())
    )
    return [row for row in rows if row is not None]


async def delete_delay(call: Call) -> Response:
    """DELETE /v2/queue/ID/delay: launch at once."""
    views, face = await call.face.look(), call.face
    app = views.tree.apps.get(call.id)
    now = face.clock.now()
    if app is None or queue.waiting(views.tree, app, views.members(call.id), now) is None:
        raise NotFound(f"Application {call.id} not found in tasks queue.")
    await face.write(lambda tree, _: reset_delay(tree, call.id))
    return Response(status_code=204)


def reset_delay(tree: Tree, app: str) -> tuple[Change, ...]:
    """End the back-off of an app; what its last failure was is still known."""
    delay = tree.delays.get(app)
    if delay is None or not delay.seconds:
        return ()
    ended = msgspec.structs.replace(delay, seconds=0.0, until=0.0)
    return (put(records.QUEUE, app, ended, "the delay was ended on request"),)


ROUTES = (
    Endpoint("/v2/deployments", {"GET": list_deployments}),
    Endpoint("/v2/deployments/{deployment}", {"DELETE": delete_deployment}),
    Endpoint("/v2/queue", {"GET": list_queue}),
    Endpoint("/v2/queue/{id}/delay", {"DELETE": delete_delay}),
)
