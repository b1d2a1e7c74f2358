"""Which of the machines that fit is best: scores, compared in order, the least wins; pure.

A unit that is placed is never scored again: it stays where it may stay. That is all the stickiness
there is, and it is what makes plans settle.
"""

from __future__ import annotations

from fleetish.engine.draft import Draft, Room
from fleetish.engine.roster import family
from fleetish.engine.spread import crowd
from fleetish.model import Unit
from fleetish.resources import Resources
from fleetish.units.globs import matches

#: A unit that reserves nothing counts as this share of its machine, so that such units spread too.
LIGHTEST = 0.001

Score = tuple[int, int, int, float, int, str]


def drawn(room: Room, unit: Unit, draft: Draft) -> int:
    """0 where a unit runs that this one replaces, to take its place, and where one is that
    activates it, so that this need not move."""
    patterns = unit.requirements.replaces
    if any(matches(pattern, name) for pattern in patterns for name in room):
        return 0
    return 0 if any(draft.home(n) == room.id for n in draft.activators(unit.name)) else 1


def group(room: Room, unit: Unit, draft: Draft) -> int:
    """How many of the unit's family are where GROUP_BY wants few; 0 for a unit that says no such
    thing."""
    return crowd(room, unit, draft) if unit.requirements.constraints else 0


def kin(room: Room, unit: Unit, draft: Draft) -> int:
    """How many units of the same template are there."""
    return draft.count(family(unit.name)).get(room.id, 0)


def load(room: Room, unit: Unit, draft: Draft) -> float:
    """The dominant share of the machine that would be reserved with the unit there."""
    wanted: Resources = unit.requirements.resources
    share = (room.used + wanted).dominant_share(room.machine.capacity)
    return max(share, LIGHTEST * (len(room) + 1))


def units(room: Room, unit: Unit, draft: Draft) -> int:
    """How many units are there."""
    return len(room)


def score(room: Room, unit: Unit, draft: Draft) -> Score:
    """A machine's place in the order for a unit; the id makes the order strict."""
    return (
        drawn(room, unit, draft),
        group(room, unit, draft),
        kin(room, unit, draft),
        load(room, unit, draft),
        units(room, unit, draft),
        room.id,
    )
