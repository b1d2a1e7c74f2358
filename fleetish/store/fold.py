"""Listings and events into a world: the one place where what etcd says becomes what we know.

1. An event is taken once: what the last listing already held is passed over, so a listing and the
   events of the same time may come in any order.
2. A listing costs a comparison of revisions for each key; only what differs is decoded.
3. What a listing found different, and no event told of until the next listing, is *divergence*:
   the watch should have said so and did not. It is counted, and must be 0 with a sound etcd.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleetish.store.base import Batch, Event, KeyValue, Listing
from fleetish.store.codec import Quarantined, decode
from fleetish.store.keys import Keys
from fleetish.world import Ident, Revision, Touched, World, touch

_OUTSIDE = frozenset(("content", "schema"))


class Fold:
    """Keeps one world; ``divergence`` counts what its watches did not tell."""

    def __init__(self, keys: Keys, world: World) -> None:
        self.keys = keys
        self.world = world
        self.divergence = 0
        self._floor = 0
        self._unexplained: dict[Ident, int] = {}
        self._gone: dict[Ident, int] | None = None

    def events(self, batch: Batch) -> Touched:
        """Take in a watch's batch; what it changed."""
        touched = Touched()
        for event in batch.events:
            self._event(event, touched)
        self.world.revision = max(self.world.revision, batch.revision)
        return touched

    def begin(self) -> None:
        """A listing is being asked for; from here on remember what is deleted meanwhile."""
        self._gone = {}

    def listing(self, listing: Listing, *, fresh: bool = False) -> Touched:
        """Take in all keys as of one revision; what differed.

        ``fresh``: no watch was running, so differences are nobody's fault.
        """
        self.divergence += 0 if fresh else len(self._unexplained)
        self._unexplained = {}
        touched = Touched()
        seen = self._present(listing.items, touched)
        self._absent(seen, listing.revision, touched)
        self._floor = max(self._floor, listing.revision)
        self.world.revision = max(self.world.revision, listing.revision)
        self._gone = None
        if fresh:
            self._unexplained = {}
        touched.everything = True
        return touched

    def _present(self, items: Iterable[KeyValue], touched: Touched) -> set[Ident]:
        """Put what the world does not hold yet; all places that are listed."""
        seen = set()
        gone = self._gone or {}
        for item in items:
            where = self.keys.ident(item.key)
            if where is None or where[0] in _OUTSIDE:
                continue
            seen.add(where)
            known = self.world.revision_of(where).mod
            if max(known, gone.get(where, 0)) < item.mod:
                self._unexplained[where] = item.mod
                self._put(where, item.value, Revision(item.create, item.mod), touched)
        return seen

    def _absent(self, seen: set[Ident], revision: int, touched: Touched) -> None:
        """Drop what is not there any more, unless it was written after the listing."""
        held = self.world.revision_of
        for where in [w for w in self.world.idents() if w not in seen and held(w).mod <= revision]:
            self._unexplained[where] = 0
            self._drop(where, touched)

    def _event(self, event: Event, touched: Touched) -> None:
        where = self.keys.ident(event.key)
        if where is None or where[0] in _OUTSIDE:
            return
        if event.mod <= self._floor:
            self._explain(where, event)
            return
        if event.mod <= self.world.revision_of(where).mod:
            return
        if event.value is not None:
            self._put(where, event.value, Revision(event.create, event.mod), touched)
            return
        if self._gone is not None:
            self._gone[where] = event.mod
        self._drop(where, touched)

    def _explain(self, where: Ident, event: Event) -> None:
        """The listing was only faster than the watch: no divergence."""
        last = self._unexplained.get(where)
        if last is not None and last == (0 if event.value is None else event.mod):
            del self._unexplained[where]

    def _put(self, where: Ident, value: bytes, at: Revision, touched: Touched) -> None:
        self._near(where, touched)
        read = decode(where, value)
        if isinstance(read, Quarantined):
            self.world.quarantine(where, read.reason, at)
        else:
            self.world.put(read.record, at, read.unknown)
        self._near(where, touched)
        touch(touched, where)

    def _drop(self, where: Ident, touched: Touched) -> None:
        self._near(where, touched)
        self.world.drop(where)
        touch(touched, where)

    def _near(self, where: Ident, touched: Touched) -> None:
        """Whom a record concerns beside its own; asked before and after it is written.

        A new leader concerns the machines that lead: who lists them shows it. A unit concerns those
        that it activates, which are kept ready for it.
        """
        if where == ("leader",) and self.world.leader is not None:
            touched.machines.add(self.world.leader.machine)
        elif where[0] == "units":
            touched.units |= self.world.activated(where[1])
