"""/v2/pods: pods whose containers are commands. Each is kept as an app of its own kind.

/v2/pods/ID  ID::status  ID::versions[/VERSION]  ID::instances[/INSTANCE]  /v2/pods/::status
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response

from fleetish.changes import Change
from fleetish.errors import Conflict, NotFound
from fleetish.world import World
from marathon_compat.apps import edits, ids, kills, pod_status, pods_app, timestamps, validate
from marathon_compat.apps.app import App
from marathon_compat.apps.bodies import json_of
from marathon_compat.apps.edits import Draft
from marathon_compat.apps.embed import flag
from marathon_compat.apps.endpoints import Call, Endpoint, Handler
from marathon_compat.apps.errors import BadBody, not_valid
from marathon_compat.apps.instances import Condition, Member
from marathon_compat.apps.json_text import parse
from marathon_compat.apps.pods import read_pod
from marathon_compat.apps.replies import json, started
from marathon_compat.apps.routes_apps import location
from marathon_compat.apps.shape import ARRAY
from marathon_compat.apps.tree import Tree


def known_pod(tree: Tree, pod: str) -> App:
    """The pod of that id, as its app. Raises NotFound."""
    found = tree.apps.get(pod)
    if found is None or found.pod is None:
        raise NotFound(f"Pod '{pod}' does not exist")
    return found


async def list_pods(call: Call) -> Response:
    """GET /v2/pods, and HEAD, by which clients ask whether there are pods here at all."""
    views = await call.face.look()
    return json([pods_app.show(views.tree.apps[name]) for name in views.pods()])


async def create(call: Call) -> Response:
    """POST /v2/pods: 201 with the pod."""
    app = await _read(call)

    def draft(tree: Tree) -> Draft:
        if app.id in tree.apps:
            raise Conflict(f"An app with id [{app.id}] already exists.")
        return edits.set_apps(tree, [app])

    done = await call.face.change(call.request, draft)
    made = done.apps.get(app.id) or app
    where = location(call.request, f"/v2/pods{app.id}")
    return json(pods_app.show(made), 201, started(done, where))


async def _read(call: Call, pod: str = "") -> App:
    found = read_pod(await json_of(call.request), pod)
    if pod and found.id != pod:
        raise BadBody(400, f"pod id {found.id} does not match the id of the path, {pod}")
    app = pods_app.as_app(found)
    wrong = validate.violations(app)
    if wrong:
        raise not_valid(wrong)
    return app


async def show(call: Call) -> Response:
    """GET /v2/pods/ID."""
    return json(pods_app.show(known_pod((await call.face.look()).tree, call.id)))


async def put(call: Call) -> Response:
    """PUT /v2/pods/ID: replaces its definition; the id in the body must be the path's."""
    app = await _read(call, call.id)

    def draft(tree: Tree) -> Draft:
        known_pod(tree, app.id)
        return edits.set_apps(tree, [app])

    done = await call.face.change(call.request, draft)
    return json(pods_app.show(done.apps.get(app.id) or app), 200, started(done))


async def delete(call: Call) -> Response:
    """DELETE /v2/pods/ID: 202; ``Location`` is the deployment's id."""

    def draft(tree: Tree) -> Draft:
        known_pod(tree, call.id)
        return edits.remove_app(tree, call.id)

    done = await call.face.change(call.request, draft)
    return Response(status_code=202, headers=started(done, done.id))


async def status_of_all(call: Call) -> Response:
    """GET /v2/pods/::status."""
    views = await call.face.look()
    rows = [
        pod_status.status(views.world, views.tree.apps[name], views.members(name))
        for name in views.pods()
    ]
    return json(rows)


async def status(call: Call) -> Response:
    """GET /v2/pods/ID::status."""
    views = await call.face.look()
    app = known_pod(views.tree, call.id)
    return json(pod_status.status(views.world, app, views.members(call.id)))


async def versions(call: Call) -> Response:
    """GET /v2/pods/ID::versions: newest first, as a bare list."""
    tree = (await call.face.look()).tree
    known_pod(tree, call.id)
    return json(tree.versions(call.id))


async def version(call: Call) -> Response:
    """GET /v2/pods/ID::versions/VERSION."""
    tree = (await call.face.look()).tree
    known_pod(tree, call.id)
    wanted = timestamps.normal(call.words["rest"])
    found = tree.definition(call.id, wanted)
    if wanted not in tree.versions(call.id) or found is None or found.pod is None:
        raise NotFound(f"Pod '{call.id}' does not have the version {wanted}")
    return json(pods_app.show(found))


async def kill_one(call: Call) -> Response:
    """DELETE /v2/pods/ID::instances/INSTANCE?wipe."""
    wanted = call.words["rest"]
    found = await _kill(call, [wanted])
    if not found:
        raise NotFound(f"Pod instance '{wanted}' does not exist")
    return json(_told(call, found[0]))


async def kill_many(call: Call) -> Response:
    """DELETE /v2/pods/ID::instances?wipe with a list of ids."""
    wanted = parse(await json_of(call.request))
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        raise BadBody(422, "Invalid JSON", ARRAY)
    return json([_told(call, one) for one in await _kill(call, wanted)])


def _told(call: Call, member: Member) -> object:
    views = call.face.views
    return pod_status.instance(views.world, known_pod(views.tree, call.id), member)


async def _kill(call: Call, wanted: list[str]) -> list[Member]:
    """Kill those of a pod's instances that are named; as they were before."""
    views, face = await call.face.look(), call.face
    known_pod(views.tree, call.id)
    found = [
        one
        for one in views.members(call.id)
        if ids.instance_id(call.id, ids.uuid_of_unit(one.name)) in wanted
        and one.condition is not Condition.KILLED
    ]
    names, wipe = [one.name for one in found], flag(call.request.query_params, "wipe")

    def plan(tree: Tree, world: World) -> tuple[Change, ...]:
        return kills.kill(tree, world, names, face.clock.now(), wipe=wipe)

    if names:
        await face.write(plan)
    return found


#: What stands behind ``::``, by method; "x/" is followed by one more word.
_PARTS: dict[str, dict[str, Handler]] = {
    "": {"GET": show, "PUT": put, "DELETE": delete},
    "status": {"GET": status},
    "versions": {"GET": versions},
    "versions/": {"GET": version},
    "instances": {"DELETE": kill_many},
    "instances/": {"DELETE": kill_one},
}


async def part(call: Call) -> Response:
    """Any method on what begins with a pod's id. Raises HTTP's 404 and 405."""
    pod, _, rest = call.id.partition("::")
    word, slash, last = rest.partition("/")
    method = "GET" if call.request.method == "HEAD" else call.request.method
    if (pod, rest, method) == ("/", "status", "GET"):
        return await status_of_all(call)
    rows = _PARTS.get(word + slash)
    if rows is None or pod == "/":
        raise HTTPException(404)
    if method not in rows:
        raise HTTPException(405, headers={"Allow": ", ".join([*rows, "OPTIONS"])})
    return await rows[method](call._replace(id=pod, words={"rest": last}))


ROUTES = (
    Endpoint("/v2/pods", {"GET": list_pods, "POST": create}),
    Endpoint("/v2/pods/{id}", dict.fromkeys(("GET", "PUT", "POST", "DELETE"), part)),
)
