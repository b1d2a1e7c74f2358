"""``Constraint=``: what a machine's value of a field must be, alone and beside the family; pure.

1. The others of a unit's family count where they are placed, on registered machines, also while
   they stop. Values are grouped as they are now: metadata that changes moves nobody.
2. A machine without the field takes the unit only if UNLIKE is all that is asked of the field.
3. GROUP_BY takes a value that none of the family has yet. Another one it takes when as many values
   are in use as its number says, and none of them by fewer units. Without a number all values must
   be in use that open machines have on which nothing else speaks against the unit for good.
4. CLUSTER without a value means the one that most of the family have.
5. A unit that is placed stays, unless its own text came to ask for something else.
"""

from __future__ import annotations

from collections.abc import Mapping

from fleetish.engine.draft import Draft, Room
from fleetish.engine.roster import family
from fleetish.model import Unit
from fleetish.units.constraint import Constraint, Operator
from fleetish.units.xfleet import Requirements


def constraint(room: Room, unit: Unit, draft: Draft) -> str:
    """All but GROUP_BY: in a round, in which rooms only fill up, its no is lasting."""
    for one in unit.requirements.constraints:
        if one.operator is not Operator.GROUP_BY:
            reason = _one(one, room, unit, draft)
            if reason:
                return reason
    return ""


def group_by(room: Room, unit: Unit, draft: Draft) -> str:
    """GROUP_BY alone: where one machine says no, it may say yes after others filled up."""
    for one in unit.requirements.constraints:
        if one.operator is Operator.GROUP_BY:
            reason = _one(one, room, unit, draft)
            if reason:
                return reason
    return ""


def grouped(asked: Requirements) -> tuple[str, ...]:
    """The fields of GROUP_BY, each once."""
    found = (one.field for one in asked.constraints if one.operator is Operator.GROUP_BY)
    return tuple(dict.fromkeys(found))


def crowd(room: Room, unit: Unit, draft: Draft) -> int:
    """How many others of the family have the machine's values of the fields of GROUP_BY."""
    return sum(
        _others(field, room, unit, draft).get(room.value(field) or "", 0)
        for field in grouped(unit.requirements)
    )


def _one(one: Constraint, room: Room, unit: Unit, draft: Draft) -> str:
    value = room.value(one.field)
    if value is None:
        lacks = one.operator is not Operator.UNLIKE
        return f"has no {one.field}, which Constraint={one} asks about" if lacks else ""
    against = f"has {one.field} {value}, against Constraint={one}"
    if not one.allows(value):
        return against
    more = _beside(one, value, room, unit, draft)
    return f"{against}: {more}" if more else ""


def _beside(one: Constraint, value: str, room: Room, unit: Unit, draft: Draft) -> str:
    """Why the value may not be taken beside the others of the family, or ""."""
    if one.operator in (Operator.UNIQUE, Operator.MAX_PER):
        most = 1 if one.operator is Operator.UNIQUE else one.number
        here = _others(one.field, room, unit, draft).get(value, 0)
        return f"{here} of {family(unit.name)} there" if here >= most else ""
    if one.operator is Operator.CLUSTER and not one.value:
        others = _others(one.field, room, unit, draft)
        chosen = min(others, key=lambda v: (-others[v], v), default=value)
        return "" if chosen == value else f"{family(unit.name)} is at {chosen}"
    if one.operator is Operator.GROUP_BY:
        return _crowded(one, value, room, unit, draft)
    return ""


def _crowded(one: Constraint, value: str, room: Room, unit: Unit, draft: Draft) -> str:
    others = _others(one.field, room, unit, draft)
    if value not in others:
        return ""
    wanted = one.number or _values(one.field, unit, draft)
    if len(others) < wanted:
        return f"{family(unit.name)} is at {len(others)} of {wanted} values"
    least = min(others.values())
    return f"{others[value]} there, {least} elsewhere" if others[value] > least else ""


def _others(field: str, room: Room, unit: Unit, draft: Draft) -> Mapping[str, int]:
    """How many of the unit's family would have which value, the unit itself left out."""
    tally = draft.tally(family(unit.name), field)
    home = draft.home(unit.name)
    if home is None and unit.requirements.global_ and unit.name in room:
        home = room.id
    value = draft.room(home).value(field) if home in draft.world.machines else None
    if value is None:
        return tally
    rest = {**tally, value: tally[value] - 1}
    return rest if rest[value] else {key: n for key, n in rest.items() if n}


def _values(field: str, unit: Unit, draft: Draft) -> int:
    """How many values of a field there are among the machines that may ever take the unit."""
    asked = unit.requirements
    key = (field, asked.machine_id, asked.metadata, asked.constraints)
    found = draft.spans.get(key)
    if found is None:
        rooms = (draft.room(machine) for machine in draft.world.machines)
        values = {room.value(field) for room in rooms if _may_ever(room, unit)}
        found = draft.spans[key] = len(values - {None})
    return found


def _may_ever(room: Room, unit: Unit) -> bool:
    asked = unit.requirements
    if room.closed or asked.machine_id not in ("", room.id, room.id[:8]):
        return False
    if any(room.metadata.get(key) not in allowed for key, allowed in asked.metadata):
        return False
    return all(_allows(one, room) for one in asked.constraints)


def _allows(one: Constraint, room: Room) -> bool:
    value = room.value(one.field)
    return one.operator is Operator.UNLIKE if value is None else one.allows(value)
