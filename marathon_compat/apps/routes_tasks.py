"""Tasks: listed for people, for load balancers as text, and killed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response

from fleetish.changes import Change
from fleetish.errors import NotFound
from fleetish.world import World
from marathon_compat.apps import edits, ids, kills
from marathon_compat.apps.bodies import ids_in, json_of
from marathon_compat.apps.embed import flag
from marathon_compat.apps.endpoints import Call, Endpoint
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.ids import TaskId
from marathon_compat.apps.instances import Condition, Member
from marathon_compat.apps.ports import service_ports
from marathon_compat.apps.replies import deployed, encode, json, plain, tag, unchanged
from marathon_compat.apps.routes_apps import known_app
from marathon_compat.apps.tree import Tree
from marathon_compat.apps.view import Views

#: Marathon's words for what ``status`` asks for.
STATUS = {"running": {Condition.RUNNING}, "staging": {Condition.STAGING, Condition.STARTING}}

Kills = Callable[[Member], bool]


async def list_all(call: Call) -> Response:
    """GET /v2/tasks?status=running|staging: of all apps, with their service ports."""
    views = await call.face.look()
    if wants_text(call.request):
        return plain(text_of(views, views.names()))
    if same := unchanged(call.request, tag(views.changed)):
        return same
    wanted, names = _conditions(call.request), sorted(_with_instances(views.tree))
    if wanted is None:
        body = b",".join(row for row in map(views.listed, names) if row)
    else:
        members = (one for name in names for one in views.tasks(name) if one.condition in wanted)
        body = encode([views.task(one, ports=True) for one in members])[1:-1]
    return json(b'{"tasks":[' + body + b"]}", headers={"ETag": tag(views.changed)})


def _conditions(request: Request) -> set[Condition] | None:
    """What ``status`` asks for; None: everything."""
    query = request.query_params
    words = [*query.getlist("status"), *query.getlist("status[]")]
    wanted = [STATUS[word] for word in words if word in STATUS]
    return set().union(*wanted) if wanted else None


def _with_instances(tree: Tree) -> set[str]:
    """Every app that has instances, also while it is being removed; not the pods."""
    found: dict[str, str] = {one.app: one.version for one in tree.instances.values()}
    known = ((name, tree.apps.get(name) or tree.definition(name, v)) for name, v in found.items())
    return {name for name, app in known if app is None or app.pod is None}


async def list_of_app(call: Call) -> Response:
    """GET /v2/apps/ID/tasks."""
    views = await call.face.look()
    known_app(views.tree, call.id)
    return _listed(call, views, [call.id])


async def list_of_group(call: Call) -> Response:
    """GET /v2/apps/GROUP/*/tasks: of every app in the group and its groups."""
    views = await call.face.look()
    if not views.tree.has_group(call.id):
        raise NotFound(f"Group '{call.id}' does not exist")
    return _listed(call, views, views.names(call.id))


def _listed(call: Call, views: Views, names: list[str]) -> Response:
    if wants_text(call.request):
        return plain(text_of(views, names))
    return json({"tasks": [views.task(one) for name in names for one in views.tasks(name)]})


def wants_text(request: Request) -> bool:
    """True for scripts that ask for lines instead of JSON."""
    accept = request.headers.get("accept", "")
    return "text/plain" in accept and "application/json" not in accept


def text_of(views: Views, names: Iterable[str]) -> str:
    """A line for each service port of each app: the app, the port, where its running tasks listen.

    An app without service ports has one line, with the hosts alone. Fields are separated by tabs.
    """
    return "".join(line + "\n" for name in names for line in _lines(views, name))


def _lines(views: Views, name: str) -> Iterable[str]:
    running = [one for one in views.tasks(name) if one.condition is Condition.RUNNING]
    bare = name[1:].replace("/", "_")
    ports = service_ports(views.tree.apps[name])
    if not ports:
        yield "\t".join([bare, " ", *(views.world.host(one.machine) for one in running), ""])
    for place, port in enumerate(ports):
        yield "\t".join([bare, str(port), *_endpoints(views.world, running, place), ""])


def _endpoints(world: World, running: Iterable[Member], place: int) -> Iterable[str]:
    for one in running:
        held = world.assignment(one.name, one.machine)
        if held and place < len(held.ports):
            yield f"{world.host(one.machine)}:{held.ports[place]}"


async def kill_of_app(call: Call) -> Response:
    """DELETE /v2/apps/ID/tasks?host&scale&wipe: those of one host, or all."""
    known_app((await call.face.look()).tree, call.id)
    host = call.request.query_params.get("host", "*")

    def on_host(one: Member) -> bool:
        known = call.face.views.world.machine(one.machine)
        names = {one.machine, *((known.host, known.address) if known else ())}
        return host in ("", "*") or host in names

    return await _kill(call, [call.id], on_host)


async def kill_one(call: Call) -> Response:
    """DELETE /v2/apps/ID/tasks/TASK?scale&wipe."""
    views = await call.face.look()
    known_app(views.tree, call.id)
    wanted = call.words["task"]
    try:
        asked = ids.parse_task(wanted)
    except BadBody:
        asked = None
    found = [one for one in views.tasks(call.id) if asked and is_meant(one, [asked])]
    if not found:
        raise NotFound(f"Task '{wanted}' does not exist")
    return await _kill(call, [call.id], lambda one: one.name == found[0].name, single=True)


async def kill_many(call: Call) -> Response:
    """POST /v2/tasks/delete?scale&wipe with ``{"ids": […]}``: ids of no task count for nothing."""
    wanted = [ids.parse_task(text) for text in ids_in(await json_of(call.request))]
    apps = sorted({one.app for one in wanted})
    await call.face.look()
    return await _kill(call, apps, lambda one: is_meant(one, wanted))


def is_meant(member: Member, wanted: Iterable[TaskId]) -> bool:
    """True when one of the ids is that of the member's newest run, or of the member itself."""
    app, uuid = member.instance.app, ids.uuid_of_unit(member.name)
    return any(
        one.app == app and one.uuid == uuid and one.incarnation in (None, member.launch or None)
        for one in wanted
    )


async def _kill(call: Call, apps: list[str], chosen: Kills, *, single: bool = False) -> Response:
    """Kill those that are chosen, and scale the apps down by as many when ``scale`` says so."""
    query, face = call.request.query_params, call.face
    scale, wipe = flag(query, "scale"), flag(query, "wipe")
    if scale and wipe:
        raise BadBody(400, "You cannot use scale and wipe at the same time.")
    views = await face.look()
    found = [one for app in apps for one in views.tasks(app) if chosen(one)]
    names = [one.name for one in found]
    if scale:
        done = await face.change(call.request, lambda tree: edits.kill_and_scale(tree, names))
        return deployed(done)
    told = [views.task(one) for one in found]

    def plan(tree: Tree, world: World) -> tuple[Change, ...]:
        return kills.kill(tree, world, names, face.clock.now(), wipe=wipe)

    await face.write(plan)
    return json({"task": told[0]} if single else {"tasks": told})


ROUTES = (
    Endpoint("/v2/tasks", {"GET": list_all}),
    Endpoint("/v2/tasks/delete", {"POST": kill_many}),
    Endpoint("/v2/apps/*/tasks", {"GET": list_of_group}),
    Endpoint("/v2/apps/{id}/*/tasks", {"GET": list_of_group}),
    Endpoint("/v2/apps/{id}/tasks", {"GET": list_of_app, "DELETE": kill_of_app}),
    Endpoint("/v2/apps/{id}/tasks/{task}", {"DELETE": kill_one}),
)
