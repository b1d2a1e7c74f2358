"""Machines over HTTP: list, look, cordon, drain, metadata."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fleetish.api.bodies import answer, flag, read_body
from fleetish.api.reads import current_world, ledger_of
from fleetish.api.units import answered
from fleetish.api.views import find_machine, known_machines, machine_view
from fleetish.api.wishes import Asked
from fleetish.changes import PutOverlay
from fleetish.errors import Refused
from fleetish.model import Overlay
from fleetish.wire import MachinePatch, Machines, WhyBody
from fleetish.world import World

Edit = Callable[[Overlay], Overlay]


async def list_machines(request: Request) -> Response:
    """GET /v1/machines?lost=1: registered machines by id, with ``lost`` those that are gone too."""
    world = await current_world(request)
    ids = known_machines(world) if flag(request, "lost") else world.machines
    return answer(Machines(machines=tuple(machine_view(world, one) for one in sorted(ids))))


async def get_machine(request: Request) -> Response:
    """GET /v1/machines/WHICH: by id, unique beginning of it, host name or address."""
    world = await current_world(request)
    return answer(machine_view(world, find_machine(world, request.path_params["which"])))


async def _edit(request: Request, edit: Edit, reason: str) -> Response:
    """Change what the operator says about a machine, and only that."""
    which = request.path_params["which"]

    def plan(world: World) -> Asked:
        machine = find_machine(world, which)
        old = world.overlays.get(machine, Overlay(machine=machine))
        broken = world.quarantined.get(("metadata", machine))
        if broken:
            raise Refused(f"cannot change {machine}: its record in etcd is unreadable: {broken}")
        new = edit(old)
        return Asked((PutOverlay(new, reason=reason),) if new != old else (), ())

    return answered(await ledger_of(request).write(plan))


def _setting(**fields: object) -> Edit:
    return lambda old: msgspec.structs.replace(old, **fields)


async def cordon(request: Request) -> Response:
    """POST /v1/machines/WHICH/cordon: nothing new is placed there."""
    why = (await read_body(request, WhyBody)).reason
    return await _edit(request, _setting(cordoned=True, reason=why), "cordoned")


async def uncordon(request: Request) -> Response:
    """POST /v1/machines/WHICH/uncordon: ends a cordon and a drain."""
    await read_body(request, WhyBody)
    return await _edit(request, _setting(cordoned=False, draining=False, reason=""), "uncordoned")


async def drain(request: Request) -> Response:
    """POST /v1/machines/WHICH/drain: what runs there moves away, but for pinned units."""
    why = (await read_body(request, WhyBody)).reason
    return await _edit(request, _setting(cordoned=True, draining=True, reason=why), "drained")


async def patch_machine(request: Request) -> Response:
    """PATCH /v1/machines/WHICH: the operator's metadata; wins over the machine's own."""
    patch = (await read_body(request, MachinePatch)).metadata
    wrong = [key for key in patch if not _is_key(key)]
    if wrong:
        raise Refused(f"cannot use {wrong[0]!r} as a metadata key", hint="letters, digits, . _ -")

    def edit(old: Overlay) -> Overlay:
        return msgspec.structs.replace(old, metadata={**old.metadata, **patch})

    return await _edit(request, edit, "metadata patched")


def _is_key(text: str) -> bool:
    """fleet's rule for metadata keys."""
    return text.isascii() and text.replace("_", "").replace(".", "").replace("-", "").isalnum()


ROUTES = [
    Route("/v1/machines", list_machines, methods=["GET"]),
    Route("/v1/machines/{which}", get_machine, methods=["GET"]),
    Route("/v1/machines/{which}", patch_machine, methods=["PATCH"]),
    Route("/v1/machines/{which}/cordon", cordon, methods=["POST"]),
    Route("/v1/machines/{which}/uncordon", uncordon, methods=["POST"]),
    Route("/v1/machines/{which}/drain", drain, methods=["POST"]),
]
