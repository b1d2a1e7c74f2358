"""Carrying out standing orders (:mod:`fleetish.engine.orders`), one step a round.

1. One errand is committed in a round, over the world in which it was decided; what follows, the
   next round sees.
2. One that was refused is put off for a second, while others go on. A rollout whose texts are gone
   is stopped, and says so.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from fleetish.clock import Clock
from fleetish.engine.orders import Due, Errand, Orders
from fleetish.engine.roster import Roster
from fleetish.engine.vacate import Holds
from fleetish.errors import Conflict, NotFound, Refused, Unavailable
from fleetish.store.base import Guard, Observed, Store
from fleetish.world import Touched, World

log = logging.getLogger(__name__)

#: Seconds for which a refused errand is put off.
LATER = 1.0


@dataclass
class Errands:
    """The standing orders of one term."""

    store: Store
    observed: Observed
    guard: Guard
    clock: Clock
    _orders: Orders = field(default_factory=Orders)
    _due: Due = field(default_factory=Due)
    _late: dict[str, float] = field(default_factory=dict)

    def look(self, world: World, touched: Touched, roster: Roster) -> Holds:
        """See what is due; what the planner is to leave alone. ``touched`` may grow."""
        now = self.clock.monotonic()
        self._due = self._orders.look(world, touched, roster, now, self.clock.now())
        self._late = {name: until for name, until in self._late.items() if until > now}
        return self._due.holds

    @property
    def wake(self) -> float | None:
        """When (monotonic seconds) there may be something to do though nothing was touched."""
        times = [*self._late.values()]
        if self._due.wake is not None:
            times.append(self._due.wake)
        return min(times, default=None)

    async def carry_out(self, world: World) -> None:
        """Commit what is due next, and wait until the world has it. Raises LeadershipLost."""
        errand = next((one for one in self._due.errands if one.order not in self._late), None)
        if errand is None:
            return
        try:
            revision = await self.store.commit(errand.changes, world, self.guard)
        except (Conflict, Unavailable) as error:
            self._put_off(errand, error)
        except (NotFound, Refused) as error:
            self._put_off(errand, error)
            await self._stop(errand, str(error))
        else:
            for change in errand.changes:
                log.info("%s: %s", errand.order, change.reason)
            await self.observed.reached(revision)

    def _put_off(self, errand: Errand, error: Exception) -> None:
        self._late[errand.order] = self.clock.monotonic() + LATER
        log.info("%s is put off: %s", errand.order, error)

    async def _stop(self, errand: Errand, reason: str) -> None:
        change = self._orders.stopped(errand.order, reason, self.clock.now())
        if change is None:
            return
        try:
            await self.store.commit((change,), self.observed.world, self.guard)
            log.warning("%s", change.reason)
        except (Conflict, NotFound, Refused, Unavailable) as error:
            log.warning("cannot stop %s: %s", errand.order, error)
