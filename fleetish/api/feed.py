"""One stream of events for all who listen: told once, kept for those who come back.

1. Every event is encoded once, whoever listens.
2. A listener that is too slow is cut off; it comes back with ``Last-Event-ID``.
3. The last events are kept: who comes back in time misses none. Who does not gets a ``hello``
   that says ``gap``, and must look at the whole.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from fleetish.wire import ClusterEvent

#: Events kept for those who come back, and events that one listener may lag behind.
KEPT = 4096
LAG = 8192


class Told(NamedTuple):
    """An event, and its bytes on the stream."""

    event: ClusterEvent
    frame: bytes


class Wanted(NamedTuple):
    """What a listener asked for; empty means all. Units may be patterns."""

    kinds: frozenset[str] = frozenset()
    units: tuple[str, ...] = ()

    def takes(self, event: ClusterEvent) -> bool:
        """True when the listener wants this event."""
        if self.kinds and event.kind not in self.kinds and event.kind != "hello":
            return False
        if not self.units or not event.unit:
            return True
        return any(fnmatch.fnmatchcase(event.unit, pattern) for pattern in self.units)


def frame(event: ClusterEvent) -> bytes:
    """An event on the stream: its revision as id, its kind as type, itself as JSON."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.revision,
        event.kind.encode(),
        msgspec.json.encode(event),
    )


class Feed:
    """Events go in by :meth:`tell` and come out of every :meth:`listen`."""

    def __init__(self) -> None:
        self._kept: deque[Told] = deque(maxlen=KEPT)
        self._from = 0
        self._queues: set[asyncio.Queue[Told | None]] = set()
        self._closed = False
        self.joined = asyncio.Event()
        """Set once somebody listens."""

    @property
    def listeners(self) -> int:
        return len(self._queues)

    def begin(self, revision: int) -> None:
        """Forget what was kept: from this revision on nothing is missed."""
        self._kept.clear()
        self._from = revision

    def tell(self, events: list[ClusterEvent]) -> None:
        """Hand events to everyone who listens."""
        for event in events:
            told = Told(event, frame(event))
            if len(self._kept) == KEPT:
                self._from = self._kept[0].event.revision
            self._kept.append(told)
            for queue in tuple(self._queues):
                self._hand(queue, told)

    def _hand(self, queue: asyncio.Queue[Told | None], told: Told) -> None:
        if queue.qsize() < LAG:
            queue.put_nowait(told)
            return
        self._queues.discard(queue)
        queue.put_nowait(None)

    def close(self) -> None:
        """End every listener's stream, also of those who come later."""
        self._closed = True
        for queue in tuple(self._queues):
            queue.put_nowait(None)

    async def listen(
        self, wanted: Wanted, revision: int, after: int, every: float
    ) -> AsyncIterator[bytes]:
        """The stream for one listener, from ``revision`` (now) on, or after the event id ``after``.

        A comment goes out every ``every`` seconds, so that a dead listener is noticed.
        """
        with self._queue() as queue:
            missed = [told for told in self._kept if told.event.revision > after] if after else []
            gap = bool(after) and after < self._from
            hello = ClusterEvent(kind="hello", what="gap" if gap else "", revision=revision)
            yield frame(hello)
            for told in () if gap else missed:
                if wanted.takes(told.event):
                    yield told.frame
            while True:
                try:
                    async with asyncio.timeout(every):
                        told_or_end = await queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if told_or_end is None:
                    return
                if wanted.takes(told_or_end.event):
                    yield told_or_end.frame

    @contextmanager
    def _queue(self) -> Iterator[asyncio.Queue[Told | None]]:
        queue: asyncio.Queue[Told | None] = asyncio.Queue()
        self._queues.add(queue)
        self.joined.set()
        if self._closed:
            queue.put_nowait(None)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
