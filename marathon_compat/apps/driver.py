"""Keeps apps as they are wanted, and takes deployments from step to step.

    something was touched, or a time has come ─▶ plan ─▶ commit ─▶ wait until the world has it

1. One of these runs beside each engine; only the one beside the leader writes. That saves work, no
   more: each write compares what it was decided by, so two drivers do no harm, and one that dies
   leaves nothing behind that the next does not find in the store.
2. A refused commit means that the world was behind: look at everything again. After some, each
   part is written by itself, so that one that can never be written does not hold up the others.
3. Nothing is polled: time alone changes a plan only at ``Plan.wake``.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from fleetish.clock import Clock
from fleetish.errors import Conflict, NotFound, Refused, Unavailable
from fleetish.store.base import Observed, Store
from fleetish.world import Touched, World
from marathon_compat.apps.making import Text
from marathon_compat.apps.plan import Part, Plan, Planner

log = logging.getLogger(__name__)

#: Seconds between looks when nothing happens.
IDLE = 30.0
#: Seconds until the next attempt after a refused or unanswered commit, at first and at most.
AGAIN, AGAIN_MAX = 0.02, 1.0
#: Seconds from the beginning of one look to the next, at least, and how many times longer than the
#: look took: what happens meanwhile is looked at together.
GATHER, SHARE = 0.02, 3.0
#: Refused commits in a row after which each part is written by itself.
STUBBORN = 3


def new_name() -> str:
    """A UUID by chance."""
    return str(uuid.uuid4())


async def run_driver(
    store: Store,
    clock: Clock,
    leads: Callable[[World], bool],
    text: Text,
    names: Callable[[], str] = new_name,
) -> None:
    """Drive for ever. ``leads`` tells whether this driver is the one to write."""
    async with store.observe() as observed:
        await Driver(store, observed, clock, leads, Planner(text, names)).run()


@dataclass
class Driver:
    """One driver over one observation. ``rounds`` and ``refused`` count."""

    store: Store
    observed: Observed
    clock: Clock
    leads: Callable[[World], bool]
    planner: Planner
    rounds: int = 0
    refused: int = 0
    _wake: float | None = None
    _in_a_row: int = 0
    _again: bool = False
    _begun: float = 0.0
    _cost: float = 0.0

    async def run(self) -> None:
        """Plan and write, for ever."""
        while True:
            touched = await self.observed.changed(0.0 if self._again else self._patience())
            left = self._begun + max(GATHER, SHARE * self._cost) - self.clock.monotonic()
            if left > 0:
                await self.clock.sleep(left)
                _merge(touched, await self.observed.changed(0.0))
            touched.everything |= self._again
            self._again = False
            await self.round(touched)

    def _patience(self) -> float:
        """Seconds until time alone may change something."""
        left = (math.inf if self._wake is None else self._wake) - self.clock.now()
        return min(IDLE, max(0.001, left))

    async def round(self, touched: Touched) -> None:
        """One look, and what it leads to."""
        world, now = self.observed.world, self.clock.now()
        self._begun = self.clock.monotonic()
        self.planner.note(world, touched, now)
        if not self.leads(world):
            self._wake = None
            return
        self.rounds += 1
        found = self.planner.look(world, now)
        self._wake = found.wake
        self._cost = self.clock.monotonic() - self._begun
        if not found.parts:
            return
        try:
            revision = await self._commit(found, world)
        except (Conflict, Refused, NotFound, Unavailable) as error:
            await self._put_off(error)
            return
        self._in_a_row = 0
        await self.observed.reached(revision)

    async def _commit(self, found: Plan, world: World) -> int:
        if self._in_a_row < STUBBORN:
            revision = await self.store.commit(found.changes, world)
            for part in found.parts:
                _log(part)
            return revision
        return await self._one_by_one(found, world)

    async def _one_by_one(self, found: Plan, world: World) -> int:
        """Write the parts that can be written. Raises the last refusal."""
        revision, last = world.revision, None
        for part in found.parts:
            try:
                revision = await self.store.commit(part.changes, world)
            except (Conflict, Refused, NotFound) as error:
                log.warning("cannot write for %s: %s", part.subject, error)
                last = error
                continue
            _log(part)
        if last is not None:
            raise last
        return revision

    async def _put_off(self, error: Exception) -> None:
        """The world was behind, or the store is silent: a little later, from the beginning."""
        self.refused += 1
        self._in_a_row += not isinstance(error, Unavailable)
        log.info("planning again: %s", error)
        self._again = True
        await self.clock.sleep(min(AGAIN_MAX, AGAIN * 2 ** min(self._in_a_row, 6)))


def _merge(into: Touched, more: Touched) -> None:
    into.units |= more.units
    into.machines |= more.machines
    into.documents |= more.documents
    into.everything |= more.everything


def _log(part: Part) -> None:
    for change in part.changes:
        log.info("%s: %s: %s", part.subject, type(change).__name__, change.reason)
