"""Which units may not stay where they are, and what their machines must be told; pure.

    on a machine that is …     and the unit …               then
    -----------------------    --------------------------   ---------------------------------
    registered                 may stay, all as told        -
    registered                 may stay, something new      Refresh
    registered                 may not stay                 Release, and wait for the answer
    registered                 has answered a Release       Unassign, or a wish for a machine
    lost, may be left          is not wanted                Unassign
    lost, may be left          is wanted                    a wish (without a machine it stays)
    lost, otherwise            anything                     -

What cannot be read (a unit, a placement, an assignment, a machine) is left alone.
"""

from __future__ import annotations

from collections.abc import Collection

from fleetish.changes import Assign, Move, Refresh, Release, Unassign
from fleetish.engine.constraints import first_no, must_leave
from fleetish.engine.draft import Draft
from fleetish.engine.losses import Losses, draining, registered
from fleetish.engine.place import Wish
from fleetish.engine.rollout import as_told
from fleetish.engine.roster import has_given_up
from fleetish.engine.spread import constraint, group_by
from fleetish.model import Assignment, Target, Unit, UnitState
from fleetish.units.xfleet import Class, Requirements
from fleetish.world import World

STOPPED = ("inactive", "failed")

#: Units on machines, as (unit, machine), that a rolling update leaves as they are.
Holds = Collection[tuple[str, str]]
NO_HOLDS: Holds = frozenset()


def acknowledged(held: Assignment, state: UnitState | None) -> bool:
    """True when the machine has answered this very wish, and the unit is not alive there."""
    return state is not None and state.seen == held.generation and state.active in STOPPED


class Vacating:
    """Looks at one assignment after the other; collects changes and wishes.

    ``freed``: machines on which room was made, or where somebody may have become welcome.
    ``holds``: where a unit counts as what its machine was told, not as what it is now.
    """

    def __init__(self, draft: Draft, losses: Losses, holds: Holds = NO_HOLDS) -> None:
        self.draft = draft
        self.world = draft.world
        self.losses = losses
        self.holds = holds
        self.changes: list[Assign | Move | Refresh | Release | Unassign] = []
        self.wishes: list[Wish] = []
        self.freed: set[str] = set()

    def look(self, name: str, machine: str) -> None:
        """Decide about a unit on a machine."""
        held = self.world.assignment(name, machine)
        if held is None or self._unreadable(name, machine):
            return
        unit = self.world.units.get(name)
        if unit is not None and unit.requirements != held.requirements:
            self.freed.add(machine)  # whom it kept away may be welcome now
        if not registered(self.world, machine):
            self._absent(name, machine, held)
        elif machine in self.world.machines:
            if held.target is Target.INACTIVE:
                self._leaving(name, machine, held)
            else:
                self._here(name, machine, held)

    def _unreadable(self, name: str, machine: str) -> bool:
        """True when nobody can tell what is wanted of the unit here, or where it is: also by the
        record of a unit that activates it."""
        broken = self.world.quarantined
        if ("units", name) in broken or ("placement", name) in broken:
            return True
        others = (self.world.assignment(w[1], machine) for w in broken if w[0] == "units")
        return any(other is not None and name in other.requirements.triggers for other in others)

    def _absent(self, name: str, machine: str, held: Assignment) -> None:
        """The unit's machine has no key."""
        klass = held.requirements.klass
        since = self.losses.since.get(machine)
        unit = self.world.units.get(name)
        unwanted = self._unwanted(name, machine)
        if unwanted or unit is None:
            if since is not None and self.losses.now >= self.losses.ripe(machine, klass):
                self._unassign(name, machine, f"{unwanted}; {self._lost(machine)}")
        elif unit.requirements.global_:
            if self.losses.forgotten(machine):
                self._unassign(name, machine, f"{self._lost(machine)} for long")
        elif not self.losses.keeps(machine, klass):
            self._wish(unit, machine, self._lost(machine))

    def _lost(self, machine: str) -> str:
        return f"{self.draft.host(machine)} is lost"

    def _leaving(self, name: str, machine: str, held: Assignment) -> None:
        """The unit was asked to stop: has it?"""
        state = self.world.state(name, machine)
        if not acknowledged(held, state):
            return
        self.freed.add(machine)
        unit = self.world.units.get(name)
        unwanted = self._unwanted(name, machine)
        if unit is not None and not unwanted and not unit.requirements.global_:
            placement = self.world.placements[name]
            self._wish(unit, machine, placement.reason, placement.failed_on)
        else:
            self._unassign(name, machine, f"it has stopped; {unwanted or 'it may be placed anew'}")

    def _wish(self, unit: Unit, machine: str, why: str, avoid: tuple[str, ...] = ()) -> None:
        placement = self.world.placements[unit.name]
        self.draft.remove(unit.name, machine)
        self.wishes.append(Wish(unit, machine, avoid or placement.failed_on, why))

    def _unassign(self, name: str, machine: str, reason: str) -> None:
        self.draft.remove(name, machine)
        self.freed.add(machine)
        self.changes.append(Unassign(name, machine, reason))

    def _here(self, name: str, machine: str, held: Assignment) -> None:
        """The unit is on a registered machine, and has not been asked to leave."""
        unit = self.world.units.get(name)
        if unit is not None and (name, machine) in self.holds:
            unit = as_told(unit, held)
        reason = self._unwanted(name, machine)
        failed: tuple[str, ...] = ()
        if unit is not None and not reason:
            reason = self._unfit(unit, machine, held)
            if not reason and self._gives_up(unit, machine):
                placement = self.world.placements[name]
                failed = tuple(dict.fromkeys((*placement.failed_on, machine)))
                reason = self._failing(unit, machine)
        if reason or unit is None:
            self.draft.leaving.add((name, machine))
            self.changes.append(Release(name, machine, reason, failed))
        else:
            self._refresh(unit, machine, held)

    def _host(self, machine: str) -> str:
        return self.draft.host(machine)

    def _unwanted(self, name: str, machine: str) -> str:
        """Why nobody wants the unit on this machine whatever the machine is like, or ""."""
        unit = self.world.units.get(name)
        if unit is None:
            return "it was destroyed"
        if self.world.target(name) is Target.INACTIVE:
            return "its target is inactive"
        placement = self.world.placements.get(name)
        if unit.requirements.global_:
            return "it has become global" if placement else ""
        if placement is None:
            return "it is no longer global"
        return "" if placement.machine == machine else "it is placed elsewhere"

    def _unfit(self, unit: Unit, machine: str, held: Assignment) -> str:
        """Why the unit may not stay on this machine, or ""."""
        host = self._host(machine)
        asked = unit.requirements
        if draining(self.world, machine) and asked.klass is not Class.PINNED:
            return f"{host} is draining"
        room = self.draft.room(machine)
        reason = must_leave(room, unit, self.draft)
        if not reason and asked.ports != held.requirements.ports:
            reason = "holds other ports for it"
        if not reason and asked.constraints != held.requirements.constraints:
            reason = constraint(room, unit, self.draft) or group_by(room, unit, self.draft)
        if not reason:
            more = asked.resources - held.requirements.resources
            reason = "" if more.fits(room.free) else _more(asked, held)
        return f"{host} {reason}" if reason else ""

    def _gives_up(self, unit: Unit, machine: str) -> bool:
        """True when the unit has failed often enough here and another machine would take it."""
        asked = unit.requirements
        if not asked.reschedule or asked.global_ or asked.klass is Class.PINNED:
            return False
        if not has_given_up(self.world, unit.name, machine):
            return False
        avoid = (*self.world.placements[unit.name].failed_on, machine)
        rooms = (self.draft.room(other) for other in self.world.machines if other not in avoid)
        return any(not first_no(room, unit, self.draft)[0] for room in rooms)

    def _failing(self, unit: Unit, machine: str) -> str:
        state = self.world.state(unit.name, machine)
        return f"it failed {state.failures if state else 0} times on {self._host(machine)}"

    def _refresh(self, unit: Unit, machine: str, held: Assignment) -> None:
        """Tell the machine what is new about a unit that stays."""
        news = [text for text, one, other in _told(unit, held, self.world) if one != other]
        if not news:
            return
        before, after = held.requirements, unit.requirements
        if before != after:
            self.draft.room(machine).resize(before.resources, after.resources)
        self.changes.append(Refresh(unit.name, machine, " and ".join(news)))


def _told(unit: Unit, held: Assignment, world: World) -> tuple[tuple[str, object, object], ...]:
    target = world.target(unit.name)
    wanted = f"its target is {target}"
    if target is not unit.target:
        wanted = f"it is kept ready for {world.keeper(unit.name)}"
    return (
        ("its text changed", unit.hash, held.hash),
        (wanted, target, held.target),
        (f"launch {unit.launch} is asked for", unit.launch, held.launch),
        ("it asks for something else", unit.requirements, held.requirements),
    )


def _more(asked: Requirements, held: Assignment) -> str:
    """The unit was replaced by one that reserves more than is left beside the others."""
    grown = asked.resources - held.requirements.resources
    texts = (
        ("CPUs", grown.millicpus / 1000),
        ("MiB memory", grown.memory / 2**20),
        ("MiB disk", grown.disk / 2**20),
    )
    return "lacks " + ", ".join(f"{n:g} more {what}" for what, n in texts if n > 0)
