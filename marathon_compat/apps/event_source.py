"""Marathon's events from etcd itself: each revision by itself, from any revision on.

    list at a revision ──► a world of Marathon's part ──► watch from there ──► the log

1. The store's mirror takes many revisions at once, and a list may run ahead of its watch; that is
   right for planning and wrong for ids. So this reads along with a watch of its own, one revision
   after the other, in a world that holds only what events speak of.
2. Nothing is told before this node's own answers hold it: who hears of a change and asks sees it.
3. While etcd is silent nothing is told and nothing is lost: the watch goes on where it was.
4. It ends when the revisions to come are compacted away, or when etcd has gone back in time
   (restored from a backup). Its readers are then cut off, and told when they come back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import Protocol

from fleetish.clock import Clock
from fleetish.errors import Unavailable
from fleetish.store.base import Batch, Compacted, Event, KeyValue, KeyValues
from fleetish.store.fold import Fold
from fleetish.store.keys import Keys
from fleetish.world import Ident, Touched, World
from marathon_compat.apps import records
from marathon_compat.apps.event_diff import Teller
from marathon_compat.apps.event_log import EventLog, Place, Told, tell

log = logging.getLogger(__name__)

#: Kinds of keys, and of documents, that events speak of.
KINDS = ("assigned", "docs", "machines", "placement", "states", "units")
DOCUMENTS = frozenset(
    {
        records.APP,
        records.VERSION,
        records.GROUP,
        records.DEPLOYMENT,
        records.INSTANCE,
        records.HISTORY,
        records.CALLBACK,
    }
)
#: How the names of Marathon's units begin.
FAMILY = "marathon_"
#: Keys that are taken in before others get their turn.
PORTION = 500
#: Seconds to wait while etcd is silent: at first, at most.
FIRST_WAIT, LONGEST_WAIT = 0.05, 1.0


def concerns(where: Ident) -> bool:
    """True for what events speak of."""
    match where:
        case ("machines", _):
            return True
        case ("units" | "placement", name) | ("assigned" | "states", _, name):
            return name.startswith(FAMILY)
        case ("docs", kind, _):
            return kind in DOCUMENTS
    return False


class Listener(Protocol):
    """Who is told that there is something to read."""

    def told(self, news: Sequence[Told], kinds: frozenset[str]) -> None:
        """These were added to the log, of these kinds; none: the source has ended."""


#: Waits until this node's answers hold all that was written up to a revision.
Reached = Callable[[int], Awaitable[None]]


class Source:
    """Follows etcd from a revision on (0: from now on), fills a log and tells its ``listeners``."""

    def __init__(
        self, kv: KeyValues, keys: Keys, clock: Clock, reached: Reached, revision: int = 0
    ) -> None:
        self.ready = asyncio.Event()
        """Set once ``log`` can be read; or never will be, see ``ended``."""
        self.listeners: set[Listener] = set()
        self.revision = revision
        self.ended = ""
        """Why this has ended."""
        self.log = EventLog(Place(revision))
        self._kv = kv
        self._keys = keys
        self._clock = clock
        self._reached = reached
        self._world = World()
        self._fold = Fold(keys, self._world)
        self._teller = Teller()
        self._newest: dict[str, str] = {}

    async def run(self) -> None:
        """Follow until there is nothing more to follow; then ``ended`` says why."""
        try:
            await self._list()
            self.ready.set()
            while True:
                await self._follow()
        except Compacted:
            self.ended = "the changes since then are compacted away"
        except Unavailable as error:
            self.ended = f"etcd does not answer: {error}"
        except Exception:
            log.exception("cannot tell of what happens")
            self.ended = "a fault in fleetish"
        finally:
            self.ended = self.ended or "this node stops"
            self.ready.set()
            self._tell(())

    async def _list(self) -> None:
        """Take in the cluster as of the revision. Raises Compacted, Unavailable."""
        for kind in KINDS:
            listing = await self._kv.list(f"{self._keys.root}{kind}/", revision=self.revision)
            self.revision = listing.revision
            items = _without_old_versions(self._keys, listing.items)
            for at in range(0, len(items), PORTION):
                self._take(_happened(items[at : at + PORTION]))
                await asyncio.sleep(0)
        self._world.revision = self.revision
        self._teller.look(self._world, Touched(everything=True))
        self.log = EventLog(Place(self.revision))

    async def _follow(self) -> None:
        """Read along until etcd falls silent, then wait for it."""
        try:
            async with aclosing(self._kv.watch(self._keys.root, self.revision + 1)) as batches:
                async for batch in batches:
                    await self._batch(batch)
        except Unavailable as error:
            log.info("events wait for etcd: %s", error)
            await self._silence()

    async def _silence(self) -> None:
        """Wait until etcd answers. Raises Compacted when it is older than what was told."""
        wait = FIRST_WAIT
        while True:
            await self._clock.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
            try:
                now = await self._kv.keys(self._keys.root, most=1)
            except Unavailable:
                continue
            if now.revision < self.revision:
                raise Compacted(now.revision)
            return

    async def _batch(self, batch: Batch) -> None:
        news: list[Told] = []
        for revision, happened in groupby(batch.events, key=lambda event: event.mod):
            touched = self._take(happened)
            self._world.revision = revision
            if touched:
                now = self._clock.now()
                found = self._teller.look(self._world, touched)
                news += [tell(one, Place(revision, n), now) for n, one in enumerate(found, 1)]
        if news:
            await self._reached(batch.revision)
        self.revision = max(self.revision, batch.revision)
        self.add(news)

    def add(self, news: Sequence[Told]) -> None:
        """Note events in the log, and tell of them."""
        self.log.add(news)
        if news:
            self._tell(news)

    def _tell(self, news: Sequence[Told]) -> None:
        kinds = frozenset(one.kind for one in news)
        for listener in tuple(self.listeners):
            listener.told(news, kinds)

    def _take(self, happened: Iterable[Event]) -> Touched:
        """Take in what is ours of what happened."""
        ours = []
        for event in happened:
            where = self._keys.ident(event.key)
            if where is not None and concerns(where):
                ours.append(event)
        touched = self._fold.events(Batch(0, tuple(ours)))
        for kind, name in [key for key in touched.documents if key[0] == records.VERSION]:
            touched.documents |= self._supersede(kind, name)
        return touched

    def _supersede(self, kind: str, name: str) -> set[tuple[str, str]]:
        """Forget an app's version before this one: of fifty that are stored, events read one."""
        if (kind, name) not in self._world.documents:
            return set()
        app, _, version = name.rpartition("@")
        old, newest = sorted((self._newest.get(app, version), version))
        self._newest[app] = newest
        if old == newest:
            return set()
        self._world.drop(("docs", kind, f"{app}@{old}"))
        return {(kind, f"{app}@{old}")}


def _happened(items: Sequence[KeyValue]) -> list[Event]:
    return [Event(item.key, item.value, item.create, item.mod, item.lease) for item in items]


def _without_old_versions(keys: Keys, items: Sequence[KeyValue]) -> list[KeyValue]:
    """Items in the order of their keys, of each app only the newest version."""
    found: dict[object, KeyValue] = {}
    for item in items:
        where = keys.ident(item.key)
        versioned = where is not None and where[:2] == ("docs", records.VERSION)
        found[where[2].rpartition("@")[0] if versioned and where else item.key] = item
    return list(found.values())
