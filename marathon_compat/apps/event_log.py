"""The events that were told last, once for all readers; pure.

         start            first                                   end
           │               │                                       │
           ▼               ▼   each event once, as bytes           ▼
     ──────●───────────────■──■──■──■──■──■──■──■──■──■──■──■──■──■
                              ▲           ▲                       ▲
                           a reader is a place in it (a number that grows), no queue of its own

1. An id is ``revision-number``: the etcd revision, and the event's number in it, from 1. The id
   ``revision`` alone stands for the whole revision; it is given to what is no store's event.
2. Whoever was told the event with an id at or after ``start`` misses nothing here.
3. What is kept is bounded, in events and in bytes. A reader that falls out of it is cut off.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from marathon_compat.apps import events
from marathon_compat.apps.events import Event

#: Events, and bytes, that are kept for readers that are slow or come back.
KEPT, KEPT_BYTES = 8192, 16 * 1024 * 1024

#: Number of an id that stands for all of its revision.
WHOLE = 2**31 - 1

_ID = re.compile(r"([0-9]{1,19})(?:-([1-9][0-9]{0,8}))?", re.ASCII)


class Place(NamedTuple):
    """An event's id."""

    revision: int
    number: int = WHOLE

    def __str__(self) -> str:
        return str(self.revision) if self.number == WHOLE else f"{self.revision}-{self.number}"


def place(text: str) -> Place | None:
    """An id as it was given to a reader; None for what never was one."""
    found = _ID.fullmatch(text.strip())
    if found is None or int(found[1]) >= 2**63:
        return None
    return Place(int(found[1]), int(found[2]) if found[2] else WHOLE)


class Told(NamedTuple):
    """An event that was told; ``full`` and ``light`` are its bytes on the stream. ``data`` is the
    JSON in ``full``."""

    id: Place
    kind: str
    full: bytes
    light: bytes
    data: bytes

    @property
    def local(self) -> bool:
        """It is no change of the cluster: only this node tells it."""
        return self.id.number == WHOLE


def tell(event: Event, at: Place, now: float) -> Told:
    """An event as it is told; ``now`` in seconds since the epoch."""
    data = events.data(event, now)
    full = frame(at, event.kind, data)
    if "plan" not in event.body:
        return Told(at, event.kind, full, full, data)
    return Told(
        at, event.kind, full, frame(at, event.kind, events.data(event, now, light=True)), data
    )


def frame(at: Place, kind: str, data: bytes) -> bytes:
    """An event on the wire. The id stands first: there are readers that look for the type's line
    and the data's next to each other."""
    return b"id: %s\r\nevent: %s\r\ndata: %s\r\n\r\n" % (str(at).encode(), kind.encode(), data)


class EventLog:
    """What was told, from ``start`` on."""

    def __init__(self, start: Place) -> None:
        self.start = start
        self.first = 0
        self.trimmed = False
        """Something that was told since the beginning is not kept any more."""
        self._kept: list[Told] = []
        self._bytes = 0

    @property
    def end(self) -> int:
        """The number that the next event gets here."""
        return self.first + len(self._kept)

    def add(self, told: Iterable[Told]) -> None:
        """Note events in their order; the oldest are dropped for them."""
        for one in told:
            self._kept.append(one)
            self._bytes += _size(one)
        gone = 0
        while len(self._kept) - gone > KEPT or self._bytes > KEPT_BYTES:
            self._bytes -= _size(self._kept[gone])
            gone += 1
        if gone:
            self.start = self._kept[gone - 1].id
            self.trimmed = True
            self.first += gone
            del self._kept[:gone]

    def covers(self, after: Place) -> bool:
        """True when all that came after an id is here, or is still to come."""
        return after >= self.start

    def seek(self, after: Place) -> int:
        """The number of the first event after an id."""
        return self.first + bisect_right(self._kept, after, key=lambda told: told.id)

    def read(self, number: int, most: int) -> Sequence[Told]:
        """The next events from a number on, of so many bytes together, or a single larger one.

        Raises LookupError when they are not kept any more."""
        if number < self.first:
            raise LookupError(number)
        found: list[Told] = []
        size = 0
        for at in range(number - self.first, len(self._kept)):
            size += len(self._kept[at].full)
            if found and size > most:
                break
            found.append(self._kept[at])
        return found


def _size(told: Told) -> int:
    """The bytes that an event takes here."""
    return len(told.full) + len(told.data) + (len(told.light) if told.light != told.full else 0)
