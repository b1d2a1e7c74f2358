"""Dropping the texts that nobody refers to any more, slowly, while this engine leads.

Every ten minutes the hashes of all stored texts are listed, a page at a time and without the texts;
what :mod:`fleetish.engine.contents` finds is dropped under the leader's guard. A new leader begins
with an empty memory, so a text outlives its last reader by one to two sweeps of one leader.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fleetish.clock import Clock
from fleetish.engine.contents import sweep
from fleetish.errors import Conflict, FleetishError, LeadershipLost
from fleetish.store.base import Guard, Observed, Store

log = logging.getLogger(__name__)

#: Seconds between two sweeps, and between two pages of one.
EVERY, PAUSE = 600.0, 0.2
#: Texts in a page.
PAGE = 1000


async def collect(
    store: Store, observed: Observed, guard: Guard, clock: Clock, every: float = EVERY
) -> None:
    """Sweep every so many seconds until leadership is lost."""
    unread: Mapping[str, int] = {}
    while True:
        await clock.sleep(every)
        try:
            unread = await sweep_all(store, observed, guard, clock, unread)
        except LeadershipLost:
            return
        except FleetishError as error:
            log.info("cannot look for texts that nobody refers to: %s", error)


async def sweep_all(
    store: Store, observed: Observed, guard: Guard, clock: Clock, before: Mapping[str, int]
) -> Mapping[str, int]:
    """One sweep over all texts; what nobody refers to. Raises LeadershipLost, Unavailable."""
    unread: dict[str, int] = {}
    after = ""
    while page := await store.contents(after, PAGE):
        swept = sweep(observed.world, page, before)
        unread |= swept.unread
        for drop in swept.drops:
            try:
                await store.commit((drop,), observed.world, guard)
                log.info("dropped the text %s: %s", drop.hash, drop.reason)
            except Conflict:
                log.info("the text %s is kept: somebody refers to it anew", drop.hash)
        if len(page) < PAGE:
            break
        after = page[-1].hash
        await clock.sleep(PAUSE)
    return unread
