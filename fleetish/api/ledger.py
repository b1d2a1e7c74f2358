"""The cluster as the handlers see it: one world for all of them, opened when somebody asks.

1. Nothing is watched while nobody asks: thousands of machines may serve the API.
2. One task owns the observation; it looks, tells the feed, and closes after a few idle minutes.
3. A write is planned over the newest world, committed, and answered when this world shows it. A
   conflict, or an answer that never came, means: plan again over a newer world.
4. While etcd is silent reads go on from the last world, and say so; writes fail within 2 s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fleetish.api.diff import Seen
from fleetish.api.feed import Feed
from fleetish.api.wishes import Asked
from fleetish.clock import Clock
from fleetish.engine.explain import alarms
from fleetish.errors import Conflict, FleetishError, OutcomeUnknown, StoreUnavailable
from fleetish.store.base import Observed, Store
from fleetish.wire import Written
from fleetish.world import Touched, World

log = logging.getLogger(__name__)

Watcher = Callable[[World, Touched], None]

#: Seconds without a question after which the observation is closed.
IDLE = 180.0
#: Seconds that a request waits for the store, at most.
PATIENCE = 1.8
#: How often a write is planned again before its conflict is shown.
ATTEMPTS = 5


class Ledger:
    """Reads and writes of the cluster for HTTP handlers. :meth:`run` must run beside them."""

    def __init__(self, store: Store, clock: Clock, idle: float = IDLE) -> None:
        self.store = store
        self.clock = clock
        self.feed = Feed()
        self.watchers: list[Watcher] = []
        """Called with each newer world, and with what was touched since the one before."""
        self._idle = idle
        self._asked = asyncio.Event()
        self._open: asyncio.Future[Observed] | None = None
        self._used = clock.monotonic()

    async def run(self) -> None:
        """Open the observation when somebody asks, close it when nobody does; for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._observe()
            except FleetishError as error:
                log.warning("cannot observe the cluster: %s", error)
                await self.clock.sleep(0.5)

    async def _observe(self) -> None:
        opened = self._opened()
        try:
            async with self.store.observe() as observed:
                seen = Seen()
                everything = Touched(everything=True)
                seen.look(observed.world, everything, alarms_of(observed.world))
                self._watched(observed.world, everything)
                self.feed.begin(observed.world.revision)
                opened.set_result(observed)
                await self._follow(observed, seen)
        except FleetishError as error:
            if not opened.done():
                opened.set_exception(error)
                opened.exception()  # seen here, whether or not somebody waits for it
            raise
        finally:
            self._open = None
            opened.cancel()

    async def _follow(self, observed: Observed, seen: Seen) -> None:
        while self.feed.listeners or self.clock.monotonic() - self._used < self._idle:
            touched = await observed.changed(self._idle / 4)
            world = observed.world
            if touched:
                self._watched(world, touched)
                self.feed.tell(seen.look(world, touched, alarms_of(world)))

    def _watched(self, world: World, touched: Touched) -> None:
        for watcher in self.watchers:
            watcher(world, touched)

    def _opened(self) -> asyncio.Future[Observed]:
        if self._open is None or self._open.cancelled():
            self._open = asyncio.get_running_loop().create_future()
        return self._open

    async def observed(self) -> Observed:
        """The shared observation. Raises StoreUnavailable when it cannot be opened in time."""
        self._used = self.clock.monotonic()
        opened = self._opened()
        if not opened.done():
            self._asked.set()
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.shield(opened)
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not opened.cancelled():
                raise
            raise StoreUnavailable("cannot read the cluster: etcd does not answer") from None

    async def world(self, revision: int = 0) -> World:
        """The newest world that is known here, if need be waiting until it holds ``revision``."""
        observed = await self.observed()
        if observed.world.revision < revision:
            await self._reach(observed, revision)
        return observed.world

    def open_world(self) -> World | None:
        """The world if it is being observed anyway; None while nobody asks."""
        opened = self._open
        if opened is None or not opened.done() or opened.cancelled() or opened.exception():
            return None
        return opened.result().world

    @property
    def stale_since(self) -> float | None:
        """When etcd was last heard (monotonic), while it is silent; None while all is well."""
        if self._open is None or not self._open.done() or self._open.cancelled():
            return None
        return self._open.result().stale_since if not self._open.exception() else None

    async def write(self, plan: Callable[[World], Asked], patience: float = PATIENCE) -> Written:
        """Commit what ``plan`` makes of the newest world. Raises what the plan and the store do,
        and that within ``patience`` (seconds)."""
        why: FleetishError = OutcomeUnknown(
            "cannot tell whether this was written: etcd does not answer",
            hint="look again when it does; asking twice does no harm",
        )
        try:
            async with asyncio.timeout(patience):
                for _ in range(ATTEMPTS):
                    observed = await self.observed()
                    world = observed.world
                    asked, revision = plan(world), world.revision
                    try:
                        revision = await self.store.commit(asked.changes, world)
                    except (Conflict, OutcomeUnknown) as error:
                        why = error
                        await observed.reached(revision + 1)
                        continue
                    await observed.reached(revision)
                    return Written(revision=revision, units=asked.outcomes)
        except TimeoutError:
            pass
        raise why

    async def _reach(self, observed: Observed, revision: int) -> None:
        """Wait until the world holds a revision, as far as patience goes: a read that is a little
        old is better than none."""
        try:
            async with asyncio.timeout(PATIENCE):
                await observed.reached(revision)
        except TimeoutError:
            log.warning("revision %d has not arrived here after %.1f s", revision, PATIENCE)


def alarms_of(world: World) -> frozenset[str]:
    """What an operator should look at: records that nobody can read, and the mass-loss brake."""
    unreadable = {
        f"the record {'/'.join(where)} is unreadable: {reason}"
        for where, reason in world.quarantined.items()
    }
    return frozenset(unreadable.union(alarms(world)))
