"""Changes into guarded transactions: the only place where cluster writes are made.

A :class:`~fleetish.store.pack.Step` is one change: what it compares and what it writes.

1. Every step compares the guard (the leader's or the machine's key was created when we think) and
   the mod revision of each record that it was decided by.
2. A unit leaves a machine only when that machine's state answers the release, or when the machine's
   lease key is gone; both are compared, not believed.
3. A step is never split. Steps go into transactions in the order in which they were decided, within
   etcd's limits, and no key is written twice in one commit: the second write could not know the
   revision that the first one makes. Only a text may repeat, as it is the same under its hash.
4. A record that cannot be read is not acted upon.
5. Whoever refers to a text writes it too, so that dropping it conflicts (``mod`` has moved on).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatchmethod

import msgspec

from fleetish.changes import (
    Assign,
    Change,
    CreateUnit,
    DestroyUnit,
    DropContent,
    DropDocument,
    DropState,
    Move,
    PublishState,
    PutContent,
    PutDocument,
    PutOverlay,
    Refresh,
    Release,
    ReplaceUnit,
    SetTarget,
    Unassign,
)
from fleetish.errors import Conflict, NotFound, Refused
from fleetish.model import Assignment, Content, Placement, Record, Target, Unit
from fleetish.store.base import Compare, Delete, Guard, Put, Txn
from fleetish.store.codec import encode
from fleetish.store.keys import Keys
from fleetish.store.pack import Step, pack
from fleetish.world import Ident, World, ident

_STOPPED = ("inactive", "failed")


@dataclass(slots=True)
class _Draft:
    """What one step compares and writes, while it is being put together."""

    keys: Keys
    world: World
    compares: dict[Compare, None] = field(default_factory=dict)
    operations: list[Put | Delete] = field(default_factory=list)

    def require(self, where: Ident, *, absent: bool = False) -> None:
        """The record is as we read it (or, said so, is not there).

        Raises Refused when what lies there cannot be read."""
        wrong = self.world.quarantined.get(where)
        if wrong is not None:
            name = "/".join(where)
            raise Refused(f"cannot act on {name}: {wrong}", hint=f"repair or delete {name} in etcd")
        seen = 0 if absent else self.world.revision_of(where).mod
        self.compares[Compare(self.keys.key(where), "mod", "=", seen)] = None

    def registered(self, machine: str) -> None:
        """The machine is registered, and is the registration that we know."""
        seen = self.world.revision_of(("machines", machine)).create
        if not seen:
            raise Conflict(f"cannot use machine {machine}: it is not registered")
        self.compares[Compare(self.keys.key(("machines", machine)), "create", "=", seen)] = None

    def compare(self, compare: Compare) -> None:
        self.compares[compare] = None

    def put(self, record: Record) -> None:
        where: Ident = ("content", record.hash) if isinstance(record, Content) else ident(record)
        value = encode(record, self.world.unknown.get(where))
        self.operations.append(Put(self.keys.key(where), value))

    def delete(self, where: Ident) -> None:
        self.operations.append(Delete(self.keys.key(where)))


class Compiler:
    """Turns changes into steps, by what a world says; ``now`` dates placements (epoch seconds)."""

    def __init__(self, keys: Keys, world: World, now: float = 0.0) -> None:
        self.keys = keys
        self.world = world
        self.now = now

    def step(self, change: Change) -> Step:
        """What a change compares and writes.

        Raises NotFound for a record that must exist, Conflict where the world itself forbids it,
        Refused for a record that cannot be read.
        """
        draft = _Draft(self.keys, self.world)
        self._write(change, draft)
        return Step(tuple(draft.compares), tuple(draft.operations))

    @singledispatchmethod
    def _write(self, change: Change, draft: _Draft) -> None:
        raise TypeError(f"no transaction is known for {change!r}")

    @_write.register
    def _(self, change: CreateUnit, draft: _Draft) -> None:
        if change.unit.name in self.world.units:
            raise Conflict(f"cannot create {change.unit.name}: it exists")
        draft.require(("units", change.unit.name), absent=True)
        self._text(change.unit.hash, change.text, draft)
        draft.put(change.unit)

    @_write.register
    def _(self, change: ReplaceUnit, draft: _Draft) -> None:
        self._unit(change.unit.name)
        draft.require(("units", change.unit.name))
        self._text(change.unit.hash, change.text, draft)
        draft.put(change.unit)

    @_write.register
    def _(self, change: SetTarget, draft: _Draft) -> None:
        unit = self._unit(change.unit)
        draft.require(("units", change.unit))
        draft.put(msgspec.structs.replace(unit, target=change.target, launch=change.launch))

    @_write.register
    def _(self, change: DestroyUnit, draft: _Draft) -> None:
        where = ("units", change.unit)
        if where not in self.world.quarantined:
            self._unit(change.unit)
        seen = self.world.revision_of(where).mod
        draft.compare(Compare(self.keys.key(where), "mod", "=", seen))
        draft.delete(where)

    @_write.register
    def _(self, change: Assign, draft: _Draft) -> None:
        unit = self._unit(change.unit)
        draft.require(("units", change.unit))
        self._assignment(unit, change, draft)
        if unit.requirements.global_:
            return
        if change.unit in self.world.placements:
            raise Conflict(f"cannot place {change.unit}: it is placed")
        draft.require(("placement", change.unit), absent=True)
        first = Placement(unit=change.unit, machine=change.machine)
        draft.put(_placement(change, first, self.now))

    @_write.register
    def _(self, change: Refresh, draft: _Draft) -> None:
        unit = self._unit(change.unit)
        held = self._assigned(change.unit, change.machine)
        draft.require(("units", change.unit))
        draft.require(("assigned", change.machine, change.unit))
        draft.put(self._wish(unit, change.machine, held.ports, held.generation + 1, draft))

    @_write.register
    def _(self, change: Release, draft: _Draft) -> None:
        held = self._assigned(change.unit, change.machine)
        draft.require(("units", change.unit))
        draft.require(("assigned", change.machine, change.unit))
        stop = {"target": Target.INACTIVE, "generation": held.generation + 1}
        draft.put(msgspec.structs.replace(held, **stop))
        placement = self._placed(change.unit, change.machine, draft)
        if placement is None:
            return
        failed_on = change.failed_on or placement.failed_on
        leaving = {"leaving": True, "reason": change.reason, "failed_on": failed_on}
        draft.put(msgspec.structs.replace(placement, **leaving))

    @_write.register
    def _(self, change: Unassign, draft: _Draft) -> None:
        self._vacate(change.unit, change.machine, draft)
        if self._placed(change.unit, change.machine, draft):
            draft.delete(("placement", change.unit))

    @_write.register
    def _(self, change: Move, draft: _Draft) -> None:
        if change.source == change.machine:
            raise Refused(f"cannot move {change.unit} from {change.source} to where it is")
        unit = self._unit(change.unit)
        draft.require(("units", change.unit))
        self._vacate(change.unit, change.source, draft)
        placement = self._placed(change.unit, change.source, draft)
        if placement is None:
            raise Conflict(f"cannot move {change.unit}: it is not placed on {change.source}")
        self._assignment(unit, change, draft)
        draft.put(_placement(change, placement, self.now))

    @_write.register
    def _(self, change: PublishState, draft: _Draft) -> None:
        state = change.state
        where = ("assigned", state.machine, state.unit)
        born = self.world.revision_of(where).create
        if born:
            draft.compare(Compare(self.keys.key(where), "create", "=", born))
        else:
            draft.compare(Compare(self.keys.key(where), "create", "!=", 0))
        draft.put(state)

    @_write.register
    def _(self, change: DropState, draft: _Draft) -> None:
        where = ("assigned", change.machine, change.unit)
        draft.compare(Compare(self.keys.key(where), "create", "=", 0))
        draft.delete(("states", change.machine, change.unit))

    @_write.register
    def _(self, change: PutOverlay, draft: _Draft) -> None:
        draft.require(ident(change.overlay))
        draft.put(change.overlay)

    @_write.register
    def _(self, change: PutDocument, draft: _Draft) -> None:
        draft.require(ident(change.document))
        draft.put(change.document)

    @_write.register
    def _(self, change: DropDocument, draft: _Draft) -> None:
        draft.require(("docs", change.kind, change.id))
        draft.delete(("docs", change.kind, change.id))

    @_write.register
    def _(self, change: PutContent, draft: _Draft) -> None:
        draft.put(Content(hash=change.hash, text=change.text))

    @_write.register
    def _(self, change: DropContent, draft: _Draft) -> None:
        key = self.keys.key(("content", change.hash))
        draft.compare(Compare(key, "mod", "=", change.mod))
        draft.delete(("content", change.hash))

    def _unit(self, name: str) -> Unit:
        unit = self.world.units.get(name)
        if unit is not None:
            return unit
        wrong = self.world.quarantined.get(("units", name))
        if wrong is not None:
            raise Refused(f"cannot act on {name}: {wrong}", hint="destroy it, submit it again")
        raise NotFound(f"cannot find unit {name}")

    def _assigned(self, unit: str, machine: str) -> Assignment:
        held = self.world.assignment(unit, machine)
        if held is None:
            raise Conflict(f"cannot change {unit} on {machine}: it is not assigned there")
        return held

    def _text(self, digest: str, text: str, draft: _Draft) -> None:
        """A unit's text; without one the text must be there already."""
        if text:
            draft.put(Content(hash=digest, text=text))
        else:
            key = self.keys.key(("content", digest))
            draft.compare(Compare(key, "create", "!=", 0))

    def _assignment(self, unit: Unit, change: Assign | Move, draft: _Draft) -> None:
        """A first assignment to a machine that is registered."""
        draft.registered(change.machine)
        if self.world.assignment(change.unit, change.machine):
            raise Conflict(f"cannot assign {change.unit} to {change.machine}: it is assigned there")
        draft.require(("assigned", change.machine, change.unit), absent=True)
        draft.put(self._wish(unit, change.machine, change.ports, 1, draft))

    def _wish(
        self, unit: Unit, machine: str, ports: tuple[int, ...], generation: int, draft: _Draft
    ) -> Assignment:
        """What a machine is told of a unit; if it is only kept ready, who keeps it is compared."""
        keeper = "" if unit.target is not Target.INACTIVE else self.world.keeper(unit.name)
        if keeper:
            draft.require(("units", keeper))
        return Assignment(
            unit=unit.name,
            machine=machine,
            hash=unit.hash,
            target=self.world.target(unit.name),
            launch=unit.launch,
            generation=generation,
            ports=ports,
            requirements=unit.requirements,
        )

    def _placed(self, unit: str, machine: str, draft: _Draft) -> Placement | None:
        """The unit's placement if it is on this machine, compared either way."""
        draft.require(("placement", unit))
        placement = self.world.placements.get(unit)
        return placement if placement and placement.machine == machine else None

    def _vacate(self, unit: str, machine: str, draft: _Draft) -> None:
        """Take an assignment and its state away, if the unit has stopped or the machine is lost."""
        held = self._assigned(unit, machine)
        draft.require(("assigned", machine, unit))
        if not self.world.revision_of(("machines", machine)).create:
            draft.compare(Compare(self.keys.key(("machines", machine)), "create", "=", 0))
        else:
            self._answered(held, draft)
        draft.delete(("assigned", machine, unit))
        draft.delete(("states", machine, unit))

    def _answered(self, held: Assignment, draft: _Draft) -> None:
        state = self.world.state(held.unit, held.machine)
        stopped = state and state.seen == held.generation and state.active in _STOPPED
        if held.target is not Target.INACTIVE or not stopped:
            raise Conflict(
                f"cannot take {held.unit} off {held.machine}: it has not said that it stopped"
            )
        draft.require(("states", held.machine, held.unit))


def _placement(change: Assign | Move, before: Placement, now: float) -> Placement:
    """Where a unit goes: on its first placement ``before`` says the same machine."""
    moved = before.machine != change.machine
    return msgspec.structs.replace(
        before,
        machine=change.machine,
        reason=change.reason,
        leaving=False,
        failed_on=change.failed_on or before.failed_on,
        moves=before.moves + moved,
        since=now,
    )


def compile_changes(
    changes: Sequence[Change],
    world: World,
    keys: Keys,
    guard: Guard | None = None,
    now: float = 0.0,
) -> tuple[Txn, ...]:
    """Changes as transactions; see :class:`Compiler` and :func:`pack` for what they raise."""
    compiler = Compiler(keys, world, now)
    return pack((compiler.step(change) for change in changes), guard)
