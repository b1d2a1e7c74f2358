"""Standing orders: documents that ask the leader for something that takes a while; pure.

A rolling update (:mod:`fleetish.engine.rollout`) and a rebalance are carried out in steps. What is
to be done next follows from the document and the world alone, so the death of who asked, or of the
leader, costs nothing but a moment. Steps come after what the planner wants: an order is worked at
only while the cluster is otherwise as it should be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from fleetish.changes import Change, DropDocument, PutDocument
from fleetish.engine import rolling, rollout
from fleetish.engine.rebalance import rebalance, unsettled
from fleetish.engine.rollout import GOING, Member, Rollout, Stage, Uptimes
from fleetish.engine.roster import Roster
from fleetish.model import Document, Record
from fleetish.world import Touched, World

REBALANCE = "rebalance"
#: There is one rebalance at a time, under this id.
CURRENT = "current"
#: Rollouts that have ended, and are kept to be looked at.
KEPT = 20


class Rebalance(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody asked for. ``most``: units that may still be moved; ``at_once``: how many at a
    time; ``moving``: those that were released last; ``since``: seconds since the epoch."""

    most: int
    at_once: int = 1
    moving: tuple[str, ...] = ()
    moved: int = 0
    since: float = 0.0


def rebalance_document(order: Rebalance) -> Document:
    """A rebalance as it is stored."""
    return Document(kind=REBALANCE, id=CURRENT, body=msgspec.Raw(msgspec.json.encode(order)))


def rebalance_of(world: World) -> Rebalance | None:
    """The rebalance that is going on, if one is."""
    stored = world.documents.get((REBALANCE, CURRENT))
    try:
        return msgspec.json.decode(stored.body, type=Rebalance) if stored else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def rollouts_of(world: World) -> dict[str, Rollout]:
    """Every rollout that can be read, by id."""
    stored = (one for (kind, _), one in world.documents.items() if kind == rollout.KIND)
    found = (rollout.read(one) for one in stored)
    return {one.id: one for one in found if one is not None}


class Errand(NamedTuple):
    """Changes that belong together: of one order. ``order`` names it in sentences."""

    order: str
    changes: tuple[Change, ...]


class Due(NamedTuple):
    """What is to be done now, what the planner is to leave alone, and when (monotonic seconds) time
    alone changes this."""

    errands: tuple[Errand, ...] = ()
    holds: frozenset[Member] = frozenset()
    wake: float | None = None


@dataclass
class Orders:
    """The orders of one world, and since when their units are up; follows what is touched."""

    rollouts: dict[str, Rollout] = field(default_factory=dict)
    uptimes: Uptimes = field(default_factory=dict)
    holds: frozenset[Member] = frozenset()

    def look(self, world: World, touched: Touched, roster: Roster, now: float, date: float) -> Due:
        """What is due. ``now`` in monotonic seconds, ``date`` since the epoch. Adds to ``touched``
        the units whose hold has changed."""
        self._follow(world, touched)
        going = [one for one in self.rollouts.values() if one.stage in GOING]
        self.uptimes = rollout.marks(world, going, self.uptimes, now)
        steps = {
            one.id: rolling.step(world, one, self.uptimes, now, date)
            for one in self.rollouts.values()
        }
        holds = frozenset().union(*(step.holds for step in steps.values()))
        touched.units |= {member.unit for member in self.holds ^ holds}
        self.holds = holds
        errands = [
            Errand(f"rollout {name}", step.changes) for name, step in steps.items() if step.changes
        ]
        errands += _forgotten(one for one in self.rollouts.values() if not steps[one.id].holds)
        if not going:
            errands += _rebalancing(world, roster)
        waits = [step.wake for step in steps.values() if step.wake is not None]
        return Due(tuple(errands), holds, min(waits, default=None))

    def stopped(self, order: str, reason: str, date: float) -> PutDocument | None:
        """The change that ends an order which cannot be carried out; None when it is none."""
        name = order.removeprefix("rollout ")
        known = self.rollouts.get(name)
        return rolling.ended(known, Stage.STOPPED, reason, date) if known else None

    def _follow(self, world: World, touched: Touched) -> None:
        if touched.everything:
            self.rollouts = rollouts_of(world)
            return
        for kind, name in touched.documents:
            if kind != rollout.KIND:
                continue
            stored = world.documents.get((kind, name))
            read = rollout.read(stored) if stored else None
            if read is None:
                self.rollouts.pop(name, None)
            else:
                self.rollouts[name] = read


def _forgotten(free: Iterable[Rollout]) -> Iterator[Errand]:
    """The oldest of too many rollouts that have ended, of those that hold nothing."""
    ended = [one for one in free if one.stage not in GOING]
    ended.sort(key=lambda one: (one.ended, one.id))
    for one in ended[: max(0, len(ended) - KEPT)]:
        drop = DropDocument(rollout.KIND, one.id, "newer ones are kept")
        yield Errand(f"rollout {one.id}", (drop,))


def _rebalancing(world: World, roster: Roster) -> Sequence[Errand]:
    """The next moves, once the last ones have arrived."""
    order = rebalance_of(world)
    if order is None or unsettled(world, order.moving):
        return ()
    shifts = rebalance(world, min(order.most, order.at_once), roster)
    if not shifts:
        done = DropDocument(REBALANCE, CURRENT, f"{order.moved} units were moved")
        return (Errand("rebalance", (done,)),)
    noted = msgspec.structs.replace(
        order,
        most=max(0, order.most - len(shifts)),
        moving=tuple(shift.unit for shift in shifts),
        moved=order.moved + len(shifts),
    )
    note = PutDocument(rebalance_document(noted), "units are being moved")
    return (Errand("rebalance", (note, *(shift.release() for shift in shifts))),)
