"""/v2/groups: trees of apps, changed as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as replace_in

from msgspec.structs import replace
from starlette.responses import Response

from fleetish.errors import Conflict, NotFound, Refused
from marathon_compat.apps import edits, ids, timestamps
from marathon_compat.apps.bodies import body_of, read
from marathon_compat.apps.clash import checked
from marathon_compat.apps.deploy import Proposal, propose
from marathon_compat.apps.edits import Draft
from marathon_compat.apps.embed import Shown, embedded, flag, group_shown
from marathon_compat.apps.endpoints import Call, Endpoint
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.events import group_change_failed
from marathon_compat.apps.face import LONG_PATIENCE
from marathon_compat.apps.group_body import GroupUpdate, read_enforce_role, read_group
from marathon_compat.apps.records import Group
from marathon_compat.apps.replies import deployed, json, tag, unchanged
from marathon_compat.apps.routes_apps import location
from marathon_compat.apps.tree import Tree
from marathon_compat.apps.view import steps


def known_group(tree: Tree, group: str) -> str:
    """The id, when there is such a group. Raises NotFound."""
    if not tree.has_group(group):
        raise NotFound(f"Group '{group}' does not exist")
    return group


async def show_group(call: Call) -> Response:
    """GET /v2/groups[/ID]?embed: the group, its apps, its groups."""
    shown = group_shown(call.request.query_params.getlist("embed"))
    views = await call.face.look()
    known_group(views.tree, call.id)
    if same := unchanged(call.request, tag(views.changed)):
        return same
    views = await call.face.prepared(shown.parts)
    known_group(views.tree, call.id)
    body = views.group(call.id, shown, call.face.clock.now())
    return json(body, headers={"ETag": tag(views.changed)})


async def list_apps(call: Call) -> Response:
    """GET /v2/groups/ID/apps: of the group and its groups, as a bare list. Where there is a group
    of that very id, it is meant."""
    parts = embedded(call.request.query_params.getlist("embed"))
    views = await call.face.look()
    if views.tree.has_group(f"{call.id}/apps"):
        return await show_group(call._replace(id=f"{call.id}/apps"))
    known_group(views.tree, call.id)
    return json(views.apps(views.names(call.id), parts, call.face.clock.now()))


async def versions(call: Call) -> Response:
    """GET /v2/groups/[ID/]versions: newest first, as a bare list."""
    tree = (await call.face.look()).tree
    return json(tree.group_versions(known_group(tree, call.id)))


async def version(call: Call) -> Response:
    """GET /v2/groups/[ID/]versions/VERSION: the group as it was then."""
    views = await call.face.look()
    wanted = timestamps.normal(call.words["version"])
    if wanted not in views.tree.group_versions(ids.ROOT):
        raise NotFound(f"Group '{call.id}' does not have the version {wanted}")
    then = views.at(wanted)
    known_group(then.tree, call.id)
    shown = Shown(groups=True, apps=True, pods=True, parts=frozenset())
    return json(then.group(call.id, shown, call.face.clock.now()))


async def roll_back(call: Call) -> Response:
    """PUT /v2/groups/ID/versions/VERSION, without a body: the group as it was then."""
    wanted = timestamps.normal(call.words["version"])
    return await _apply(call, lambda tree: edits.group_at(tree, call.id, wanted))


async def create(call: Call) -> Response:
    """POST /v2/groups[/ID]: 201; 409 where there is such a group, or such an app."""
    asked = await _read(call)

    def draft(tree: Tree) -> Draft:
        if asked.id in tree.apps:
            raise Conflict(f"An app with id [{asked.id}] already exists.")
        if tree.has_group(asked.id):
            raise Conflict(f"Group {asked.id} is already created. Use PUT to change this group.")
        return drafted(tree, asked)

    done = await _change(call, draft)
    return deployed(done, 201, location(call.request, asked.id))


async def put(call: Call) -> Response:
    """PUT /v2/groups[/ID]?dryRun: make the group hold just this, be as in a version, or scale."""
    asked = await _read(call)
    if not flag(call.request.query_params, "dryRun"):
        return await _apply(call, lambda tree: drafted(tree, asked))
    tree = (await call.face.look()).tree
    terms = call.face.terms(call.request)
    return json(
        {"steps": steps(propose(tree, checked(tree, drafted(tree, asked)), terms).deployment)}
    )


async def _read(call: Call) -> GroupUpdate:
    body = await body_of(call.request)
    return await read(body, lambda text: read_group(text, call.id))


def drafted(tree: Tree, asked: GroupUpdate) -> Draft:
    """The draft that makes of a group what a body says. It cannot say anything of pods, so they
    stay. Raises BadBody, NotFound."""
    if asked.version:
        return edits.group_at(tree, asked.id, asked.version)
    if asked.scale_by is not None:
        return edits.scale_group(tree, asked.id, asked.scale_by)
    draft = edits.set_group(tree, asked.id, asked.apps, asked.groups)
    kept = {name for name, app in tree.apps.items() if app.pod is not None}
    return replace_in(draft, apps={n: a for n, a in draft.apps.items() if a or n not in kept})


async def patch(call: Call) -> Response:
    """PATCH /v2/groups/ID: ``enforceRole`` of a top-level group; nothing is restarted."""
    role = read_enforce_role(await body_of(call.request))
    if call.id == ids.ROOT or ids.parent(call.id) != ids.ROOT:
        raise BadBody(422, "enforceRole can only be set on a top-level group")

    def draft(tree: Tree) -> Draft:
        said = tree.groups.get(known_group(tree, call.id), Group(id=call.id))
        return Draft(groups={call.id: replace(said, enforce_role=role)})

    await call.face.change(call.request, draft)
    return Response(status_code=200)


async def delete(call: Call) -> Response:
    """DELETE /v2/groups[/ID]: with all that is in it; of the root, all that is in it."""
    return await _apply(call, lambda tree: edits.remove_group(tree, call.id))


async def _apply(call: Call, draft: Callable[[Tree], Draft]) -> Response:
    return deployed(await _change(call, draft))


async def _change(call: Call, draft: Callable[[Tree], Draft]) -> Proposal:
    """Change a group; a refusal is told on the event stream too."""
    face = call.face
    try:
        return await face.change(call.request, draft, patience=LONG_PATIENCE)
    except (Refused, Conflict) as error:
        version = timestamps.text(face.clock.now())
        face.events.local(group_change_failed(call.id, version, error.message))
        raise


_ONE = {"GET": show_group, "POST": create, "PUT": put, "DELETE": delete}

ROUTES = (
    Endpoint("/v2/groups", _ONE),
    Endpoint("/v2/groups/versions", {"GET": versions}),
    Endpoint("/v2/groups/versions/{version}", {"GET": version, "PUT": roll_back}),
    Endpoint("/v2/groups/{id}/versions", {"GET": versions}),
    Endpoint("/v2/groups/{id}/versions/{version}", {"GET": version, "PUT": roll_back}),
    Endpoint("/v2/groups/{id}/apps", {"GET": list_apps}),
    Endpoint("/v2/groups/{id}", {**_ONE, "PATCH": patch}),
)
