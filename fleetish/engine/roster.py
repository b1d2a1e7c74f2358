"""What the planner must find without looking at every unit, kept current by what was touched; pure.

A roster follows a world: built from all of it once, then told the names that changed. Its content
depends on the world alone, never on the way there; a test holds that.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, TypeVar

from fleetish.model import Target
from fleetish.units.xfleet import Requirements
from fleetish.world import World

K = TypeVar("K", int, str)


@lru_cache(maxsize=65536)
def family(unit: str) -> str:
    """Units of one template are a family, spread over the machines; any other unit is alone."""
    prefix, at, rest = unit.partition("@")
    return f"{prefix}@.{rest.rpartition('.')[2]}" if at else unit


def demands(world: World, unit: str, machine: str) -> Requirements:
    """What a unit asks now; of a destroyed unit, what it asked when it was assigned."""
    known = world.units.get(unit)
    if known is not None:
        return known.requirements
    held = world.assignment(unit, machine)
    return held.requirements if held else Requirements()


def has_given_up(world: World, unit: str, machine: str) -> bool:
    """True when a unit has failed as often on a machine as it is allowed to."""
    state = world.state(unit, machine)
    if state is None or state.active != "failed":
        return False
    return state.failures >= demands(world, unit, machine).reschedule_after


def unreadable(world: World, unit: str) -> str:
    """Why nobody can tell where a unit is, as the record that says so cannot be read; else ""."""
    for where, why in world.quarantined.items() if world.quarantined else ():
        if where == ("placement", unit) or (where[0] == "assigned" and where[-1] == unit):
            return f"{'/'.join(where)} cannot be read: {why}"
    return ""


class Entry(NamedTuple):
    """What the roster noted of one unit. ``picky``: it names units that it cannot stand beside."""

    on: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    picky: bool = False
    everywhere: bool = False
    wanting: bool = False
    failing: bool = False
    priority: int | None = None


NOBODY = Entry()


class Roster:
    """Indexes over the units of one world.

    ``wanting``: units without a machine that want one. ``failing``: units that failed so often that
    they shall move, when there is where to. ``everywhere``: global units that are wanted.
    ``priorities``: how many units have which. ``followers``: who has a unit in MachineOf.
    ``picky``: by machine, the units there that conflict with or replace others. ``families``: by
    family, how many are on which machine.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.wanting: set[str] = set()
        self.failing: set[str] = set()
        self.priorities: dict[int, int] = {}
        self.everywhere: set[str] = set()
        self.followers: dict[str, set[str]] = {}
        self.picky: dict[str, set[str]] = {}
        self.families: dict[str, dict[str, int]] = {}

    @staticmethod
    def of(world: World) -> Roster:
        """The roster of a whole world."""
        found: dict[str, list[str]] = {}
        for machine in sorted(world.assigned):
            for unit in world.assigned[machine]:
                found.setdefault(unit, []).append(machine)
        roster = Roster()
        for unit in world.units.keys() | found.keys():
            roster._enter(unit, _entry(world, unit, tuple(found.get(unit, ()))))
        return roster

    def update(self, world: World, units: Iterable[str]) -> None:
        """Note anew what concerns these units."""
        for unit in units:
            before = self.entries.get(unit, NOBODY)
            fresh = _entry(world, unit, _homes(world, unit, before))
            if fresh != before:
                self._leave(unit, before)
                self._enter(unit, fresh)

    def homes(self, unit: str) -> tuple[str, ...]:
        """The machines that a unit is assigned to."""
        return self.entries.get(unit, NOBODY).on

    def _enter(self, unit: str, entry: Entry) -> None:
        if entry == NOBODY:
            return
        self.entries[unit] = entry
        if entry.wanting:
            self.wanting.add(unit)
        if entry.failing:
            self.failing.add(unit)
        if entry.priority is not None:
            self.priorities[entry.priority] = self.priorities.get(entry.priority, 0) + 1
        if entry.everywhere:
            self.everywhere.add(unit)
        for peer in entry.peers:
            self.followers.setdefault(peer, set()).add(unit)
        for machine in entry.on:
            count = self.families.setdefault(family(unit), {})
            count[machine] = count.get(machine, 0) + 1
            if entry.picky:
                self.picky.setdefault(machine, set()).add(unit)

    def _leave(self, unit: str, entry: Entry) -> None:
        self.entries.pop(unit, None)
        self.wanting.discard(unit)
        self.failing.discard(unit)
        if entry.priority is not None:
            _count_down(self.priorities, entry.priority)
        self.everywhere.discard(unit)
        for peer in entry.peers:
            _discard(self.followers, peer, unit)
        for machine in entry.on:
            count = self.families[family(unit)]
            _count_down(count, machine)
            if not count:
                del self.families[family(unit)]
            if entry.picky:
                _discard(self.picky, machine, unit)


def _count_down(counts: dict[K, int], key: K) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def _discard(index: dict[str, set[str]], key: str, unit: str) -> None:
    index[key].discard(unit)
    if not index[key]:
        del index[key]


def _homes(world: World, unit: str, before: Entry) -> tuple[str, ...]:
    """Where a unit is assigned; only a global unit may be anywhere."""
    known = world.units.get(unit)
    if before.everywhere or len(before.on) > 1 or (known and known.requirements.global_):
        likely: Iterable[str] = world.assigned
    else:
        placement = world.placements.get(unit)
        likely = {*before.on, *world.states.get(unit, ())}
        likely |= {placement.machine} if placement else set()
    return tuple(sorted(m for m in likely if unit in world.assignments(m)))


def _entry(world: World, unit: str, on: tuple[str, ...]) -> Entry:
    known = world.units.get(unit)
    asked = known.requirements if known else demands(world, unit, on[0] if on else "")
    wanted = known is not None and known.target is not Target.INACTIVE
    placed = unit in world.placements or bool(unreadable(world, unit))
    return Entry(
        on=on,
        peers=asked.machine_of,
        picky=bool(asked.conflicts or asked.replaces),
        everywhere=wanted and asked.global_,
        wanting=wanted and not asked.global_ and not placed and not on,
        failing=asked.reschedule and any(has_given_up(world, unit, machine) for machine in on),
        priority=asked.priority if known else None,
    )
