"""Which units would even out the machines if they moved; pure.

    heaviest machine ─▶ each of its units: where would the planner place it now? ─▶ is that better?

1. Where a unit would go is the planner's own answer: it is taken off in a draft and placed again.
   So constraints, ports and resources hold, and the move that is proposed is the move that happens.
2. A move must make the cluster more even by an order that only goes down: first how the units of a
   template are spread, then what is reserved of the fuller of the two machines, then, of units that
   reserve nothing, how many are there. So moves come to an end, and none is ever taken back.
   Machines whose shares are less than ``WORTH`` apart are even, and a unit moves for the sake of
   its share only where the fuller machine loses at least half of what the unit reserves.
3. The best move of the worst machine comes first, which keeps them few. Of units that move at the
   same time, each goes where it is best while the others are on their way: that may take more.
4. Units that are tied by MachineOf move together or not at all. Global and pinned units stay, as
   does all that is not as it is wanted at the moment, and all on machines that take nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fleetish.changes import Release
from fleetish.engine.draft import Draft, Room
from fleetish.engine.losses import host
from fleetish.engine.place import Placer, Wish
from fleetish.engine.rollout import answers, failure, is_up
from fleetish.engine.roster import NOBODY, Roster, family
from fleetish.model import Target, Unit
from fleetish.units.xfleet import Class
from fleetish.world import World

#: The difference between the shares of two machines that is worth a move.
WORTH = 0.05
#: Shares are compared down to this.
LEAST = 1e-9
#: Kinds of units that are tried on one machine; the others are smaller.
KINDS = 16


class Shift(NamedTuple):
    """A proposed move."""

    unit: str
    source: str
    machine: str
    reason: str

    def release(self) -> Release:
        """The change that begins it."""
        return Release(self.unit, self.source, self.reason)


class Gain(NamedTuple):
    """How much more even two machines become; each part counts only where those before are 0."""

    kin: int
    share: float
    units: int


Group = tuple[Unit, ...]


def rebalance(world: World, most: int, roster: Roster | None = None) -> tuple[Shift, ...]:
    """At most ``most`` moves that even out the machines; () when they are even.

    A group that moves together is whole, though it may exceed ``most``.
    """
    balance = _Balance(Draft(world, Roster.of(world) if roster is None else roster))
    shifts: list[Shift] = []
    while len(shifts) < most:
        better = balance.better()
        if not better:
            break
        shifts += better
    return tuple(shifts)


class _Balance:
    """A draft in which units are moved until nothing gets better."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.world = draft.world
        self.open = [m for m in sorted(self.world.machines) if not draft.room(m).closed]
        self.groups: dict[str, list[Group]] = {m: [] for m in self.open}
        self._spoiled: set[tuple[str, ...]] = set()
        seen: set[str] = set()
        for name in sorted(self.world.placements):
            if name not in seen:
                group = _group(draft, name)
                seen |= {unit.name for unit in group}
                home = draft.home(name)
                if home in self.groups and all(_movable(self.world, u, home) for u in group):
                    self.groups[home].append(group)

    def better(self) -> tuple[Shift, ...]:
        """The next move, done in the draft; () when there is none."""
        for machine in self._worst_first():
            found = [
                (gain, group)
                for group in self._kinds(machine)
                if (gain := self._gain(group, machine)) is not None
            ]
            if found:
                gain, group = max(found, key=lambda row: (row[0], -len(row[1])))
                return self._move(group, machine, gain)
        return ()

    def _worst_first(self) -> Iterable[str]:
        """Machines with too many of a family, then the fuller ones, then those with more units."""
        rooms = [self.draft.room(machine) for machine in self.open if self.groups[machine]]
        crowded = [room.id for room in rooms if self._crowded(room)]
        fuller = sorted(rooms, key=lambda room: (-_share(room), room.id))
        longer = sorted(rooms, key=lambda room: (-len(room), room.id))
        return dict.fromkeys([*crowded, *(r.id for r in fuller), *(r.id for r in longer)])

    def _crowded(self, room: Room) -> bool:
        families = {family(unit.name) for group in self.groups[room.id] for unit in group}
        return any(self._spread(kin, room.id) >= 2 for kin in families)

    def _spread(self, kin: str, machine: str) -> int:
        counts = self.draft.count(kin)
        return counts.get(machine, 0) - min(counts.get(other, 0) for other in self.open)

    def _kinds(self, machine: str) -> Iterator[Group]:
        """One group of each kind, the crowded and the large ones first."""
        kinds: dict[object, Group] = {}
        for group in self.groups[machine]:
            kind = tuple((unit.requirements, family(unit.name)) for unit in group)
            kinds.setdefault(kind, group)
        whole = self.draft.room(machine).machine.capacity

        def weight(group: Group) -> tuple[int, float]:
            spread = max(self._spread(family(unit.name), machine) for unit in group)
            return spread, sum(u.requirements.resources.dominant_share(whole) for u in group)

        order = sorted(kinds.values(), key=lambda g: (*(-w for w in weight(g)), g[0].name))
        yield from order[:KINDS]

    def _gain(self, group: Group, source: str) -> Gain | None:
        """What moving a group would gain; None when it would not. The draft is as before."""
        before = self.draft.room(source)
        old = _share(before), len(before)
        target = self._place(group, source)
        try:
            if target is None:
                return None
            return self._compare(group, source, target, old)
        finally:
            self._put(group, target, source)

    def _compare(
        self, group: Group, source: str, target: str, old: tuple[float, int]
    ) -> Gain | None:
        """The gain of a move that was done in the draft; ``old``: the source's share and units."""
        here, there = self.draft.room(source), self.draft.room(target)
        added = _added(group, there)
        gap = old[0] - (_share(there) - added)
        less = max(old[0], _share(there) - added) - max(_share(here), _share(there))
        kin = sum(
            self.draft.count(kin).get(source, 0) - self.draft.count(kin).get(target, 0) + 1
            for kin in {family(unit.name) for unit in group}
        )
        fewer = old[1] - len(there)
        if kin > 0:
            return Gain(kin, less, fewer)
        if kin == 0 and less > LEAST and gap >= WORTH and less >= added / 2:
            return Gain(0, less, fewer)
        nothing = added <= LEAST and old[0] - _share(here) <= LEAST
        return Gain(0, 0.0, fewer) if kin == 0 and nothing and fewer > 0 else None

    def _place(self, group: Group, source: str) -> str | None:
        """Take a group off and let the planner place it; the machine, None if not elsewhere."""
        for unit in group:
            self.draft.remove(unit.name, source)
        placer = Placer(self.draft, [Wish(unit, source) for unit in group], len(group))
        placer.serve()
        homes = {home.machine for home in placer.homes}
        if len(placer.homes) == len(group) and len(homes) == 1 and homes != {source}:
            return homes.pop()
        for home in placer.homes:
            self.draft.remove(home.wish.unit.name, home.machine)
        return None

    def _put(self, group: Group, target: str | None, source: str) -> None:
        """Back to where the group was."""
        for unit in group:
            if target is not None:
                self.draft.remove(unit.name, target)
            held = self.world.assignment(unit.name, source)
            ports = held.ports if held else ()
            self.draft.add(unit.name, source, unit.requirements, ports)

    def _move(self, group: Group, source: str, gain: Gain) -> tuple[Shift, ...]:
        target = self._place(group, source)
        assert target is not None, group
        self.groups[source].remove(group)
        reason = self._reason(group, source, target, gain)
        return tuple(Shift(unit.name, source, target, reason) for unit in group)

    def _reason(self, group: Group, source: str, target: str, gain: Gain) -> str:
        here, there = host(self.world, source), host(self.world, target)
        kin = family(group[0].name)
        if gain.kin > 0:
            return f"rebalanced: {here} has more of {kin} than {there}"
        if gain.share > 0:
            return f"rebalanced: more of {here} is reserved than of {there}"
        return f"rebalanced: {here} has more units than {there}"


def _share(room: Room) -> float:
    return room.used.dominant_share(room.machine.capacity)


def _added(group: Group, room: Room) -> float:
    """What the group adds to the share of a machine that it is on."""
    used = room.used
    for unit in group:
        used = used - unit.requirements.resources
    return _share(room) - used.dominant_share(room.machine.capacity)


def _group(draft: Draft, name: str) -> Group:
    """The units that are tied to a unit, as its peers or as its followers, in order. What a pattern
    means on other machines ties nothing here."""
    roster, placements = draft.roster, draft.world.placements
    home = placements[name].machine
    seen, todo = {name}, [name]
    while todo:
        one = todo.pop()
        near = roster.followers_of(one)
        for word in roster.entries.get(one, NOBODY).peers:
            near.update(roster.meant(word))
        fresh = {
            other
            for other in near - seen
            if (placed := placements.get(other)) is not None and placed.machine == home
        }
        todo += fresh
        seen |= fresh
    return tuple(draft.world.units[one] for one in sorted(seen) if one in draft.world.units)


def _movable(world: World, unit: Unit, machine: str) -> bool:
    """True for a unit that is as it is wanted, and that may be somewhere else. What had its run is
    not: it would run once more."""
    asked, placement = unit.requirements, world.placements.get(unit.name)
    if asked.global_ or asked.klass is Class.PINNED or asked.machine_id:
        return False
    state = world.state(unit.name, machine)
    ended = unit.target is Target.LAUNCHED and state is not None and state.active == "inactive"
    held = world.assignment(unit.name, machine)
    fresh = held is not None and held.requirements == asked
    here = placement is not None and placement.machine == machine
    return here and fresh and not ended and _settled(world, unit)


def _settled(world: World, unit: Unit) -> bool:
    """True for a placed unit that is as it is wanted."""
    placement = world.placements.get(unit.name)
    if placement is None or placement.leaving:
        return False
    held = world.assignment(unit.name, placement.machine)
    state = world.state(unit.name, placement.machine)
    if held is None or state is None:
        return False
    if world.target(unit.name) is Target.LOADED:
        return held.target is Target.LOADED and state.seen == held.generation
    return answers(held, state, unit.hash) and is_up(state)


def unsettled(world: World, units: Sequence[str]) -> tuple[str, ...]:
    """Those of some units that are still on their way: leaving, nowhere, or not up yet. One that
    has failed, or that nobody wants any more, is not on its way."""
    return tuple(
        name
        for name in units
        if world.target(name) is not Target.INACTIVE
        and not _failed(world, name)
        and not _settled(world, world.units[name])
    )


def _failed(world: World, name: str) -> bool:
    placement = world.placements.get(name)
    if placement is None or placement.leaving:
        return False
    state = world.state(name, placement.machine)
    return state is not None and bool(failure(state))
