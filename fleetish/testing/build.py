"""Records and worlds with defaults, so that only what matters is on a test's page; pure."""

from __future__ import annotations

from typing import Any

from fleetish.changes import Assign, Change, Move, Refresh, Release, Unassign
from fleetish.model import (
    Assignment,
    Machine,
    Overlay,
    Placement,
    Record,
    Target,
    Unit,
    UnitState,
)
from fleetish.resources import MIB, Resources
from fleetish.units.xfleet import Requirements
from fleetish.world import Revision, Touched, World, ident, touch

FOUR_CORES = Resources(millicpus=4000, memory=8192 * MIB, disk=100_000 * MIB)


def machine(name: str, capacity: Resources = FOUR_CORES, **fields: Any) -> Machine:
    """A registered machine whose id and host are ``name``; ``metadata=``, ``ports=`` and so on."""
    return Machine(id=name, host=fields.pop("host", name), capacity=capacity, **fields)


def unit(
    name: str, target: Target = Target.LAUNCHED, launch: int = 1, digest: str = "h", **asks: Any
) -> Unit:
    """A unit that somebody started; ``asks`` are fields of Requirements, and ``cpus=`` (cores) and
    ``memory=`` (MiB)."""
    amounts = Resources(
        millicpus=round(1000 * asks.pop("cpus", 0)), memory=asks.pop("memory", 0) * MIB
    )
    asked = Requirements(resources=amounts, **asks)
    return Unit(name=name, hash=digest, target=target, launch=launch, requirements=asked)


def assigned(one: Unit, on: str, ports: tuple[int, ...] = (), **fields: Any) -> Assignment:
    """What the machine ``on`` was told of a unit."""
    told: dict[str, Any] = {
        "hash": one.hash,
        "target": one.target,
        "launch": one.launch,
        "requirements": one.requirements,
    }
    return Assignment(unit=one.name, machine=on, ports=ports, **{**told, **fields})


def placed(one: Unit, on: str, ports: tuple[int, ...] = (), **fields: Any) -> tuple[Record, ...]:
    """A unit with its placement and assignment; ``fields`` are the placement's."""
    placement = Placement(unit=one.name, machine=on, **fields)
    return one, placement, assigned(one, on, ports)


def overlay(name: str, **fields: Any) -> Overlay:
    """What an operator said about a machine."""
    return Overlay(machine=name, **fields)


def world(*records: Record | tuple[Record, ...]) -> World:
    """A world of these records, each written at a revision of its own."""
    built = World()
    for item in records:
        for record in item if isinstance(item, tuple) else (item,):
            put(built, record)
    return built


def put(known: World, record: Record) -> Touched:
    """Write a record into a world at its next revision; whom that concerns."""
    known.revision += 1
    where = ident(record)
    touched = _touched(known, where)
    born = known.revision_of(where).create or known.revision
    known.put(record, Revision(born, known.revision))
    touched.units |= _touched(known, where).units
    return touched


def drop(known: World, *where: str) -> Touched:
    """Delete a record from a world; whom that concerns."""
    known.revision += 1
    touched = _touched(known, where)
    known.drop(where)
    return touched


def _touched(known: World, where: tuple[str, ...]) -> Touched:
    touched = Touched()
    touch(touched, where)
    if where[0] == "units":
        touched.units |= known.activated(where[1])
    return touched


def apply(known: World, changes: tuple[Change, ...]) -> Touched:
    """Do to a world what the store does with an engine's changes; whom that concerns."""
    touched = Touched()
    for change in changes:
        for record in _written(known, change):
            put(known, record)
            touch(touched, ident(record))
        if isinstance(change, Unassign | Move):
            gone = change.source if isinstance(change, Move) else change.machine
            for where in (("assigned", gone, change.unit), ("states", gone, change.unit)):
                drop(known, *where)
            if isinstance(change, Unassign):
                placement = known.placements.get(change.unit)
                if placement and placement.machine == gone:
                    drop(known, "placement", change.unit)
            touched.units.add(change.unit)
    return touched


def _written(known: World, change: Change) -> tuple[Record, ...]:
    """The records that a change of the engine writes."""
    match change:
        case Assign(name, on, ports):
            told = _wished(known, name, on, ports)
            if told.requirements.global_:
                return (told,)
            return (Placement(unit=name, machine=on, reason=change.reason), told)
        case Move(name, _, on, ports):
            before = known.placements[name]
            return (
                Placement(
                    unit=name,
                    machine=on,
                    reason=change.reason,
                    failed_on=change.failed_on or before.failed_on,
                    moves=before.moves + 1,
                ),
                _wished(known, name, on, ports),
            )
        case Refresh(name, on):
            held = known.assigned[on][name]
            return (_wished(known, name, on, held.ports, held.generation + 1),)
        case Release(name, on):
            return _released(known, change)
    return ()


def _wished(
    known: World, name: str, on: str, ports: tuple[int, ...], generation: int = 1
) -> Assignment:
    wanted = known.target(name)
    return assigned(known.units[name], on, ports, target=wanted, generation=generation)


def _released(known: World, change: Release) -> tuple[Record, ...]:
    held = known.assigned[change.machine][change.unit]
    stop = Assignment(
        unit=held.unit,
        machine=held.machine,
        hash=held.hash,
        target=Target.INACTIVE,
        launch=held.launch,
        generation=held.generation + 1,
        ports=held.ports,
        requirements=held.requirements,
    )
    before = known.placements.get(change.unit)
    if before is None or before.machine != change.machine:
        return (stop,)
    failed_on = change.failed_on or before.failed_on
    leaving = Placement(
        unit=before.unit,
        machine=before.machine,
        reason=change.reason,
        leaving=True,
        failed_on=failed_on,
        moves=before.moves,
    )
    return stop, leaving


def answer(known: World) -> Touched:
    """What the agents of all registered machines say: each assignment is as it was wished."""
    touched = Touched()
    for on in sorted(known.machines):
        for held in [*known.assignments(on).values()]:
            state = UnitState(
                unit=held.unit,
                machine=on,
                hash=held.hash,
                load="loaded",
                active="active" if held.target is Target.LAUNCHED else "inactive",
                launch=held.launch,
                seen=held.generation,
            )
            if known.state(held.unit, on) != state:
                touched.units |= put(known, state).units
    return touched
