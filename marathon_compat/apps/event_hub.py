"""One source of events for all who read them on this node.

1. Nothing is followed while nobody reads, and for a while after.
2. A reader is a place in the source's log. It is woken by news that it wants and takes what it has
   not had yet; frames are shared, so a slow reader costs no more than a fast one.
3. A reader that has fallen :data:`LAG` events behind and takes nothing is cut off, and so is one
   that what is kept has left behind.
4. Who comes back with an id that the log does not reach gets an older source, which begins a little
   before that id: when a node dies, all its readers come at once, and not all had been told the
   same. The readers of the younger source move over when the older one has come as far.
5. Readers that come and go are told of on this node alone; they are no change of the cluster.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from fleetish.clock import Clock
from fleetish.errors import StoreUnavailable
from fleetish.store.base import KeyValues
from fleetish.store.keys import Keys
from marathon_compat.apps import events
from marathon_compat.apps.event_log import Place, Told, frame, place, tell
from marathon_compat.apps.event_source import Reached, Source
from marathon_compat.apps.events import Event

log = logging.getLogger(__name__)

#: Events that a reader may be behind when it takes nothing.
LAG = 1024
#: Bytes that are handed to a connection at once.
CHUNK = 64 * 1024
#: Seconds: between signs of life, until nothing is followed any more, for the first list.
BEAT, IDLE, PATIENCE = 10.0, 180.0, 10.0
#: Seconds between looks at which sources are still needed.
TIDY = 5.0
#: Seconds after which readers are told of other readers.
SOON = 0.1
#: Revisions that an older source begins before the id that it is for.
MARGIN = 1000
#: Sources that run at once, at most.
SOURCES = 3

HEARTBEAT = b"\r\n"


class Wanted(NamedTuple):
    """What a reader asked for: kinds (none: all), and plans without their groups."""

    kinds: frozenset[str] = frozenset()
    light: bool = False

    def takes(self, told: Told) -> bool:
        """True for an event that it wants."""
        return not self.kinds or told.kind in self.kinds

    def frame(self, told: Told) -> bytes:
        """The event's bytes for this reader."""
        return told.light if self.light else told.full


ALL = Wanted()


class Opened(NamedTuple):
    """A source for a reader, and the id after which that begins. ``restarted``: why what it asked
    for cannot be told from there; "" when it can."""

    source: Source
    after: Place
    restarted: str = ""


class Reader:
    """One reader's place. It sleeps until there is something that it wants."""

    def __init__(self, opened: Opened, wanted: Wanted) -> None:
        self.source = opened.source
        self.wanted = wanted
        self._after = opened.after
        self._next = self.source.log.seek(opened.after)
        self._seen = (self.source, -1)
        self._asleep: asyncio.Future[None] | None = None
        self.source.listeners.add(self)

    @property
    def behind(self) -> int:
        """Events that it has not taken yet."""
        return self.source.log.end - self._next

    def move(self, source: Source) -> None:
        """Go on from another source that has come as far."""
        self.leave()
        self.source, self._next = source, source.log.seek(self._after)
        source.listeners.add(self)
        self.wake()

    def leave(self) -> None:
        """Listen no more."""
        self.source.listeners.discard(self)

    def wake(self) -> None:
        """Let a reader that sleeps look; it shows a sign of life when there is nothing."""
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    def told(self, news: Sequence[Told], kinds: frozenset[str]) -> None:
        """Wake up for what is wanted; pass over in sleep what is not."""
        asleep = self._asleep is not None and not self._asleep.done()
        if asleep and news and self.wanted.kinds and not self.wanted.kinds & kinds:
            self._next += len(news)
            self._after = max(self._after, news[-1].id)
            return
        self.wake()

    def stuck(self) -> bool:
        """True when what it has not taken is not kept any more, or when it is far behind and has
        taken nothing since this was asked last."""
        now = (self.source, self._next)
        before, self._seen = self._seen, now
        lost = self._next < self.source.log.first
        return lost or (now == before and self.behind > LAG)

    async def taken(self, most: int) -> AsyncIterator[list[Told]]:
        """The events that are wanted after its place, as they come, of about ``most`` bytes at a
        time; an empty list when it is woken for nothing. Ends when the source does, or leaves it
        behind."""
        while True:
            try:
                found = self.source.log.read(self._next, most)
            except LookupError:
                return
            if found:
                fresh = self._took(found)
                if fresh:
                    yield fresh
            elif self.source.ended:
                return
            else:
                self._asleep = asyncio.get_running_loop().create_future()
                await self._asleep
                if not self.behind and not self.source.ended:
                    yield []

    def _took(self, found: Sequence[Told]) -> list[Told]:
        """Those of the events found that are new to it and wanted; all are taken before they are
        handed on, for it may be moved meanwhile."""
        fresh = [
            told
            for told in found
            if (told.local or told.id > self._after) and self.wanted.takes(told)
        ]
        self._next += len(found)
        self._after = max(self._after, found[-1].id)
        return fresh


async def _at_once(_: int) -> None:
    """For who answers nothing but events."""


class EventHub:
    """Readers come to :meth:`open` and :meth:`reading`. :meth:`run` must run beside them."""

    def __init__(
        self,
        kv: KeyValues,
        prefix: str,
        clock: Clock,
        reached: Reached = _at_once,
        beat: float = BEAT,
    ) -> None:
        self.beat = beat
        """Seconds between signs of life on a silent stream."""
        self._kv = kv
        self._keys = Keys(prefix)
        self._clock = clock
        self._reached = reached
        self._group: asyncio.TaskGroup | None = None
        self._sources: dict[Source, asyncio.Task[None]] = {}
        self._readers: set[Reader] = set()
        self._opening = asyncio.Lock()
        self._local: list[Event] = []
        self._used = clock.monotonic()

    @property
    def readers(self) -> int:
        return len(self._readers)

    async def run(self) -> None:
        """Own the sources, and end those that nobody needs; for ever."""
        try:
            async with asyncio.TaskGroup() as self._group:
                while True:
                    await self._clock.sleep(TIDY)
                    self.tidy()
        finally:
            self._group = None

    def close(self) -> None:
        """End every stream."""
        for task in self._sources.values():
            task.cancel()

    async def open(self, asked: str = "") -> Opened:
        """A source for a reader that was told everything up to the id ``asked``; "": it begins now.

        Raises StoreUnavailable.
        """
        self._used = self._clock.monotonic()
        async with self._opening:
            after = place(asked) if asked else None
            if asked and after is None:
                return await self._now("it is no id of an event")
            if after is None:
                return await self._now("")
            if not await self._known(after.revision):
                return await self._now("it is not known here")
            return await self._after(after)

    async def _known(self, revision: int) -> bool:
        """True for a revision that etcd has had. Raises StoreUnavailable."""
        if any(source.revision >= revision for source in self._living()):
            return True
        return revision <= (await self._kv.keys(self._keys.root, most=1)).revision

    async def _now(self, restarted: str) -> Opened:
        living = self._living()
        source = max(living, key=lambda one: one.revision) if living else await self._started(0)
        if source.ended:
            raise StoreUnavailable(f"cannot tell of events: {source.ended}")
        return Opened(source, Place(source.revision), restarted)

    async def _after(self, after: Place) -> Opened:
        """A source that reaches back to an id, or a new one."""
        living = self._living()
        for source in living:
            if source.log.covers(after):
                return Opened(source, after)
        if any(source.log.trimmed for source in living):
            return await self._now("too much has happened since then")
        if len(living) >= SOURCES:
            return await self._now("too many others ask for the past")
        for revision in (after.revision - MARGIN, after.revision - 1):
            source = await self._started(max(revision, 1))
            if not source.ended:
                return Opened(source, after)
        return await self._now(source.ended)

    def _living(self) -> list[Source]:
        """The sources that run, in the order in which they were begun."""
        return [source for source in self._sources if not source.ended]

    async def _started(self, revision: int) -> Source:
        """A new source, once its log can be read or it has failed."""
        if self._group is None:
            raise StoreUnavailable("cannot tell of events: this node is starting or stopping")
        source = Source(self._kv, self._keys, self._clock, self._reached, revision)
        self._sources[source] = self._group.create_task(source.run(), name="marathon's events")
        try:
            async with asyncio.timeout(PATIENCE):
                await source.ready.wait()
        except TimeoutError:
            self._sources.pop(source).cancel()
            raise StoreUnavailable("cannot tell of events: etcd does not answer") from None
        return source

    @contextmanager
    def reading(self, opened: Opened, wanted: Wanted = ALL) -> Iterator[Reader]:
        """A place in the log for as long as the block lasts."""
        reader = Reader(opened, wanted)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            reader.leave()
            self._readers.discard(reader)
            self._used = self._clock.monotonic()

    def local(self, event: Event) -> None:
        """Tell the readers of this node alone, soon: when a thousand come at once, each of them is
        told of the others in a few portions."""
        self._local.append(event)
        if len(self._local) == 1:
            asyncio.get_running_loop().call_later(SOON, self._tell_local)

    def _tell_local(self) -> None:
        pending, self._local = self._local, []
        now = self._clock.now()
        for source in self._living():
            source.add([tell(event, Place(source.revision), now) for event in pending])

    def restarted(self, opened: Opened, asked: str) -> bytes:
        """What a reader is told whose past cannot be told."""
        event = events.stream_restarted(asked[:64], opened.restarted)
        return frame(opened.after, event.kind, events.data(event, self._clock.now()))

    def tidy(self) -> None:
        """Move readers to the oldest source that has come as far as theirs, and let go of those
        that nobody reads."""
        for source in [source for source in self._sources if source.ended]:
            del self._sources[source]
        living = sorted(self._sources, key=lambda source: source.log.start)
        for reader in self._readers:
            for source in living:
                if source is reader.source:
                    break
                if source.revision >= reader.source.revision:
                    reader.move(source)
                    break
        idle = self._clock.monotonic() - self._used >= IDLE
        read = {reader.source for reader in self._readers}
        for at, source in enumerate(living):
            if source not in read and (at > 0 or (idle and not self._readers)):
                self._sources[source].cancel()
