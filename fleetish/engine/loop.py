"""The engine: stands for election, and while it leads makes the cluster what it should be.

    campaign ─▶ observe ─▶ plan ─▶ commit under the leader's guard ─▶ wait until the world has it
                   ▲                                                          │
                   └──── something was touched, or a deadline is over ◀───────┘

1. Nobody asks "am I leader?": every commit compares the leader key. Losing it ends the term.
2. A refused commit means that the world was behind: look at everything again. What was written
   before the refusal stays; every change is right by itself.
3. A machine is lost from the moment at which this engine saw its key gone. One that was gone before
   this engine looked for the first time counts from then on, and where nobody led before (the whole
   cluster starts) only after a machine's time to live: it may be about to register.
4. Standing orders (rolling updates, a rebalance) are worked at when the plan is empty.
5. Nothing is polled. Time alone changes a plan only at ``Plan.wake``, and the loop wakes just then.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fleetish.changes import Assign, Change, Move, Refresh, Release, Unassign
from fleetish.clock import Clock
from fleetish.engine.collect import collect
from fleetish.engine.errands import Errands
from fleetish.engine.leader import EngineSettings, candidate, patience
from fleetish.engine.losses import Losses, host
from fleetish.engine.plan import Plan, plan
from fleetish.engine.policy import Policy
from fleetish.engine.roster import Roster
from fleetish.errors import Conflict, LeadershipLost, NotFound, Refused, Unavailable
from fleetish.store.base import Guard, KeyValues, Observed, Store
from fleetish.store.lease import Leadership, campaign
from fleetish.world import Touched, World

__all__ = ["EngineSettings", "PlanStats", "Term", "run_engine"]

log = logging.getLogger(__name__)

#: Seconds until the next attempt after a refused or unanswered commit, at first and at most.
AGAIN, AGAIN_MAX = 0.02, 1.0
#: After so many refused commits in a row every change is written by itself, so that one that can
#: never be written does not hold up the others.
STUBBORN = 3


@dataclass(slots=True)
class PlanStats:
    """What the engine did since it was started. ``seconds``: spent planning, in all."""

    terms: int = 0
    rounds: int = 0
    changes: int = 0
    refused: int = 0
    seconds: float = 0.0
    waiting: int = 0
    alarms: tuple[str, ...] = ()


async def run_engine(
    store: Store,
    kv: KeyValues,
    clock: Clock,
    settings: EngineSettings,
    stats: PlanStats | None = None,
) -> None:
    """Stand for election and lead, over and over, for ever. Cancelling it resigns."""
    counted = PlanStats() if stats is None else stats
    while True:
        try:
            leader = candidate(settings, clock.now())
            async with campaign(kv, settings.prefix, leader, settings.ttl, clock) as led:
                await _lead(store, kv, clock, settings, led, counted)
        except LeadershipLost as error:
            log.warning("no longer leading: %s", error)
        except Unavailable as error:
            log.warning("cannot lead: %s", error)
            await clock.sleep(AGAIN_MAX / 2)


async def _lead(
    store: Store,
    kv: KeyValues,
    clock: Clock,
    settings: EngineSettings,
    led: Leadership,
    stats: PlanStats,
) -> None:
    stats.terms += 1
    policy = patience(settings, await kv.version())
    log.info("leading since revision %d", led.revision)
    async with store.observe() as observed:
        await observed.reached(led.revision)
        # Where nobody led before, machines get the time to register.
        grace = 0.0 if led.warm else float(settings.machine_ttl)
        term = Term(store, observed, led.guard, clock, policy, settings.relist, stats, grace)
        collecting = asyncio.create_task(collect(store, observed, led.guard, clock))
        try:
            await term.run()
        finally:
            collecting.cancel()
            await asyncio.wait((collecting,))


@dataclass
class Term:
    """One time of leading; ``grace``: seconds for machines that were not there at the beginning."""

    store: Store
    observed: Observed
    guard: Guard
    clock: Clock
    policy: Policy
    relist: float
    stats: PlanStats
    grace: float = 0.0
    lost: dict[str, float] = field(default_factory=dict)
    _roster: Roster = field(default_factory=Roster)
    _wake: float | None = None
    _looked: bool = False
    _refused: int = 0
    _errands: Errands = field(init=False)

    def __post_init__(self) -> None:
        self._errands = Errands(self.store, self.observed, self.guard, self.clock)

    async def run(self) -> None:
        """Plan and commit until leadership is lost. Raises LeadershipLost."""
        left = Touched(everything=True)
        while True:
            touched = await self.observed.changed(0.0 if left else self._patience())
            _merge(touched, left)
            if self._is_over(self._wake):
                touched.machines |= self.lost.keys()
            due = touched or self._is_over(self._errands.wake)
            left = await self.round(touched) if due else Touched()

    def _is_over(self, deadline: float | None) -> bool:
        return deadline is not None and self.clock.monotonic() >= deadline

    def _patience(self) -> float:
        """Seconds until time alone may change something."""
        ends = [end for end in (self._wake, self._errands.wake) if end is not None]
        left = min(ends, default=math.inf) - self.clock.monotonic()
        return min(self.relist, max(0.0, left))

    async def round(self, touched: Touched) -> Touched:
        """One round; what is to be looked at in the next one, whatever happens until then."""
        world = self.observed.world
        begin = self.clock.monotonic()
        decided = self._decide(world, touched, begin)
        self.stats.seconds += self.clock.monotonic() - begin
        if not decided.changes:
            await self._errands.carry_out(world)
            return Touched()
        try:
            revision = await self._commit(decided.changes, world)
        except (Conflict, Refused, NotFound, Unavailable) as error:
            await self._put_off(error)
            return Touched(everything=True)
        self._refused = 0
        await self.observed.reached(revision)
        return Touched(everything=decided.more)

    def _decide(self, world: World, touched: Touched, now: float) -> Plan:
        if touched.everything:
            self._roster = Roster.of(world)
        else:
            self._roster.update(world, touched.units)
        self._note_losses(world, now)
        holds = self._errands.look(world, touched, self._roster)
        decided = plan(world, now, self.policy, self.lost, touched, self._roster, holds)
        self._wake = decided.wake
        self.stats.rounds += 1
        self.stats.waiting = len(self._roster.wanting)
        if decided.alarms != self.stats.alarms:
            self.stats.alarms = decided.alarms
            log.warning("%s", "; ".join(decided.alarms) or "the alarm is over")
        return decided

    def _note_losses(self, world: World, now: float) -> None:
        """Which machines are absent, and since when this engine knows."""
        gone = world.absent
        for machine in self.lost.keys() - gone:
            del self.lost[machine]
        begin = now if self._looked else now + self.grace
        for machine in sorted(gone - self.lost.keys()):
            self.lost[machine] = begin
            log.warning("machine %s is not registered", machine)
        if self.stats.alarms and not Losses.of(world, now, self.lost, self.policy).alarm:
            # The brake is over, most likely since the first of them are back: the others follow.
            self.lost = dict.fromkeys(self.lost, now + self.policy.after_brake)
        self._looked = True

    async def _commit(self, changes: Sequence[Change], world: World) -> int:
        if self._refused < STUBBORN:
            revision = await self.store.commit(changes, world, self.guard)
            _log(changes, world)
            self.stats.changes += len(changes)
            return revision
        return await self._one_by_one(changes, world)

    async def _one_by_one(self, changes: Sequence[Change], world: World) -> int:
        """Write what can be written; nothing into room that a refused change was to make."""
        revision, last = world.revision, None
        refused: set[str] = set()
        for change in changes:
            if isinstance(change, Assign | Move) and change.machine in refused:
                continue
            try:
                revision = await self.store.commit((change,), world, self.guard)
            except (Conflict, Refused, NotFound) as error:
                log.warning("cannot %s: %s", describe(change, world), error)
                last = error
                refused |= _machines(change)
                continue
            _log((change,), world)
            self.stats.changes += 1
        if last is not None:
            raise last
        return revision

    async def _put_off(self, error: Exception) -> None:
        """The world was behind, or the store is silent: a little later, from the beginning."""
        self.stats.refused += 1
        self._refused += not isinstance(error, Unavailable)
        log.info("planning again: %s", error)
        await self.clock.sleep(min(AGAIN_MAX, AGAIN * 2 ** min(self._refused, 6)))


def _machines(change: Change) -> set[str]:
    """The machines on which a change makes room."""
    match change:
        case Move(_, source, _):
            return {source}
        case Refresh(_, machine) | Release(_, machine) | Unassign(_, machine):
            return {machine}
    return set()


def _merge(into: Touched, more: Touched) -> None:
    into.units |= more.units
    into.machines |= more.machines
    into.documents |= more.documents
    into.everything |= more.everything


def _log(changes: Sequence[Change], world: World) -> None:
    if log.isEnabledFor(logging.INFO):
        for change in changes:
            log.info("%s: %s", describe(change, world), change.reason)


def describe(change: Change, world: World) -> str:
    """A change of the engine as the beginning of a sentence."""
    match change:
        case Assign(name, machine):
            return f"assign {name} to {host(world, machine)}"
        case Move(name, source, machine):
            return f"move {name} from {host(world, source)} to {host(world, machine)}"
        case Refresh(name, machine):
            return f"refresh {name} on {host(world, machine)}"
        case Release(name, machine):
            return f"release {name} from {host(world, machine)}"
        case Unassign(name, machine):
            return f"unassign {name} from {host(world, machine)}"
    return type(change).__name__
