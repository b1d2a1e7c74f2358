"""fleet's resources: what each method does, over the shared ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fleetish.api.bodies import REVISION, answer, read_bytes
from fleetish.api.fleet import schema
from fleetish.api.fleet.discovery import DOCUMENT
from fleetish.api.fleet.metadata import plan_patch, read_operations
from fleetish.api.fleet.options import Options
from fleetish.api.fleet.paging import cut, read_token
from fleetish.api.fleet.persist import persist
from fleetish.api.fleet.puts import NO_UNIT, plan_delete, plan_put, read_put, template_hash
from fleetish.api.fleet.schema import FleetError
from fleetish.api.fleet.states import Lately, behind, current_state, one_state, state_rows
from fleetish.api.ledger import Ledger
from fleetish.api.views import find_unit
from fleetish.api.wishes import Asked
from fleetish.errors import Conflict
from fleetish.model import Target, Unit
from fleetish.wire import Written
from fleetish.world import World

_WISH = msgspec.json.Decoder(schema.UnitWish)
_OPERATIONS = msgspec.json.Decoder(tuple[schema.Operation, ...])
_DISCOVERY = msgspec.json.encode(DOCUMENT)


class Sorted:
    """Names in order, sorted once for each revision of the world."""

    def __init__(self) -> None:
        self._of: tuple[World, int] | None = None
        self._names: list[str] = []

    def names(self, world: World, of: Iterable[str]) -> Sequence[str]:
        """The names ``of`` something in this world, in order."""
        if self._of is None or self._of[0] is not world or self._of[1] != world.revision:
            self._of, self._names = (world, world.revision), sorted(of)
        return self._names


class Resources:
    """The methods; each is given the request, the world to answer from, and the item's name."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._clock = ledger.clock
        self._options = Options(ledger.store)
        self._lately = Lately()
        self._units, self._states = Sorted(), Sorted()
        ledger.watchers.append(
            lambda world, touched: self._lately.look(world, touched, self._clock.monotonic())
        )

    async def list_machines(self, request: Request, world: World, _: str) -> Response:
        """GET machines: those that are registered, by id."""
        start = read_token(request.query_params.getlist("nextPageToken"))
        ids = behind(sorted(world.machines), start.after)
        page, token = cut(((one, _machine(world, one)) for one in ids), start)
        return answer(schema.MachinePage(machines=tuple(page), next_page_token=token))

    async def patch_machines(self, request: Request, _world: World, _: str) -> Response:
        """PATCH machines: metadata; every operation is checked before the first is done."""
        try:
            steps = read_operations(_OPERATIONS.decode(await read_bytes(request)))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FleetError(400, f"unable to decode body: {error}") from None
        written = await self.ledger.write(lambda world: plan_patch(world, steps))
        return _done(204, written, {"Content-Type": "application/json"})

    async def list_units(self, request: Request, world: World, _: str) -> Response:
        """GET units: a page of them, by name."""
        start = read_token(request.query_params.getlist("nextPageToken"))
        names = self._units.names(world, world.units)
        rows = ((name, world.units[name]) for name in behind(names, start.after))
        page, token = cut(rows, start)
        options = await self._options.of(unit.hash for unit in page)
        found = tuple(self._unit(world, unit, options[unit.hash]) for unit in page)
        return answer(schema.UnitPage(units=found, next_page_token=token))

    async def get_unit(self, _: Request, world: World, name: str) -> Response:
        """GET units/NAME. Of a global unit there is no current state."""
        unit = _known(world, name)
        options = await self._options.of((unit.hash,))
        found = self._unit(world, unit, options[unit.hash])
        if unit.requirements.global_:
            found = msgspec.structs.replace(found, current_state="")
        return answer(found)

    def _unit(self, world: World, unit: Unit, options: msgspec.Raw) -> schema.Unit:
        placement = world.placements.get(unit.name)
        return schema.Unit(
            name=unit.name,
            options=options,
            desired_state=unit.target.value,
            current_state=current_state(world, unit, self._lately, self._clock.monotonic()),
            machine_id=placement.machine if placement else "",
        )

    async def put_unit(self, request: Request, _: World, name: str) -> Response:
        """PUT units/NAME: 201 for a new text, 204 for a state."""
        put = read_put(name, await _wish(request))
        template = template_hash(await self.ledger.world(), put)
        text = await self.ledger.store.content(template) if template else ""
        begun = ""

        def plan(world: World) -> Asked:
            nonlocal begun
            if not begun and template_hash(world, put) != template:
                raise Conflict(f"cannot make {name}: its template changed meanwhile")
            asked = plan_put(world, put, text, self._clock.now(), begun)
            begun = asked.outcomes[0].outcome
            return asked

        written = await self._write(request, plan)
        if put.text:
            self._options.learn(put.hash, put.text)
        if put.target is Target.LOADED:
            self._lately.renew(name, self._clock.monotonic())
        return _done(201 if begun in ("created", "replaced") else 204, written)

    async def delete_unit(self, request: Request, _: World, name: str) -> Response:
        """DELETE units/NAME."""
        begun = ""

        def plan(world: World) -> Asked:
            nonlocal begun
            asked = plan_delete(world, name, begun)
            begun = "destroyed"
            return asked

        return _done(204, await self._write(request, plan))

    async def _write(self, request: Request, plan: Callable[[World], Asked]) -> Written:
        gone = request.is_disconnected
        return await persist(lambda: self.ledger.write(plan), self._clock, gone)

    async def list_states(self, request: Request, world: World, _: str) -> Response:
        """GET state?unitName=…&machineID=…: a page of states, by unit and machine."""
        query = request.query_params
        start = read_token(query.getlist("nextPageToken"))
        names = self._states.names(world, world.states)
        unit, machine = query.get("unitName", ""), query.get("machineID", "")
        page, token = cut(state_rows(world, names, start, unit, machine), start)
        return answer(schema.UnitStatePage(states=tuple(page), next_page_token=token))

    async def get_state(self, _: Request, world: World, name: str) -> Response:
        """GET state/NAME: the state of a unit, the first of many for a global one."""
        found = one_state(world, name)
        if found is None:
            raise FleetError(404, NO_UNIT)
        return answer(found)

    async def discovery(self, _: Request, _world: World, _name: str) -> Response:
        """GET discovery."""
        return Response(_DISCOVERY, media_type="application/json")


def _machine(world: World, machine: str) -> schema.Machine:
    known = world.machines[machine]
    return schema.Machine(id=known.id, primary_ip=known.address, metadata=world.metadata(machine))


def _known(world: World, name: str) -> Unit:
    """A unit's record. Raises FleetError 404, or Refused for one that nobody can read."""
    if ("units", name) in world.quarantined:
        return find_unit(world, name)
    if name not in world.units:
        raise FleetError(404, NO_UNIT)
    return world.units[name]


async def _wish(request: Request) -> schema.UnitWish:
    """A PUT's body. Raises FleetError 415 or 400, in this order."""
    announced = request.headers.getlist("content-type")
    if len(announced) != 1:
        raise FleetError(415, f"expected 1 Content-Type, got {len(announced)}")
    if announced[0].partition(";")[0].strip().lower() != "application/json":
        raise FleetError(415, "only acceptable Content-Type is application/json")
    try:
        return _WISH.decode(await read_bytes(request))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FleetError(400, f"unable to decode body: {error}") from None


def _done(status: int, written: Written, headers: dict[str, str] | None = None) -> Response:
    """An empty answer; its header lets the same client read what it wrote anywhere."""
    return Response(b"", status, {REVISION: str(written.revision), **(headers or {})})
