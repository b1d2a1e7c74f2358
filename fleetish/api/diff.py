"""What happened between two looks at the cluster, as events.

A :class:`Seen` remembers the records (not the views) that were last told, so that a look costs as
much as changed. Events are levels, not steps: two changes between two looks are told as one.
"""

from __future__ import annotations

from typing import NamedTuple

from fleetish.api.views import homes, machine_state, state_view, unit_view
from fleetish.engine.losses import registered
from fleetish.model import Document, Leader, Placement, Target, Unit, UnitState
from fleetish.wire import ClusterEvent, UnitView
from fleetish.world import Touched, World

#: The kinds of documents whose changes are told, and of the events that tell of them.
ORDERS = ("rollout", "rebalance")


class UnitRecords(NamedTuple):
    """All records of one unit, and what is to be done with it (by other units' records too); equal
    when nothing about it has changed."""

    unit: Unit | None
    placement: Placement | None
    on: tuple[str, ...]
    states: tuple[UnitState, ...]
    target: Target = Target.INACTIVE


NO_RECORDS = UnitRecords(None, None, (), ())


class MachineWords(NamedTuple):
    """What events tell of a machine."""

    state: str
    metadata: tuple[tuple[str, str], ...]


class Seen:
    """What was last told, by name."""

    def __init__(self) -> None:
        self.units: dict[str, UnitRecords] = {}
        self.machines: dict[str, MachineWords] = {}
        self.orders: dict[tuple[str, str], Document] = {}
        self.leader: Leader | None = None
        self.alarms: frozenset[str] = frozenset()

    def look(
        self, world: World, touched: Touched, alarms: frozenset[str] = frozenset()
    ) -> list[ClusterEvent]:
        """The events since the last look, and remember this one."""
        return [
            *self._machines(world, touched),
            *self._units(world, self._names(world, touched)),
            *self._orders(world, touched),
            *self._leader(world),
            *self._alarms(world, alarms),
        ]

    def _names(self, world: World, touched: Touched) -> list[str]:
        """The units to look at: those touched, and those on machines that came or went."""
        names = set(touched.units)
        if touched.everything:
            names |= {*world.units, *world.states, *world.placements, *self.units}
        for machine in touched.machines:
            names |= set(world.assignments(machine))
        return sorted(names)

    def _units(self, world: World, names: list[str]) -> list[ClusterEvent]:
        events: list[ClusterEvent] = []
        for name in names:
            new = _records(world, name, homes(world, name))
            old = self.units.get(name, NO_RECORDS)
            if new == NO_RECORDS:
                self.units.pop(name, None)
            else:
                self.units[name] = new
            events += _told(world, name, old, new)
        return events

    def _machines(self, world: World, touched: Touched) -> list[ClusterEvent]:
        names = set(touched.machines)
        if touched.everything:
            names |= {*world.machines, *self.machines}
        events = []
        for name in sorted(names):
            new = _words(world, name) if registered(world, name) else None
            old = self.machines.get(name)
            if new == old:
                continue
            if new is None:
                del self.machines[name]
            else:
                self.machines[name] = new
            what = "lost" if new is None else "joined" if old is None else "changed"
            events.append(_machine_event(world, name, what, new))
        return events

    def _orders(self, world: World, touched: Touched) -> list[ClusterEvent]:
        """Rollouts and rebalances: that they have changed; what they are now, the API tells."""
        names = {where for where in touched.documents if where[0] in ORDERS}
        if touched.everything:
            names |= {where for where in world.documents if where[0] in ORDERS}
            names |= self.orders.keys()
        events = []
        for kind, name in sorted(names):
            new, old = world.documents.get((kind, name)), self.orders.pop((kind, name), None)
            if new is not None:
                self.orders[kind, name] = new
            if new != old:
                what = "gone" if new is None else "created" if old is None else "changed"
                events.append(
                    ClusterEvent(kind=kind, what=what, revision=world.revision, text=name)
                )
        return events

    def _leader(self, world: World) -> list[ClusterEvent]:
        new, old = world.leader, self.leader
        if new == old:
            return []
        self.leader = new
        if new is None:
            return [ClusterEvent(kind="leader", what="gone", revision=world.revision)]
        return [
            ClusterEvent(
                kind="leader",
                what="elected",
                revision=world.revision,
                machine=new.machine,
                text=new.host,
            )
        ]

    def _alarms(self, world: World, alarms: frozenset[str]) -> list[ClusterEvent]:
        raised, cleared = alarms - self.alarms, self.alarms - alarms
        self.alarms = alarms
        return [
            ClusterEvent(kind="alarm", what=what, revision=world.revision, text=text)
            for what, texts in (("raised", raised), ("cleared", cleared))
            for text in sorted(texts)
        ]


def _records(world: World, name: str, on: tuple[str, ...]) -> UnitRecords:
    states = world.states.get(name, {})
    return UnitRecords(
        world.units.get(name),
        world.placements.get(name),
        # A machine that is lost, or back, changes how its units stand.
        tuple(f"{machine} {registered(world, machine)}" for machine in on),
        tuple(states[machine] for machine in sorted(states)),
        world.target(name),
    )


def _words(world: World, machine: str) -> MachineWords:
    return MachineWords(
        machine_state(world, machine), tuple(sorted(world.metadata(machine).items()))
    )


def _machine_event(
    world: World, machine: str, what: str, words: MachineWords | None
) -> ClusterEvent:
    known = world.machines.get(machine)
    text = f"{known.host} {words.state}" if known and words else ""
    return ClusterEvent(
        kind="machine", what=what, revision=world.revision, machine=machine, text=text
    )


def _told(world: World, name: str, old: UnitRecords, new: UnitRecords) -> list[ClusterEvent]:
    """The events of one unit: its wish, its placement, then its states."""
    if old == new:
        return []
    on = tuple(word.split()[0] for word in new.on)
    view = unit_view(world, new.unit, on) if new.unit else None
    events = []
    if old.unit != new.unit:
        what = "destroyed" if not new.unit else "changed" if old.unit else "created"
        text = new.unit.target.value if new.unit else ""
        events.append(_event(world, "unit", what, name, view, text=text))
    if old.placement != new.placement:
        events.append(_placement_event(world, name, old, new, view))
    before = {state.machine: state for state in old.states}
    for state in new.states:
        if before.get(state.machine) != state:
            shown = state_view(world, state)
            event = ClusterEvent(
                kind="state",
                what="changed",
                revision=world.revision,
                unit=name,
                machine=state.machine,
                text=shown.error,
                state=shown,
                view=view,
            )
            events.append(event)
    if new == NO_RECORDS:
        events.append(_event(world, "unit", "gone", name, view))
    return events or [_event(world, "unit", "changed", name, view)]


def _placement_event(
    world: World, name: str, old: UnitRecords, new: UnitRecords, view: UnitView | None
) -> ClusterEvent:
    if new.placement is None:
        machine = old.placement.machine if old.placement else ""
        return _event(world, "placement", "removed", name, view, machine)
    what = "leaving" if new.placement.leaving else "placed"
    machine, reason = new.placement.machine, new.placement.reason
    return _event(world, "placement", what, name, view, machine, reason)


def _event(
    world: World,
    kind: str,
    what: str,
    unit: str,
    view: UnitView | None,
    machine: str = "",
    text: str = "",
) -> ClusterEvent:
    return ClusterEvent(
        kind=kind,
        what=what,
        revision=world.revision,
        unit=unit,
        machine=machine,
        text=text,
        view=view,
    )
