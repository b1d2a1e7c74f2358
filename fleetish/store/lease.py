"""Leases, and what hangs on them: a machine's presence and the engine's leadership.

1. A renewal counts from when it was *sent*: the answer may have waited. All by the monotonic clock.
2. A lease is *lost* when the store says that it is gone. While the store is silent nobody knows:
   presence goes on, as silence stops nothing; leadership ends at its own deadline, which is earlier
   than the store's.
3. Presence is create-only. The same host and boot take their key over without it ever being absent;
   a later boot removes it and registers anew, unless somebody else still renews it.
4. Leaving without revoking is the rule: a restarted daemon finds its key. Draining and leaving for
   good revoke.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

from fleetish.clock import Clock
from fleetish.errors import (
    Conflict,
    LeadershipLost,
    LeaseLost,
    OutcomeUnknown,
    Unavailable,
)
from fleetish.model import Leader, Machine
from fleetish.store.base import (
    Compacted,
    Compare,
    Delete,
    Guard,
    KeyValue,
    KeyValues,
    Put,
    Txn,
)
from fleetish.store.codec import Quarantined, decode, encode
from fleetish.store.keys import Keys

log = logging.getLogger(__name__)

#: Share of the time to live between renewals; four may fail before the lease is gone.
SHARE = 0.25
#: Seconds between attempts while the store does not answer, at most.
AGAIN = 1.0
#: Seconds that a leader stops before its lease can be over.
MARGIN = 1.5

Renewed = Callable[[float, float], None]
"""Told of each good renewal: when it was sent and when it was answered (monotonic seconds)."""


def _ignore(sent: float, answered: float) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Lease:
    """A lease that is being kept alive; ``ttl`` in seconds, ``sent``: of the last good renewal.

    ``holds`` is the key that hangs on it: it may be deleted by hand, and old etcd may renew a lease
    that it has revoked, so it is looked at with every fourth renewal.
    """

    kv: KeyValues
    clock: Clock
    id: int
    ttl: int
    sent: float
    renewed: Renewed = _ignore
    holds: Guard | None = None
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def deadline(self, margin: float = 0.0) -> float:
        """Until when the lease surely lives (monotonic seconds), less a margin."""
        return self.sent + self.ttl - margin

    async def keep(self) -> None:
        """Renew until the store says that the lease is gone."""
        count = 0
        while not self.lost.is_set():
            sent = self.clock.monotonic()
            try:
                left = await self.kv.renew(self.id)
                count += 1
                if left > 0 and count % 4 == 0 and not await self._stands():
                    left = 0.0
            except Unavailable as error:
                log.debug("cannot renew lease %x: %s", self.id, error)
                await self.clock.sleep(min(self.ttl * SHARE / 2, AGAIN))
                continue
            if left <= 0:
                self.lost.set()
                return
            self.sent = sent
            self.renewed(sent, self.clock.monotonic())
            await self.clock.sleep(max(sent + self.ttl * SHARE - self.clock.monotonic(), 0.01))

    async def _stands(self) -> bool:
        """False when the key that hangs on the lease is gone, or is another one."""
        if self.holds is None:
            return True
        held = await self.kv.get(self.holds.key)
        return held is not None and held.create == self.holds.create

    async def revoke(self) -> None:
        """End it, as far as the store answers; else it ends by itself."""
        with suppress(Unavailable):
            await self.kv.revoke(self.id)


async def grant(kv: KeyValues, clock: Clock, ttl: int, renewed: Renewed = _ignore) -> Lease:
    """A new lease, not yet kept alive. Raises StoreUnavailable."""
    sent = clock.monotonic()
    return Lease(kv, clock, await kv.grant(ttl), ttl, sent, renewed)


@asynccontextmanager
async def kept(lease: Lease) -> AsyncIterator[Lease]:
    """Keep a lease alive inside the block."""
    task = asyncio.create_task(lease.keep(), name=f"lease {lease.id:x}")
    try:
        yield lease
    finally:
        task.cancel()
        await asyncio.wait((task,))


@dataclass(slots=True)
class Presence:
    """A machine's registration: commit under ``guard``; ``lost`` is set when it is gone.

    ``revision`` is that of the registration: what was assigned before is known from there on.
    ``taken_over``: the key was this boot's own, so the machine was never absent.
    """

    guard: Guard
    lease: Lease
    machine: Machine
    revision: int
    taken_over: bool
    keys: Keys

    @property
    def lost(self) -> asyncio.Event:
        return self.lease.lost

    def deadline(self, margin: float = 0.0) -> float:
        """Until when the registration surely stands (monotonic seconds), less a margin."""
        return self.lease.deadline(margin)

    async def update(self, machine: Machine) -> None:
        """Write new facts of this machine. Raises LeaseLost when the registration is gone."""
        held = Compare(self.guard.key, "create", "=", self.guard.create)
        value = encode(machine)
        result = await self.lease.kv.txn(
            Txn((held,), (Put(self.guard.key, value, self.lease.id),), ())
        )
        if not result.done:
            raise LeaseLost(f"cannot update machine {machine.id}: its registration is gone")
        self.machine = machine


@asynccontextmanager
async def presence(
    kv: KeyValues,
    prefix: str,
    machine: Machine,
    ttl: int,
    clock: Clock,
    *,
    renewed: Renewed = _ignore,
    revoke: bool = False,
) -> AsyncIterator[Presence]:
    """Register a machine and keep it registered inside the block.

    Waits while the store does not answer. Raises Conflict when another live host has the same
    machine id. ``renewed`` hears of each good renewal, the first (the grant) included. With
    ``revoke`` the machine is gone when the block ends; else its key stays for its time to live, for
    the next daemon to take over.
    """
    keys = Keys(prefix)
    present = await _register(kv, keys, machine, ttl, clock, renewed)
    renewed(present.lease.sent, clock.monotonic())
    try:
        async with kept(present.lease):
            yield present
    finally:
        if revoke:
            await present.lease.revoke()


async def _register(
    kv: KeyValues, keys: Keys, machine: Machine, ttl: int, clock: Clock, renewed: Renewed
) -> Presence:
    """Try until the key is ours."""
    key = keys.key(("machines", machine.id))
    lease: Lease | None = None
    while True:
        try:
            if lease is None or lease.deadline(ttl / 2) < clock.monotonic():
                lease = await grant(kv, clock, ttl, renewed)
            guard = await _claim(kv, key, machine, lease)
        except Unavailable as error:
            log.warning("cannot register machine %s: %s", machine.id, error)
            await clock.sleep(AGAIN / 2)
            continue
        except LeaseLost:
            lease = None
            continue
        except Conflict:
            await lease.revoke() if lease else None
            raise
        if guard is not None:
            held, revision, taken = guard
            lease.holds = held
            return Presence(held, lease, machine, revision, taken, keys)


async def _claim(
    kv: KeyValues, key: str, machine: Machine, lease: Lease
) -> tuple[Guard, int, bool] | None:
    """One attempt: the guard, its revision, and whether it was taken over. None: look again."""
    held = await kv.get(key)
    if held is None:
        absent = Compare(key, "create", "=", 0)
        result = await kv.txn(Txn((absent,), (Put(key, encode(machine), lease.id),)))
        guard = Guard(key, result.revision, "lease")
        return (guard, result.revision, False) if result.done else None
    if held.lease == lease.id:  # an attempt whose answer was lost
        return Guard(key, held.create, "lease"), held.mod, False
    if _boot_of(machine.id, held) == machine.boot:
        return await _take_over(kv, held, machine, lease)
    await _remove_dead(kv, held, machine, lease)
    return None


def _boot_of(machine: str, held: KeyValue) -> str | None:
    read = decode(("machines", machine), held.value)
    if isinstance(read, Quarantined) or not isinstance(read.record, Machine):
        return None
    return read.record.boot


async def _take_over(
    kv: KeyValues, held: KeyValue, machine: Machine, lease: Lease
) -> tuple[Guard, int, bool] | None:
    """This boot's own key, left by the daemon before: under the new lease, never absent."""
    same = Compare(held.key, "mod", "=", held.mod)
    result = await kv.txn(Txn((same,), (Put(held.key, encode(machine), lease.id),)))
    if not result.done:
        return None
    if held.lease:
        with suppress(Unavailable):
            await kv.revoke(held.lease)
    return Guard(held.key, held.create, "lease"), result.revision, True


async def _remove_dead(kv: KeyValues, held: KeyValue, machine: Machine, lease: Lease) -> None:
    """Another boot's key: remove it, unless its lease is being renewed. Raises Conflict."""
    if held.lease and await _is_renewed(kv, held.lease, lease.clock):
        raise Conflict(
            f"cannot register machine {machine.id}: another live host has the same machine id",
            hint="give one of them a new /etc/machine-id; see machine-id(5)",
        )
    same = Compare(held.key, "mod", "=", held.mod)
    await kv.txn(Txn((same,), (Delete(held.key),)))


async def _is_renewed(kv: KeyValues, lease: int, clock: Clock) -> bool:
    """Watch a lease for a while: does its time left rise?

    Somebody renews each quarter of the time to live. That is not known here, but at most four
    times what was left just after a renewal; so look until what is left has halved.
    """
    least = await kv.remaining(lease)
    limit = least / 2
    while least > limit:
        await clock.sleep(max(min(limit / 4, 0.5), 0.05))
        left = await kv.remaining(lease)
        if left > least + 0.5:
            return True
        least = min(least, left)
    return False


@dataclass(slots=True)
class Leadership:
    """The elected engine's hold: commit under ``guard``.

    ``warm``: an earlier leader was seen, so this one stood by while the cluster was led.
    """

    guard: Guard
    lease: Lease
    warm: bool
    margin: float
    revision: int

    def deadline(self) -> float:
        """Until when this is surely the leader (monotonic seconds)."""
        return self.lease.deadline(self.margin)


@asynccontextmanager
async def campaign(
    kv: KeyValues,
    prefix: str,
    leader: Leader,
    ttl: int,
    clock: Clock,
    *,
    margin: float | None = None,
) -> AsyncIterator[Leadership]:
    """Wait to be elected, then lead inside the block; leaving it resigns.

    The block is cancelled, and LeadershipLost raised, when the lease is gone or when ``margin``
    seconds (default 1.5, or a third of a short ``ttl``) before it could be.
    """
    key = Keys(prefix).key(("leader",))
    spare = min(MARGIN, ttl / 3) if margin is None else margin
    led = await _elected(kv, key, leader, ttl, clock, spare)
    try:
        async with kept(led.lease), asyncio.timeout(None) as scope:
            end = asyncio.create_task(_end(led, clock, scope), name="end of leadership")
            try:
                yield led
            finally:
                end.cancel()
                await asyncio.wait((end,))
    except TimeoutError:
        if not scope.expired():
            raise
        raise LeadershipLost("cannot lead any longer: the leader's lease is over") from None
    finally:
        await led.lease.revoke()


async def _end(led: Leadership, clock: Clock, scope: asyncio.Timeout) -> None:
    """End the block when leadership is over, by the store or by the clock."""
    lost = asyncio.create_task(led.lease.lost.wait())
    try:
        while not lost.done() and clock.monotonic() < led.deadline():
            nap = asyncio.ensure_future(clock.sleep(led.deadline() - clock.monotonic()))
            try:
                await asyncio.wait((lost, nap), return_when=asyncio.FIRST_COMPLETED)
            finally:
                nap.cancel()
        scope.reschedule(0.0)
    finally:
        lost.cancel()


async def _elected(
    kv: KeyValues, key: str, leader: Leader, ttl: int, clock: Clock, margin: float
) -> Leadership:
    """Try to create the key; while it is taken, wait for its end."""
    warm = False
    while True:
        try:
            listing = await kv.list(key)
            if listing.items:
                warm = True
                await _gone(kv, key, listing.revision)
            lease = await grant(kv, clock, ttl)
            revision = await _create(kv, key, leader, lease)
        except (Compacted, LeaseLost):
            continue
        except Unavailable as error:
            log.warning("cannot stand for election: %s", error)
            await clock.sleep(AGAIN / 2)
            continue
        if revision:
            lease.holds = guard = Guard(key, revision, "leadership")
            return Leadership(guard, lease, warm, margin, revision)
        await lease.revoke()


async def _create(kv: KeyValues, key: str, leader: Leader, lease: Lease) -> int:
    """Create the leader key; its create revision, 0 when somebody was faster."""
    absent = Compare(key, "create", "=", 0)
    try:
        result = await kv.txn(Txn((absent,), (Put(key, encode(leader), lease.id),)))
    except OutcomeUnknown:
        held = await kv.get(key)
        return held.create if held and held.lease == lease.id else 0
    return result.revision if result.done else 0


async def _gone(kv: KeyValues, key: str, revision: int) -> None:
    """Wait until a key is deleted after a revision at which it was there."""
    async with aclosing(kv.watch(key, revision + 1)) as batches:
        async for batch in batches:
            if any(event.key == key and event.value is None for event in batch.events):
                return
