"""All that is known of the cluster at one revision, with the sums that planners need.

1. A :class:`World` changes only by :meth:`World.put` and :meth:`World.drop`, one record at a time,
   in revision order; both cost the same however large the cluster is.
2. Whoever plans reads it within one turn of the event loop and keeps nothing of it.
3. ``used`` and ``ports`` are sums over assignments, so global units and units that are still
   stopping count as long as the machine may hold them.
4. A value that could not be read is in ``quarantined`` with the reason and nowhere else.
5. A unit that is not wanted itself, but is activated by one that is (a service by its socket), is
   *kept ready*: its target counts as ``loaded``. Ask :meth:`World.target`, not the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fleetish.model import (
    Assignment,
    Document,
    Leader,
    Machine,
    Overlay,
    Placement,
    Record,
    Target,
    Unit,
    UnitState,
)
from fleetish.resources import NOTHING, Resources

Ident = tuple[str, ...]
"""A record's place: ``("units", name)``, ``("assigned", machine, name)`` and so on."""


class Revision(NamedTuple):
    """When a key was born and last written; both 0 for an absent key."""

    create: int
    mod: int


ABSENT = Revision(0, 0)
_NONE: frozenset[str] = frozenset()


@dataclass(slots=True)
class Touched:
    """What changed since somebody looked last."""

    units: set[str] = field(default_factory=set)
    machines: set[str] = field(default_factory=set)
    documents: set[tuple[str, str]] = field(default_factory=set)
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.units or self.machines or self.documents or self.everything)


def ident(record: Record) -> Ident:
    """Where a record belongs. Raises TypeError for a record that has no place of its own."""
    match record:
        case Machine():
            return ("machines", record.id)
        case Overlay():
            return ("metadata", record.machine)
        case Unit():
            return ("units", record.name)
        case Placement():
            return ("placement", record.unit)
        case Assignment():
            return ("assigned", record.machine, record.unit)
        case UnitState():
            return ("states", record.machine, record.unit)
        case Leader():
            return ("leader",)
        case Document():
            return ("docs", record.kind, record.id)
    raise TypeError(f"no place for a {type(record).__name__}")


class World:
    """The cluster's records, by the names that people use, and the sums over them.

    ``homes``: the machines that a unit is assigned to. ``absent``: the machines that something is
    assigned to and whose key is not there; ``lost``: what was known of those that were seen here.
    ``activators``: the units that activate a unit.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.machines: dict[str, Machine] = {}
        self.overlays: dict[str, Overlay] = {}
        self.units: dict[str, Unit] = {}
        self.placements: dict[str, Placement] = {}
        self.assigned: dict[str, dict[str, Assignment]] = {}
        self.states: dict[str, dict[str, UnitState]] = {}
        self.documents: dict[tuple[str, str], Document] = {}
        self.leader: Leader | None = None
        self.used: dict[str, Resources] = {}
        self.ports: dict[str, dict[int, str]] = {}
        self.homes: dict[str, set[str]] = {}
        self.absent: set[str] = set()
        self.lost: dict[str, Machine] = {}
        self.activators: dict[str, set[str]] = {}
        self.quarantined: dict[Ident, str] = {}
        self.unknown: dict[Ident, Mapping[str, bytes]] = {}
        self._revisions: dict[Ident, Revision] = {}

    def revision_of(self, where: Ident) -> Revision:
        """When the record at ``where`` was created and last written; ABSENT if there is none."""
        return self._revisions.get(where, ABSENT)

    def idents(self) -> Iterator[Ident]:
        """Every place that holds something, readable or not."""
        return iter(self._revisions)

    def put(self, record: Record, at: Revision, unknown: Mapping[str, bytes] | None = None) -> None:
        """Take in a record as written at ``at``, in place of what was there.

        ``unknown`` are the stored fields that this version does not know, as JSON by name; they are
        written back with the record.
        """
        where = ident(record)
        self._forget(where)
        self._revisions[where] = at
        if unknown:
            self.unknown[where] = unknown
        match record:
            case Machine():
                self.machines[record.id] = record
            case Overlay():
                self.overlays[record.machine] = record
            case Unit():
                self.units[record.name] = record
                for name in record.requirements.triggers:
                    self.activators.setdefault(name, set()).add(record.name)
            case Placement():
                self.placements[record.unit] = record
            case Assignment():
                self._assign(record)
            case UnitState():
                self.states.setdefault(record.unit, {})[record.machine] = record
            case Leader():
                self.leader = record
            case Document():
                self.documents[record.kind, record.id] = record
        self._judge(where)

    def quarantine(self, where: Ident, reason: str, at: Revision) -> None:
        """Note that the value at ``where`` cannot be read; what was known of it is forgotten."""
        self._forget(where)
        self._revisions[where] = at
        self.quarantined[where] = reason
        self._judge(where)

    def drop(self, where: Ident) -> None:
        """Forget the record at ``where``; nothing happens when there is none."""
        self._forget(where)
        self._revisions.pop(where, None)
        self._judge(where)

    def machine(self, machine: str) -> Machine | None:
        """A machine as it is registered; of a lost one what was known of it, if this world saw it
        while it was there."""
        return self.machines.get(machine) or self.lost.get(machine)

    def host(self, machine: str) -> str:
        """A machine's host name, also while it is lost; the first 8 characters of its id where
        none is known. For views; plans go by the records alone."""
        known = self.machine(machine)
        return known.host if known else machine[:8]

    def assignments(self, machine: str) -> Mapping[str, Assignment]:
        """What a machine shall run, by unit name."""
        return self.assigned.get(machine, {})

    def assignment(self, unit: str, machine: str) -> Assignment | None:
        """The assignment of a unit on a machine, if there is one."""
        return self.assigned.get(machine, {}).get(unit)

    def state(self, unit: str, machine: str) -> UnitState | None:
        """The last reported state of a unit on a machine, if there is one."""
        return self.states.get(unit, {}).get(machine)

    def keeper(self, unit: str) -> str:
        """A wanted unit that activates this one, itself or by way of others; "" for none."""
        seen, todo = {unit}, [unit]
        while todo:
            for name in sorted(self.activators.get(todo.pop(), _NONE) - seen):
                if self.units[name].target is not Target.INACTIVE:
                    return name
                seen.add(name)
                todo.append(name)
        return ""

    def target(self, unit: str) -> Target:
        """What is to be done with a unit: what is wanted of it, and ``loaded`` at least while it
        is kept ready; ``inactive`` for a unit that does not exist."""
        known = self.units.get(unit)
        wanted = known.target if known else Target.INACTIVE
        if known is None or wanted is not Target.INACTIVE:
            return wanted
        return Target.LOADED if self.keeper(unit) else wanted

    def activated(self, unit: str) -> set[str]:
        """The units whose target hangs on this one's: those that it activates, and so on."""
        seen, todo = {unit}, [unit]
        while todo:
            known = self.units.get(todo.pop())
            fresh = set(known.requirements.triggers) - seen if known else _NONE
            seen |= fresh
            todo += fresh
        return seen - {unit}

    def metadata(self, machine: str) -> dict[str, str]:
        """A machine's metadata with the operator's overlay applied."""
        known = self.machines.get(machine)
        merged: dict[str, str | None] = {**known.metadata} if known else {}
        overlay = self.overlays.get(machine)
        if overlay:
            merged.update(overlay.metadata)
        return {key: value for key, value in merged.items() if value is not None}

    def _assign(self, record: Assignment) -> None:
        self.assigned.setdefault(record.machine, {})[record.unit] = record
        used = self.used.get(record.machine, NOTHING)
        self.used[record.machine] = used + record.requirements.resources
        taken = self.ports.setdefault(record.machine, {})
        taken.update(dict.fromkeys(record.ports, record.unit))
        self.homes.setdefault(record.unit, set()).add(record.machine)

    def _unassign(self, machine: str, unit: str) -> None:
        record = self.assigned.get(machine, {}).pop(unit, None)
        if record is None:
            return
        _discard(self.homes, unit, machine)
        self.used[machine] = self.used[machine] - record.requirements.resources
        for port in record.ports:
            if self.ports[machine].get(port) == unit:
                del self.ports[machine][port]
        if not self.assigned[machine]:
            del self.assigned[machine], self.used[machine], self.ports[machine]

    def _forget(self, where: Ident) -> None:
        self.quarantined.pop(where, None)
        self.unknown.pop(where, None)
        match where:
            case ("machines", name):
                known = self.machines.pop(name, None)
                if known is not None:
                    self.lost[name] = known
            case ("metadata", name):
                self.overlays.pop(name, None)
            case ("units", name):
                self._drop_unit(name)
            case ("placement", name):
                self.placements.pop(name, None)
            case ("assigned", machine, name):
                self._unassign(machine, name)
            case ("states", machine, name):
                self._drop_state(name, machine)
            case ("leader",):
                self.leader = None
            case ("docs", kind, name):
                self.documents.pop((kind, name), None)

    def _drop_unit(self, name: str) -> None:
        record = self.units.pop(name, None)
        for other in set(record.requirements.triggers) if record else _NONE:
            _discard(self.activators, other, name)

    def _drop_state(self, unit: str, machine: str) -> None:
        held = self.states.get(unit)
        if held is not None:
            held.pop(machine, None)
            if not held:
                del self.states[unit]

    def _judge(self, where: Ident) -> None:
        """Keep ``absent`` true after something was written at ``where``."""
        if where[0] not in ("machines", "assigned"):
            return
        machine = where[1]
        there = machine in self.machines or ("machines", machine) in self.quarantined
        if machine in self.assigned and not there:
            self.absent.add(machine)
        else:
            self.absent.discard(machine)
            self.lost.pop(machine, None)


def _discard(index: dict[str, set[str]], key: str, value: str) -> None:
    index[key].discard(value)
    if not index[key]:
        del index[key]


def touch(touched: Touched, where: Ident) -> None:
    """Note in ``touched`` whom a change at ``where`` concerns."""
    match where:
        case ("units" | "placement", name):
            touched.units.add(name)
        case ("assigned" | "states", _, name):
            touched.units.add(name)
        case ("machines" | "metadata", name):
            touched.machines.add(name)
        case ("docs", kind, name):
            touched.documents.add((kind, name))
