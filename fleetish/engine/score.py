"""Which of the machines that fit is best: SCORES, compared in order, the least wins; pure.

A unit that is placed is never scored again: it stays where it may stay. That is all the stickiness
there is, and it is what makes plans settle.
"""

from __future__ import annotations

from fleetish.engine.draft import Draft, Room
from fleetish.engine.roster import family
from fleetish.model import Unit
from fleetish.resources import Resources
from fleetish.units.globs import matches

#: A unit that reserves nothing counts as this share of its machine, so that such units spread too.
LIGHTEST = 0.001

Score = tuple[int, int, float, int, str]


def takes_over(room: Room, unit: Unit, draft: Draft) -> int:
    """0 where a unit runs that this one replaces: it is there to take its place."""
    patterns = unit.requirements.replaces
    if not patterns:
        return 1
    return 0 if any(matches(pattern, name) for name in room for pattern in patterns) else 1


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


SCORES = (takes_over, kin, load, units)


def score(room: Room, unit: Unit, draft: Draft) -> Score:
    """A machine's place in the order for a unit; the id makes the order strict."""
    first, second, third, fourth = (row(room, unit, draft) for row in SCORES)
    return (int(first), int(second), third, int(fourth), room.id)
