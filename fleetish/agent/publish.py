"""Writes the states of this machine's units to the store, by change only and together.

1. A state answers its assignment's generation only when no step for the unit is under way or due;
   otherwise a release could be taken as answered by a unit that is about to start.
2. Under load states are gathered for some milliseconds; a few changes are written at once.
3. When the machine registered anew, everything is written again: the engine may have dropped rows.
4. What somebody else made unreadable is written again.
5. Figures are those of the moment of writing; they alone are never a reason to write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import msgspec

from fleetish.agent.base import Figures
from fleetish.agent.report import diff
from fleetish.changes import PublishState
from fleetish.clock import Clock
from fleetish.errors import Conflict, LeaseLost, Unavailable
from fleetish.model import UnitState
from fleetish.store.base import Guard, Store
from fleetish.world import World

log = logging.getLogger(__name__)

#: Writes that may follow each other at once, and the seconds after which one more may.
BURST, GATHER = 4, 0.02

#: Seconds until something is written again that the store refused.
AGAIN = 0.25


class Publisher:
    """``state`` gives a unit's state now, or None when there is nothing to say of it (yet)."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        world: Callable[[], World],
        state: Callable[[str], UnitState | None],
        figures: Callable[[str], Figures],
    ) -> None:
        self._store = store
        self._clock = clock
        self._world = world
        self._state = state
        self._figures = figures
        self._guard: Guard | None = None
        self._registered = asyncio.Event()
        #: Set when a write was refused since the registration is gone.
        self.refused = asyncio.Event()
        self._due: set[str] = set()
        self._news = asyncio.Event()
        self.published: dict[str, UnitState] = {}

    def registered(self, guard: Guard) -> None:
        """The machine is registered, anew if ``guard`` is another one: then all is unpublished."""
        if guard != self._guard:
            self._due |= self.published.keys()
            self.published.clear()
        self._guard = guard
        self.refused.clear()
        self._registered.set()
        self._news.set()

    def unregistered(self) -> None:
        """The registration is gone: nothing is written until the next."""
        self._registered.clear()

    def recall(self, state: UnitState) -> None:
        """What the store holds of a unit, as listed since the registration."""
        self.published[state.unit] = msgspec.structs.replace(state, memory=0, cpu=0.0)

    def due(self, names: Iterable[str]) -> None:
        """The states of these units may have changed."""
        self._due.update(names)
        if self._due:
            self._news.set()

    async def run(self) -> None:
        """Publish what is due, for ever."""
        free = self._clock.monotonic()  # when the next write is free of waiting
        while True:
            await self._news.wait()
            await self._registered.wait()
            early = free - BURST * GATHER - self._clock.monotonic()
            if early > 0:
                await self._clock.sleep(early)
            self._news.clear()
            names, self._due = self._due, set()
            states = self._states(names)
            changes = diff(self._held(states), states)
            if not changes:
                continue
            if not await self._publish(changes):
                self._due |= names
                self._news.set()
                await self._clock.sleep(AGAIN)
            free = max(free, self._clock.monotonic()) + GATHER

    async def _publish(self, changes: tuple[PublishState, ...]) -> bool:
        """Write what is new; False when it has to be tried again."""
        try:
            await self._store.commit(
                [self._full(one) for one in changes], self._world(), self._guard
            )
        except Conflict:
            return await self._one_by_one(changes)
        except LeaseLost:
            self.refused.set()
            self.unregistered()
            return False
        except Unavailable as error:
            log.info("states are published later: %s", error)
            return False
        self._note(changes)
        return True

    def _held(self, states: Iterable[UnitState]) -> dict[str, UnitState]:
        """What the store holds of these units, as far as it can be read there."""
        broken = self._world().quarantined
        units = (one.unit for one in states if ("states", one.machine, one.unit) not in broken)
        return {unit: self.published[unit] for unit in units if unit in self.published}

    def _states(self, names: Iterable[str]) -> list[UnitState]:
        found = []
        for name in names:
            state = self._state(name)
            if state is not None:
                found.append(state)
        return found

    async def _one_by_one(self, changes: Iterable[PublishState]) -> bool:
        """An assignment went away in the meantime: write the others' states without it."""
        whole = True
        for change in changes:
            try:
                await self._store.commit([self._full(change)], self._world(), self._guard)
            except Conflict:
                whole = False
            except (LeaseLost, Unavailable):
                return False
            else:
                self._note((change,))
        return whole

    def _full(self, change: PublishState) -> PublishState:
        used = self._figures(change.state.unit)
        state = msgspec.structs.replace(change.state, memory=used.memory, cpu=used.cpu)
        return PublishState(state, change.reason)

    def _note(self, changes: Iterable[PublishState]) -> None:
        for change in changes:
            self.published[change.state.unit] = change.state
            log.info("%s: %s", change.state.unit, change.reason)
