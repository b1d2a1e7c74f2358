"""Units over HTTP: list, look, submit, set targets, destroy."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fleetish.api.bodies import REVISION, answer, flag, read_body
from fleetish.api.ledger import Ledger
from fleetish.api.reads import current_world, ledger_of
from fleetish.api.views import (
    all_states,
    find_machine,
    find_unit,
    homes,
    unit_view,
)
from fleetish.api.wishes import (
    Asked,
    Digests,
    plan_destroy,
    plan_restarts,
    plan_targets,
    plan_wishes,
    problems_of,
    target_named,
)
from fleetish.errors import NotFound, Refused
from fleetish.model import Target, Unit
from fleetish.units.file import parse
from fleetish.units.name import parse_name
from fleetish.wire import (
    BulkWish,
    OneWish,
    States,
    TargetsWish,
    TargetWish,
    Units,
    UnitView,
    Verdict,
    VerifyBody,
    Wish,
    Written,
)
from fleetish.world import World


async def list_units(request: Request) -> Response:
    """GET /v1/units?name=…&desc=1: every unit, or those named, by name."""
    world = await current_world(request)
    wanted = request.query_params.getlist("name")
    names = [name for name in wanted if name in world.units] if wanted else sorted(world.units)
    descs = await _descriptions(request, world, names) if flag(request, "desc") else {}
    rows = [
        unit_view(world, world.units[name], homes(world, name), descs.get(name, ""))
        for name in names
    ]
    return answer(Units(units=tuple(rows)))


async def _descriptions(request: Request, world: World, names: Sequence[str]) -> dict[str, str]:
    """Description= of units; a text that cannot be had leaves it empty."""
    store = ledger_of(request).store
    texts: dict[str, str] = {}
    for digest in {world.units[name].hash for name in names}:
        try:
            texts[digest] = description(await store.content(digest))
        except NotFound:
            texts[digest] = ""
    return {name: texts[world.units[name].hash] for name in names}


def description(text: str) -> str:
    """What [Unit] Description= of a unit file says, "" when it says nothing."""
    try:
        entry = parse(text).last("Unit", "Description")
    except Refused:
        return ""
    return entry.value if entry else ""


async def get_unit(request: Request) -> Response:
    """GET /v1/units/NAME: the unit, with its text."""
    world = await current_world(request)
    unit = find_unit(world, request.path_params["name"])
    text = await ledger_of(request).store.content(unit.hash)
    return answer(with_text(world, unit, text))


def with_text(world: World, unit: Unit, text: str) -> UnitView:
    """A unit's view and its text."""
    view = unit_view(world, unit, homes(world, unit.name), description(text))
    return msgspec.structs.replace(view, text=text)


async def put_unit(request: Request) -> Response:
    """PUT /v1/units/NAME: one wish."""
    wish = await read_body(request, OneWish)
    row = Wish(name=request.path_params["name"], text=wish.text, hash=wish.hash, target=wish.target)
    written = await _submit(request, BulkWish(units=(row,), replace=wish.replace, keep=wish.keep))
    return answered(written, 201 if written.units[0].outcome == "created" else 200)


async def post_units(request: Request) -> Response:
    """POST /v1/units: many wishes, all or none."""
    return answered(await _submit(request, await read_body(request, BulkWish)))


async def _submit(request: Request, bulk: BulkWish) -> Written:
    ledger = ledger_of(request)
    digests = Digests(bulk.texts)
    await _fetch(ledger, digests, bulk)

    def plan(world: World) -> Asked:
        if digests.needed(world, bulk.units):
            raise NotFound("cannot take the request: its template changed meanwhile")
        return plan_wishes(world, bulk, digests, ledger.clock.now())

    return await ledger.write(plan)


async def _fetch(ledger: Ledger, digests: Digests, bulk: BulkWish) -> None:
    """Read the stored texts that the request needs."""
    world = await ledger.world()
    for digest in digests.needed(world, bulk.units):
        digests.known[digest] = await ledger.store.content(digest)


def answered(written: Written, status: int = 200) -> Response:
    """The answer to a write; its header lets the same client read what it wrote anywhere."""
    return answer(written, status, {REVISION: str(written.revision)})


async def delete_unit(request: Request) -> Response:
    """DELETE /v1/units/NAME."""
    return answered(await _destroy(request, [request.path_params["name"]], strict=True))


async def _destroy(request: Request, names: Sequence[str], *, strict: bool) -> Written:
    seen: set[str] = set()

    def plan(world: World) -> Asked:
        asked = plan_destroy(world, names, frozenset(seen), strict=strict)
        seen.update(row.name for row in asked.outcomes if row.outcome == "destroyed")
        return asked

    return await ledger_of(request).write(plan)


async def post_target(request: Request) -> Response:
    """POST /v1/units/NAME/target."""
    target = target_named((await read_body(request, TargetWish)).target)
    return answered(await _set_targets(request, [request.path_params["name"]], target))


async def post_restart(request: Request) -> Response:
    """POST /v1/units/NAME/restart."""
    return answered(await _restart(request, [request.path_params["name"]]))


async def post_targets(request: Request) -> Response:
    """POST /v1/targets: one thing asked of many units."""
    wish = await read_body(request, TargetsWish)
    if (bool(wish.target), wish.restart, wish.destroy).count(True) != 1:
        raise Refused("cannot take the request: give one of target, restart and destroy")
    if wish.destroy:
        return answered(await _destroy(request, wish.names, strict=False))
    if wish.restart:
        return answered(await _restart(request, wish.names))
    return answered(await _set_targets(request, wish.names, target_named(wish.target)))


async def _set_targets(request: Request, names: Sequence[str], target: Target) -> Written:
    return await ledger_of(request).write(lambda world: plan_targets(world, names, target))


async def _restart(request: Request, names: Sequence[str]) -> Written:
    """The launch to reach is settled at the first look, so that trying again does not add one."""
    wanted: dict[str, int] = {}

    def plan(world: World) -> Asked:
        for name in names:
            known = world.units.get(name)
            wanted.setdefault(name, known.launch + 1 if known else 1)
        return plan_restarts(world, wanted)

    return await ledger_of(request).write(plan)


async def list_states(request: Request) -> Response:
    """GET /v1/states?unit=…&machine=…: what systemd says, by unit and machine."""
    world = await current_world(request)
    unit = request.query_params.get("unit", "")
    if unit:
        parse_name(unit)
    machine = request.query_params.get("machine", "")
    found = find_machine(world, machine) if machine else ""
    return answer(States(states=all_states(world, unit, found)))


async def post_verify(request: Request) -> Response:
    """POST /v1/verify: what is wrong with some files; nothing is stored."""
    body = await read_body(request, VerifyBody)
    return answer(
        Verdict(problems=tuple(p for file in body.files for p in problems_of(file.name, file.text)))
    )


ROUTES = [
    Route("/v1/units", list_units, methods=["GET"]),
    Route("/v1/units", post_units, methods=["POST"]),
    Route("/v1/units/{name}", get_unit, methods=["GET"]),
    Route("/v1/units/{name}", put_unit, methods=["PUT"]),
    Route("/v1/units/{name}", delete_unit, methods=["DELETE"]),
    Route("/v1/units/{name}/target", post_target, methods=["POST"]),
    Route("/v1/units/{name}/restart", post_restart, methods=["POST"]),
    Route("/v1/targets", post_targets, methods=["POST"]),
    Route("/v1/states", list_states, methods=["GET"]),
    Route("/v1/verify", post_verify, methods=["POST"]),
]
