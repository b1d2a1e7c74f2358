"""The arithmetic of replacing an app's instances; pure, over counts only.

    floor   = ceil(min(old, wanted) * minimumHealthCapacity)     healthy at any time
    ceiling = floor(wanted * (1 + maximumOverCapacity))          there at any time

1. Where both are the same and all that are needed are healthy, one more may be there; of instances
   that cannot move (they keep data on their machine) one less may be healthy.
2. A healthy old instance is killed only while more than the floor are healthy; new ones count when
   they are healthy and ready. So the floor is never crossed by a kill.
3. Old ones that are not healthy cost nothing: they go first, and also when there is no room.
4. What is being killed still takes room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Counts:
    """An app's instances. ``wanted``: how many there shall be, ``before``: how many there were to
    be. ``new`` are those with the new definition, ``ready`` of them are healthy and ready.
    ``leaving`` are being killed, new or old."""

    wanted: int
    before: int
    new: int
    ready: int
    old_healthy: int
    old_unhealthy: int
    leaving: int = 0

    @property
    def old(self) -> int:
        return self.old_healthy + self.old_unhealthy

    @property
    def there(self) -> int:
        return self.new + self.old + self.leaving

    @property
    def healthy(self) -> int:
        return self.ready + self.old_healthy


class Bounds(NamedTuple):
    """How few may be healthy, and how many may be there."""

    floor: int
    ceiling: int


class Turn(NamedTuple):
    """What is to be done now: instances to start, old ones to kill, new ones that are too many."""

    start: int = 0
    kill_healthy: int = 0
    kill_unhealthy: int = 0
    kill_new: int = 0


def bounds(counts: Counts, minimum: float, over: float, *, fixed: bool = False) -> Bounds:
    """The bounds of a replacement. ``minimum`` and ``over`` are the upgrade strategy's shares;
    ``fixed``: the instances cannot move."""
    floor = math.ceil(_exact(min(counts.before, counts.wanted) * minimum))
    ceiling = math.floor(_exact(counts.wanted * (1 + over)))
    if floor == ceiling <= counts.healthy:
        return Bounds(floor - 1, ceiling) if fixed else Bounds(floor, ceiling + 1)
    return Bounds(floor, ceiling)


def _exact(product: float) -> float:
    """A product of a count and a decimal share without the error of binary fractions."""
    return round(product, 9)


def turn(counts: Counts, minimum: float, over: float) -> Turn:
    """What to do now about instances that can move."""
    floor, ceiling = bounds(counts, minimum, over)
    if counts.ready >= counts.wanted:
        surplus = counts.new - counts.wanted
        return Turn(0, counts.old_healthy, counts.old_unhealthy, surplus)
    room = ceiling - counts.there
    missing = counts.wanted - counts.new
    start = max(0, min(missing, room))
    spare = max(0, counts.healthy - floor)
    stuck = room <= 0 and not counts.leaving
    unhealthy = counts.old_unhealthy if spare or stuck else 0
    if stuck and not spare:
        unhealthy = min(unhealthy, max(1, min(missing, counts.there - ceiling + 1)))
    return Turn(start, min(spare, counts.old_healthy), unhealthy, max(0, -missing))


def swaps(counts: Counts, minimum: float) -> int:
    """How many old instances that cannot move may be replaced where they are, unhealthy first."""
    floor, _ = bounds(counts, minimum, 0.0, fixed=True)
    return min(counts.old, counts.old_unhealthy + max(0, counts.healthy - max(floor, 0)))


def is_done(counts: Counts) -> bool:
    """True when exactly the wanted instances are there, all new, healthy and ready."""
    return counts.ready == counts.new == counts.wanted and not counts.old and not counts.leaving
