"""Room for a unit with more priority, by asking lesser ones to leave; pure.

1. Only when nothing else takes the unit, and only where it then fits: amounts and ports are the
   whole obstacle.
2. Only ``shared`` units that are not global and have less priority, the least first, no more of
   them than needed. What is leaving anyway counts as gone, so nobody is asked twice.
3. Each machine is cleared for one unit in a round. The unit is placed when the others have
   answered: it comes first then. They look for another machine, or wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleetish.changes import Release
from fleetish.engine.constraints import CHECKS, leaders
from fleetish.engine.draft import Draft, Room, left
from fleetish.model import Assignment, Unit
from fleetish.units.xfleet import Class, Requirements

#: The rows that lesser units can be in the way of.
_ROOM = frozenset(("resources", "ports"))

#: Machines that are cleared in one round, at most. Each answer brings the next round.
AT_ONCE = 50


def preempt(draft: Draft, units: Sequence[Unit], busy: frozenset[str], most: int) -> list[Release]:
    """Whom to ask to leave for these units, which found no machine and are in order of priority.

    ``busy``: units that something else was decided about in this round."""
    found: list[Release] = []
    cleared: set[str] = set()
    hopeless: set[Requirements] = set()
    for unit in units:
        if len(found) >= most or len(cleared) >= AT_ONCE:
            break
        if leaders(unit.requirements, draft) or unit.requirements in hopeless:
            continue
        machine, victims = _cheapest(draft, unit, cleared, busy)
        if not machine:
            hopeless.add(unit.requirements)
            continue
        cleared.add(machine)
        for name in victims:
            draft.leaving.add((name, machine))
            reason = f"{unit.name} has more priority and needs the room"
            found.append(Release(name, machine, reason))
    return found


def _cheapest(
    draft: Draft, unit: Unit, cleared: set[str], busy: frozenset[str]
) -> tuple[str, tuple[str, ...]]:
    """The machine where fewest leave, of those where the least important do; "" for none.

    A machine where enough is leaving already is the cheapest of all: nobody is asked.
    """
    options = []
    for machine in draft.world.machines:
        room = draft.room(machine)
        if machine in cleared or _otherwise(room, unit, draft):
            continue
        victims = _victims(draft, room, unit, busy)
        if victims is not None:
            worst = max((v.requirements.priority for v in victims), default=-1001)
            options.append((worst, len(victims), machine, tuple(v.unit for v in victims)))
    if not options:
        return "", ()
    _, _, machine, names = min(options)
    return machine, names


def _otherwise(room: Room, unit: Unit, draft: Draft) -> bool:
    """True when something else than room speaks against the machine."""
    return any(c.says(room, unit, draft) for c in CHECKS if c.name not in _ROOM)


def _victims(draft: Draft, room: Room, unit: Unit, busy: frozenset[str]) -> list[Assignment] | None:
    """Who has to leave beside those that do already; None when even all of them are not enough."""
    held = draft.world.assignments(room.id).values()
    gone = [one for one in held if one.unit in room and draft.is_leaving(one.unit, room.id)]
    lesser = [
        one
        for one in held
        if one.unit in room
        and one.unit not in busy
        and one not in gone
        and _may_be_asked(one, unit, draft, room.id)
    ]
    lesser.sort(key=lambda one: (draft.asked(one.unit, room.id).priority, one.unit))
    asked: list[Assignment] = []
    while not _fits(room, unit, [*gone, *asked]):
        if not lesser:
            return None
        asked.append(lesser.pop(0))
    return _needed(room, unit, gone, asked)


def _needed(
    room: Room, unit: Unit, gone: list[Assignment], asked: list[Assignment]
) -> list[Assignment]:
    """Without those who turned out not to be in the way."""
    for one in [*asked]:
        rest = [other for other in asked if other is not one]
        if _fits(room, unit, [*gone, *rest]):
            asked = rest
    return asked


def _may_be_asked(held: Assignment, unit: Unit, draft: Draft, machine: str) -> bool:
    asked = draft.asked(held.unit, machine)
    lesser = asked.priority < unit.requirements.priority
    return lesser and asked.klass is Class.SHARED and not asked.global_


def _fits(room: Room, unit: Unit, gone: Iterable[Assignment]) -> bool:
    """Would the unit fit if these were gone?"""
    used, names = room.used, set()
    for one in gone:
        used = used - one.requirements.resources
        names.add(one.unit)
    wanted = unit.requirements
    if not wanted.resources.fits(left(room.machine.capacity, used)):
        return False
    ports = {port: who for port, who in room.ports.items() if who not in names}
    return not isinstance(room.grant(wanted.ports, ports), str)
