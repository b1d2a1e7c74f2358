"""What the planner must find without looking at every unit, kept current by what was touched; pure.

A roster follows a world: built from all of it once, then told the names that changed. Its content
depends on the world alone, never on the way there; a test holds that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import NamedTuple, TypeVar

from fleetish.model import Target
from fleetish.units.constraint import Operator
from fleetish.units.globs import is_glob, matches
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
    """What the roster noted of one unit. ``peers``: the words of MachineOf, and the units that it
    activates; ``picky``: it names units that it cannot stand beside; ``spread``: where it may go
    hangs on where the others of its family are (GROUP_BY)."""

    on: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    picky: bool = False
    everywhere: bool = False
    wanting: bool = False
    failing: bool = False
    spread: bool = False
    priority: int | None = None


NOBODY = Entry()
_NONE: frozenset[str] = frozenset()


class Roster:
    """Indexes over the units of one world.

    ``wanting``: units without a machine that want one. ``failing``: units that failed so often that
    they shall move, when there is where to. ``everywhere``: global units that are wanted.
    ``priorities``: how many units have which. ``followers``: by peer (a unit, or a pattern of
    MachineOf), who is to be where it is. ``patterns``: the units that each such pattern means.
    ``picky``: by machine, the units there that conflict with or replace others. ``families``: by
    family, how many are on which machine. ``spread``: by family, the units with GROUP_BY.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.wanting: set[str] = set()
        self.failing: set[str] = set()
        self.priorities: dict[int, int] = {}
        self.everywhere: set[str] = set()
        self.followers: dict[str, set[str]] = {}
        self.patterns: dict[str, set[str]] = {}
        self.picky: dict[str, set[str]] = {}
        self.families: dict[str, dict[str, int]] = {}
        self.spread: dict[str, set[str]] = {}

    @staticmethod
    def of(world: World) -> Roster:
        """The roster of a whole world."""
        roster = Roster()
        for unit in world.units.keys() | world.homes.keys():
            roster._enter(unit, _entry(world, unit))
        return roster

    def update(self, world: World, units: Iterable[str]) -> None:
        """Note anew what concerns these units."""
        for unit in units:
            before = self.entries.get(unit, NOBODY)
            fresh = _entry(world, unit)
            if fresh != before:
                self._leave(unit, before)
                self._enter(unit, fresh)

    def homes(self, unit: str) -> tuple[str, ...]:
        """The machines that a unit is assigned to."""
        return self.entries.get(unit, NOBODY).on

    def meant(self, word: str) -> Collection[str]:
        """The units that a peer's word means: of a pattern those that exist, of a name the one."""
        return self.patterns.get(word, _NONE) if is_glob(word) else (word,)

    def followers_of(self, unit: str) -> set[str]:
        """The units that are to be where this one is, by its name or by a pattern."""
        found = set(self.followers.get(unit, ()))
        for pattern in self.patterns:
            if matches(pattern, unit):
                found |= self.followers[pattern]
        return found - {unit}

    def spread_with(self, units: Iterable[str], among: set[str]) -> set[str]:
        """Those of ``among`` that may go elsewhere once something changed of these units."""
        if not self.spread:
            return set()
        families = {family(unit) for unit in units} & self.spread.keys()
        return {unit for kin in families for unit in self.spread[kin] & among}

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
            for pattern, names in self.patterns.items():
                if matches(pattern, unit):
                    names.add(unit)
        if entry.everywhere:
            self.everywhere.add(unit)
        if entry.spread:
            self.spread.setdefault(family(unit), set()).add(unit)
        for peer in entry.peers:
            self._follow(peer, unit)
        for machine in entry.on:
            count = self.families.setdefault(family(unit), {})
            count[machine] = count.get(machine, 0) + 1
            if entry.picky:
                self.picky.setdefault(machine, set()).add(unit)

    def _follow(self, peer: str, unit: str) -> None:
        self.followers.setdefault(peer, set()).add(unit)
        if is_glob(peer) and peer not in self.patterns:
            known = (name for name, one in self.entries.items() if one.priority is not None)
            self.patterns[peer] = {name for name in known if matches(peer, name)}

    def _leave(self, unit: str, entry: Entry) -> None:
        self.entries.pop(unit, None)
        self.wanting.discard(unit)
        self.failing.discard(unit)
        if entry.priority is not None:
            _count_down(self.priorities, entry.priority)
        self.everywhere.discard(unit)
        if entry.spread:
            _discard(self.spread, family(unit), unit)
        for peer in entry.peers:
            _discard(self.followers, peer, unit)
            if peer not in self.followers:
                self.patterns.pop(peer, None)
        for names in self.patterns.values():
            names.discard(unit)
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


def _entry(world: World, unit: str) -> Entry:
    known = world.units.get(unit)
    on = tuple(sorted(world.homes.get(unit, ())))
    asked = known.requirements if known else demands(world, unit, on[0] if on else "")
    wanted = world.target(unit) is not Target.INACTIVE
    placed = unit in world.placements or bool(unreadable(world, unit))
    return Entry(
        on=on,
        peers=tuple(dict.fromkeys((*asked.machine_of, *asked.triggers))),
        picky=bool(asked.conflicts or asked.replaces),
        everywhere=wanted and asked.global_,
        wanting=wanted and not asked.global_ and not placed and not on,
        spread=any(one.operator is Operator.GROUP_BY for one in asked.constraints),
        failing=asked.reschedule and any(has_given_up(world, unit, machine) for machine in on),
        priority=asked.priority if known else None,
    )
