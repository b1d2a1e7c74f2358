"""/v2/apps: definitions, their versions, and what is changed of one or many at once."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response

from fleetish.errors import Conflict, NotFound
from marathon_compat.apps import edits, merge, task, timestamps
from marathon_compat.apps.app import App
from marathon_compat.apps.bodies import json_of, read
from marathon_compat.apps.decode import Rollback, Update, read_app, read_update, read_updates
from marathon_compat.apps.edits import Draft
from marathon_compat.apps.embed import LISTED, SINGLE, Filters, embedded, flag
from marathon_compat.apps.endpoints import Call, Endpoint
from marathon_compat.apps.face import LONG_PATIENCE
from marathon_compat.apps.replies import deployed, json, started, tag, unchanged
from marathon_compat.apps.show import show, show_bytes
from marathon_compat.apps.tree import Tree

NO_TASKS = task.counts(())


def no_app(app: str) -> NotFound:
    """There is no such app."""
    return NotFound(f"App '{app}' does not exist")


def known_app(tree: Tree, app: str) -> App:
    """The app of that id. Raises NotFound; also for a pod, which /v2/pods answers for."""
    found = tree.apps.get(app)
    if found is None or found.pod is not None:
        raise no_app(app)
    return found


def location(request: Request, name: str) -> str:
    """Where Marathon says that something new is: its id below the server's own address."""
    return f"{request.base_url}".rstrip("/") + name


async def list_apps(call: Call) -> Response:
    """GET /v2/apps?cmd&id&label&embed: those for which all that is given holds."""
    query = call.request.query_params
    filters, parts = Filters.read(query), embedded(query.getlist("embed"), LISTED)
    views = await call.face.look()
    if "taskStats" not in parts and (same := unchanged(call.request, tag(views.changed))):
        return same
    views = await call.face.prepared(parts)
    etag = tag(views.changed)
    names = [name for name in views.names() if filters.take(views.tree.apps[name])]
    body = views.apps(names, parts, call.face.clock.now(), "apps")
    return json(body, headers={} if "taskStats" in parts else {"ETag": etag})


async def list_group(call: Call) -> Response:
    """GET /v2/apps/GROUP/*: the apps of a group and of its groups."""
    views = await call.face.look()
    if not views.tree.has_group(call.id):
        raise NotFound(f"Group '{call.id}' does not exist")
    parts = embedded(call.request.query_params.getlist("embed"), LISTED)
    now = call.face.clock.now()
    return json(views.apps(views.names(call.id), parts, now, "*"))


async def show_app(call: Call) -> Response:
    """GET /v2/apps/ID?embed: with its tasks, counters and deployments, asked for or not."""
    parts = embedded(call.request.query_params.getlist("embed"), SINGLE)
    views = await call.face.look()
    known_app(views.tree, call.id)
    etag = tag(views.changed)
    if "taskStats" not in parts and (same := unchanged(call.request, etag)):
        return same
    body = b'{"app":' + views.app(call.id, parts, call.face.clock.now()) + b"}"
    return json(body, headers={} if "taskStats" in parts else {"ETag": etag})


async def create(call: Call) -> Response:
    """POST /v2/apps: 201 with the app; 409 where the id is taken."""
    app = read_app(await json_of(call.request))

    def draft(tree: Tree) -> Draft:
        if app.id in tree.apps:
            raise Conflict(f"An app with id [{app.id}] already exists.")
        return edits.set_apps(tree, [app])

    done = await call.face.change(call.request, draft)
    made = done.apps.get(app.id) or app
    body = {**show(made), **NO_TASKS, "deployments": [{"id": done.id}], "tasks": []}
    return json(body, 201, started(done, location(call.request, app.id)))


async def put_many(call: Call) -> Response:
    """PUT /v2/apps?partialUpdate: create or change apps, in one deployment, all or none."""
    whole = not flag(call.request.query_params, "partialUpdate", True)
    return await _change_many(call, whole=whole, create=True)


async def patch_many(call: Call) -> Response:
    """PATCH /v2/apps: change apps that exist, in one deployment, all or none."""
    return await _change_many(call, whole=False, create=False)


async def _change_many(call: Call, *, whole: bool, create: bool) -> Response:
    body = await json_of(call.request)
    asked = await read(body, lambda text: read_updates(text, whole))

    def draft(tree: Tree) -> Draft:
        if not create:
            for row in asked:
                known_app(tree, row.id)
        return updated(tree, asked)

    return deployed(await call.face.change(call.request, draft, patience=LONG_PATIENCE))


def updated(tree: Tree, asked: Iterable[Update | Rollback]) -> Draft:
    """The draft in which apps are changed or rolled back together. Raises BadBody, NotFound."""
    rows = list(asked)
    for row in rows:
        if row.id in tree.apps:
            known_app(tree, row.id)
    back = [edits.app_at(tree, row.id, row.version) for row in rows if isinstance(row, Rollback)]
    changes = merge.merge_all(tree.apps, [row for row in rows if isinstance(row, Update)])
    fresh = edits.set_apps(tree, changes)
    apps: dict[str, App | None] = {**fresh.apps}
    for one in back:
        apps.update(one.apps)
    former = frozenset(name for one in back for name in one.former)
    return Draft(apps, fresh.groups, former=former)


async def put(call: Call) -> Response:
    """PUT /v2/apps/ID?partialUpdate: change, create (201), or with a version alone roll back."""
    whole = not flag(call.request.query_params, "partialUpdate", True)
    return await _change_one(call, whole=whole, create=True)


async def patch(call: Call) -> Response:
    """PATCH /v2/apps/ID: change an app that exists."""
    return await _change_one(call, whole=False, create=False)


async def _change_one(call: Call, *, whole: bool, create: bool) -> Response:
    asked = read_update(await json_of(call.request), call.id, whole)
    fresh = [False]

    def draft(tree: Tree) -> Draft:
        fresh[0] = asked.id not in tree.apps
        if fresh[0] and (not create or isinstance(asked, Rollback)):
            raise no_app(asked.id)
        return updated(tree, [asked])

    done = await call.face.change(call.request, draft)
    if fresh[0]:
        return deployed(done, 201, location(call.request, asked.id))
    return deployed(done)


async def delete(call: Call) -> Response:
    """DELETE /v2/apps/ID: also while a deployment holds it, unless ``force=false``."""
    force = flag(call.request.query_params, "force", True)
    done = await call.face.change(
        call.request,
        lambda tree: edits.remove_app(tree, known_app(tree, call.id).id),
        force=force,
    )
    return deployed(done)


async def restart(call: Call) -> Response:
    """POST /v2/apps/ID/restart: replace every instance, by the app's upgrade strategy."""

    def draft(tree: Tree) -> Draft:
        return edits.restart_app(tree, known_app(tree, call.id).id)

    return deployed(await call.face.change(call.request, draft))


async def versions(call: Call) -> Response:
    """GET /v2/apps/ID/versions: newest first."""
    tree = (await call.face.look()).tree
    known_app(tree, call.id)
    return json({"versions": tree.versions(call.id)})


async def version(call: Call) -> Response:
    """GET /v2/apps/ID/versions/VERSION: the definition as it was then."""
    tree = (await call.face.look()).tree
    known_app(tree, call.id)
    wanted = timestamps.normal(call.words["version"])
    found = tree.definition(call.id, wanted) if wanted in tree.versions(call.id) else None
    if found is None:
        raise NotFound(f"App '{call.id}' does not have the version {wanted}")
    return json(show_bytes(found))


ROUTES = (
    Endpoint("/v2/apps", {"GET": list_apps, "POST": create, "PUT": put_many, "PATCH": patch_many}),
    Endpoint("/v2/apps/{id}/*", {"GET": list_group}),
    Endpoint("/v2/apps/*", {"GET": list_group}),
    Endpoint("/v2/apps/{id}/restart", {"POST": restart}),
    Endpoint("/v2/apps/{id}/versions", {"GET": versions}),
    Endpoint("/v2/apps/{id}/versions/{version}", {"GET": version}),
    Endpoint("/v2/apps/{id}", {"GET": show_app, "PUT": put, "PATCH": patch, "DELETE": delete}),
)
