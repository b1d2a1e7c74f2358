"""The store that loops and handlers use: a world kept current, and changes committed.

    list ──► watch from the listed revision + 1 ──► list again every 30 s, compare, count

1. All who observe the same scope in one process share one :class:`Mirror`: one world, one watch.
2. While etcd is silent the last world stays, ``stale_since`` says since when, and nothing is raised
   into a reader: the mirror tries again, with back-off up to a second.
3. A compacted watch means: list, then watch from there.
4. An agent's mirror watches three prefixes. Its own states come back to it; that costs little, and
   its world is then as true as any other. Its revision is the newest that any of them showed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from fleetish.changes import Change, CreateUnit, ReplaceUnit
from fleetish.clock import Clock, SystemClock
from fleetish.errors import Conflict, FleetishError, NotFound, OutcomeUnknown, Unavailable
from fleetish.model import Content
from fleetish.store.base import (
    Compacted,
    Guard,
    KeyValues,
    Listing,
    StoredText,
    Txn,
    TxnResult,
)
from fleetish.store.codec import Quarantined, decode
from fleetish.store.figures import Figures
from fleetish.store.fold import Fold
from fleetish.store.keys import Keys
from fleetish.store.pack import refusal
from fleetish.store.txn import compile_changes
from fleetish.world import Touched, World

log = logging.getLogger(__name__)

#: Seconds between full lists.
RELIST = 30.0
#: Seconds after which who waits for a revision makes the mirror list.
IMPATIENCE = 1.0
#: Bytes of unit files that are kept for the next reader.
TEXTS = 8 * 1024 * 1024


async def within(clock: Clock, seconds: float, wanted: Awaitable[object]) -> bool:
    """Wait for something, at most so many of the clock's seconds; True when it came."""
    waiting = asyncio.ensure_future(wanted)
    limit = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((waiting, limit), return_when=asyncio.FIRST_COMPLETED)
        return waiting.done() and not waiting.cancelled()
    finally:
        for task in (waiting, limit):
            task.cancel()


class Reader:
    """One reader's place in a shared mirror (see :class:`fleetish.store.base.Observed`)."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._touched = Touched(everything=True)
        self._told = asyncio.Event()

    @property
    def world(self) -> World:
        return self._mirror.world

    @property
    def stale_since(self) -> float | None:
        """When etcd was last heard (monotonic seconds) while it is silent, else None."""
        return self._mirror.stale_since

    async def changed(self, timeout: float) -> Touched:
        """What was touched since the last call; waits up to ``timeout`` seconds for something."""
        if not self._touched and timeout > 0:
            await within(self._mirror.clock, timeout, self._told.wait())
        touched, self._touched = self._touched, Touched()
        self._told.clear()
        return touched

    async def reached(self, revision: int) -> None:
        """Wait until the world holds all that was written up to ``revision``."""
        await self._mirror.reached(revision)

    def tell(self, touched: Touched) -> None:
        """Note what was touched, and wake the reader."""
        self._touched.units |= touched.units
        self._touched.machines |= touched.machines
        self._touched.documents |= touched.documents
        self._touched.everything |= touched.everything
        if touched:
            self._told.set()


class Mirror:
    """One scope of the cluster, kept current while somebody reads."""

    def __init__(
        self,
        kv: KeyValues,
        keys: Keys,
        clock: Clock,
        figures: Figures,
        machine: str | None,
        every: float,
    ) -> None:
        self.kv = kv
        self.clock = clock
        self.world = World()
        self.stale_since: float | None = clock.monotonic()
        self.readers: list[Reader] = []
        self.listed = asyncio.Event()
        self._every = every
        self._keys = keys
        self._fold = Fold(keys, self.world)
        self._figures = figures
        self._listings = keys.of_world() if machine is None else keys.of_machine(machine)
        self._watches = (keys.root,) if machine is None else self._listings
        self._hurry = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._delay = 0.0
        self._last = clock.monotonic()

    async def run(self) -> None:
        """Follow the store for ever, whatever it does."""
        while True:
            try:
                # A task for each attempt: Python 3.11 leaves the task of a TaskGroup that failed
                # marked as cancelled, and asyncio.timeout() then ends it for good.
                await asyncio.create_task(self._follow())
            except* Compacted:
                log.info("the watch was compacted away; listing again")
            except* Unavailable as group:
                self._lost(group)
            except* Exception:
                log.exception("cannot follow etcd; trying again")
                self._lost(None)
            await self.clock.sleep(self._delay)

    async def _follow(self) -> None:
        revision = await self._list(fresh=True)
        async with asyncio.TaskGroup() as group:
            for prefix in self._watches:
                group.create_task(self._watch(prefix, revision + 1))
            group.create_task(self._relist())

    def _lost(self, group: BaseException | None) -> None:
        """Etcd is silent: keep the world, say since when, wait longer each time."""
        self._figures.errors += 1
        if self.stale_since is None:
            self.stale_since = self._last
            if isinstance(group, BaseExceptionGroup):
                log.warning("etcd does not answer; going on with what is known: %s", group)
        self._delay = min(max(self._delay * 2, 0.05), 1.0)

    def _heard(self) -> None:
        self._last = self.clock.monotonic()
        self.stale_since = None
        self._delay = 0.0

    async def _list(self, *, fresh: bool) -> int:
        """List the whole scope at one revision and take in what differs; that revision."""
        self._fold.begin()
        first = await self.kv.list(self._listings[0])
        if first.revision < self.world.revision:
            self._begin_anew(first.revision, fresh=fresh)
        items = list(first.items)
        for prefix in self._listings[1:]:
            items += (await self.kv.list(prefix, revision=first.revision)).items
        before = self._fold.divergence
        touched = self._fold.listing(Listing(first.revision, tuple(items)), fresh=fresh)
        self._note_divergence(self._fold.divergence - before)
        self._figures.listings += 1
        self._heard()
        self._tell(touched)
        self.listed.set()
        return first.revision

    def _begin_anew(self, revision: int, *, fresh: bool) -> None:
        """Etcd went back in time (restored from a backup): nothing that is known holds.

        Raises Compacted to end the watches that run.
        """
        if not fresh:
            raise Compacted(revision)
        log.warning("etcd went back to revision %d; reading everything anew", revision)
        self.world = World()
        self._fold = Fold(self._keys, self.world)

    def _note_divergence(self, count: int) -> None:
        if count:
            self._figures.divergence += count
            log.warning("etcd's watch did not tell of %d changes; the list did", count)

    async def _watch(self, prefix: str, revision: int) -> None:
        async with aclosing(self.kv.watch(prefix, revision)) as batches:
            async for batch in batches:
                self._heard()
                self._tell(self._fold.events(batch))

    async def _relist(self) -> None:
        """List every 30 s, or when somebody waits too long; a silent etcd is waited out."""
        while True:
            await within(self.clock, self._every, self._hurry.wait())
            self._hurry.clear()
            try:
                await self._list(fresh=False)
            except Unavailable as error:
                self._lost(error)
                await self.clock.sleep(self._delay)
                self._hurry.set()

    def _tell(self, touched: Touched) -> None:
        for reader in self.readers:
            reader.tell(touched)
        if self._waiting:
            revision = self.world.revision
            for wanted, future in self._waiting:
                if wanted <= revision and not future.done():
                    future.set_result(None)
            self._waiting = [row for row in self._waiting if not row[1].done()]

    async def reached(self, revision: int) -> None:
        """Wait for a revision; list when the watch does not bring it in a second."""
        while self.world.revision < revision:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((revision, future))
            if not await within(self.clock, IMPATIENCE, future):
                self._hurry.set()


class LiveStore:
    """The :class:`fleetish.store.base.Store` over any key-value store."""

    def __init__(
        self,
        kv: KeyValues,
        prefix: str = "/fleetish/v1",
        *,
        clock: Clock | None = None,
        relist: float = RELIST,
        figures: Figures | None = None,
    ) -> None:
        self.kv = kv
        self.keys = Keys(prefix)
        self.clock = clock or SystemClock()
        self.figures = figures or Figures()
        self._every = relist
        self._mirrors: dict[str | None, tuple[Mirror, asyncio.Task[None]]] = {}
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._texts_size = 0

    @asynccontextmanager
    async def observe(self, machine: str | None = None) -> AsyncIterator[Reader]:
        """Read along from the first full list on, for which this waits as long as it takes."""
        mirror = self._mirror(machine)
        reader = Reader(mirror)
        mirror.readers.append(reader)
        try:
            await mirror.listed.wait()
            yield reader
        finally:
            mirror.readers.remove(reader)
            if not mirror.readers:
                _, task = self._mirrors.pop(machine)
                task.cancel()
                await asyncio.wait((task,))

    def _mirror(self, machine: str | None) -> Mirror:
        """The mirror of a scope; its task lives as long as it has readers."""
        if machine not in self._mirrors:
            figures = self.figures
            mirror = Mirror(self.kv, self.keys, self.clock, figures, machine, self._every)
            name = f"mirror of {machine or 'the cluster'}"
            self._mirrors[machine] = mirror, asyncio.create_task(mirror.run(), name=name)
        return self._mirrors[machine][0]

    async def commit(
        self, changes: Sequence[Change], world: World, guard: Guard | None = None
    ) -> int:
        """Write all changes; see :meth:`fleetish.store.base.Store.commit`.

        In order: what was written before a conflict stays, what comes after it is not tried.
        """
        revision = world.revision
        complete = [await self._with_text(change, changes, world) for change in changes]
        if world.revision != revision:
            raise Conflict("cannot write: the cluster changed while a text was read")
        for txn in compile_changes(complete, world, self.keys, guard, self.clock.now()):
            result = await self._send(txn)
            if not result.done:
                self.figures.conflicts += 1
                raise refusal(txn, result, guard)
            revision = result.revision
        return revision

    async def _send(self, txn: Txn) -> TxnResult:
        try:
            return await self.kv.txn(txn)
        except OutcomeUnknown:
            self.figures.unknown += 1
            raise
        except Unavailable:
            self.figures.errors += 1
            raise

    async def _with_text(self, change: Change, changes: Sequence[Change], world: World) -> Change:
        """A change that refers to a text writes it, so that nobody drops it at the same time."""
        if not isinstance(change, CreateUnit | ReplaceUnit) or change.text:
            return change
        held = world.units.get(change.unit.name)
        digest = change.unit.hash
        if held is not None and held.hash == digest:
            return change
        given = (c.text for c in changes if isinstance(c, CreateUnit | ReplaceUnit)
                 and c.text and c.unit.hash == digest)  # fmt: skip
        return replace(change, text=next(given, "") or await self.content(digest))

    async def content(self, digest: str) -> str:
        """A unit file's text by its hash. Raises NotFound."""
        found = await self.texts((digest,))
        if digest not in found:
            raise NotFound(f"cannot find a unit file with the hash {digest}")
        return found[digest]

    async def texts(self, digests: Iterable[str]) -> dict[str, str]:
        """Many unit files' texts by hash, together; those that are not there are left out."""
        wanted = dict.fromkeys(digests)
        found = {digest: self._texts[digest] for digest in wanted if digest in self._texts}
        for digest in found:
            self._texts.move_to_end(digest)
        missing = [self.keys.key(("content", one)) for one in wanted if one not in found]
        for item in await self.kv.get_all(missing) if missing else ():
            digest = item.key.rpartition("/")[2]
            found[digest] = _text(digest, item.value)
            self._keep(digest, found[digest])
        return found

    async def contents(self, after: str, most: int) -> tuple[StoredText, ...]:
        """The first ``most`` stored texts whose hash comes after another, in order of hash."""
        prefix = self.keys.key(("content", ""))
        found = await self.kv.keys(prefix, after=prefix + after if after else "", most=most)
        return tuple(StoredText(item.key.removeprefix(prefix), item.mod) for item in found.items)

    def _keep(self, digest: str, text: str) -> None:
        self._texts[digest] = text
        self._texts_size += len(text)
        while self._texts_size > TEXTS:
            _, oldest = self._texts.popitem(last=False)
            self._texts_size -= len(oldest)


def _text(digest: str, value: bytes) -> str:
    """A stored text. Raises FleetishError for a value that nobody can read."""
    read = decode(("content", digest), value)
    if isinstance(read, Quarantined):
        raise FleetishError(f"cannot read the unit file {digest}: {read.reason}")
    assert isinstance(read.record, Content)
    return read.record.text
