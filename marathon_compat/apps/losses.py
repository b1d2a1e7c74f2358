"""Machines that are not there, and what an app wants of its instances on them; pure.

Times are seconds since the epoch. When most machines vanish at once, the fault is likely ours: then
none counts as lost (the engine has the same brake).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fleetish.world import World
from marathon_compat.apps.app import App
from marathon_compat.apps.instances import is_resident

#: Seconds that a machine must be gone before it counts as lost; longer where it was gone already
#: when somebody looked for the first time, as it may be about to register.
SETTLE, AT_FIRST = 2.0, 15.0
#: More machines than these, and than this share of all, must be gone for the brake to hold.
BRAKE_ABOVE, BRAKE_SHARE = 2, 0.5


@dataclass
class Losses:
    """Since when each absent machine counts as lost."""

    since: dict[str, float] = field(default_factory=dict)
    braked: bool = False
    _looked: bool = False

    def look(self, world: World, now: float) -> set[str]:
        """Note who is gone and who is back; the machines of which that is news."""
        back = self.since.keys() - world.absent
        gone = world.absent - self.since.keys()
        for machine in back:
            del self.since[machine]
        begin = now + (SETTLE if self._looked else AT_FIRST)
        self.since.update(dict.fromkeys(gone, begin))
        self._looked = True
        count = len(self.since)
        braked = count > BRAKE_ABOVE and count > BRAKE_SHARE * (count + len(world.machines))
        news = set(self.since) | back if braked != self.braked else gone | back
        self.braked = braked
        return news


def patience(app: App) -> tuple[float, float]:
    """After how many seconds an instance on a lost machine is replaced, and when given up."""
    strategy = app.unreachable_strategy
    if isinstance(strategy, str) or is_resident(app):
        return math.inf, math.inf
    return float(strategy.inactive_after_seconds), float(strategy.expunge_after_seconds)
