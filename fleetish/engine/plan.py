"""Where every unit should be: the world in, a plan out; pure.

    scope ─▶ vacate and refresh ─▶ global units ─▶ wishes, by priority ─▶ preempt ─▶ Plan

1. A plan is a value: what to change, each change with its reason; what is wrong (alarms); who found
   no machine, and why, machine by machine.
2. With ``touched`` only the units and machines named there are looked at, those that hang on them,
   and whoever waits when room was made. So a round costs what changed, not what there is. A plan
   with ``touched`` leads to the same end as one without; a test holds that.
3. One change for a unit and machine in a round. What follows from it, the next round sees: a unit
   is moved only after its machine said that it stopped.
4. Same input, same plan, in whatever order the world's records came.
5. A round is bounded (``Policy.most``); ``more`` says that it stopped early.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from fleetish.changes import Assign, Change, Move, Refresh, Release, Unassign
from fleetish.engine.constraints import first_no, rank
from fleetish.engine.draft import Draft
from fleetish.engine.losses import Losses, registered
from fleetish.engine.place import Home, Placer, Unplaced, Wish
from fleetish.engine.policy import DEFAULT, Policy
from fleetish.engine.preempt import preempt
from fleetish.engine.roster import NOBODY, Roster
from fleetish.engine.vacate import NO_HOLDS, Holds, Vacating
from fleetish.model import Unit
from fleetish.world import Touched, World

Step = Assign | Move | Refresh | Release | Unassign
NOBODY_LOST: Mapping[str, float] = MappingProxyType({})


class Plan(NamedTuple):
    """What one round decided. ``wake``: when (monotonic seconds) time alone changes the plan."""

    changes: tuple[Change, ...]
    alarms: tuple[str, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    wake: float | None = None
    more: bool = False


class Scope(NamedTuple):
    """What is looked at: ``units`` wherever they are, ``machines`` for global units; ``waiting``:
    also every unit that has no machine."""

    units: frozenset[str]
    machines: frozenset[str]
    waiting: bool


def plan(
    world: World,
    now: float,
    policy: Policy = DEFAULT,
    lost_since: Mapping[str, float] = NOBODY_LOST,
    touched: Touched | None = None,
    roster: Roster | None = None,
    holds: Holds = NO_HOLDS,
) -> Plan:
    """What to change so that every unit is where it should be.

    ``now`` and the values of ``lost_since`` are monotonic seconds; ``lost_since`` names the
    machines whose key is absent and since when that is known. ``touched`` None looks at everything.
    ``roster`` must follow ``world``; without one it is made. ``holds``: units that are to be left
    as they are on a machine, by a rolling update.
    """
    roster = Roster.of(world) if roster is None else roster
    draft = Draft(world, roster)
    losses = Losses.of(world, now, lost_since, policy)
    scope = _scope(world, roster, losses, touched)
    vacating = Vacating(draft, losses, holds)
    cut = _vacate(vacating, scope.units, policy.most)
    if vacating.freed:
        cut = _vacate(vacating, _hoping(roster, losses) - scope.units, policy.most) or cut
    changes = vacating.changes
    cut = _everywhere(draft, scope, vacating.freed, changes, policy.most) or cut
    room = max(0, policy.most - len(changes))
    placer = Placer(draft, [*vacating.wishes, *_waiting(world, roster, scope, vacating)], room)
    placer.serve()
    changes += _given_up(vacating.wishes, placer, world)
    changes += [_placed(home) for home in placer.homes]
    busy = frozenset(change.unit for change in changes)
    changes += preempt(draft, _urgent(placer, draft), busy, max(0, policy.most - len(changes)))
    alarms = (losses.alarm,) if losses.alarm else ()
    unplaced = tuple(placer.unplaced[name] for name in sorted(placer.unplaced))
    return Plan(
        tuple(_in_order(changes, world)), alarms, unplaced, losses.wake(), cut or placer.more
    )


def _scope(world: World, roster: Roster, losses: Losses, touched: Touched | None) -> Scope:
    if touched is None or touched.everything:
        return Scope(frozenset(roster.entries), frozenset(world.machines), waiting=True)
    units = set(touched.units)
    for name in touched.units:
        units |= _near(world, roster, name)
    if roster.spread:
        units |= roster.spread_with(touched.units, set(_hoping(roster, losses)))
    for machine in touched.machines:
        units |= world.assignments(machine).keys()
    if touched.machines:
        units |= _hoping(roster, losses)
    return Scope(frozenset(units), frozenset(touched.machines), waiting=bool(touched.machines))


def _near(world: World, roster: Roster, name: str) -> set[str]:
    """The units whose place hangs on this unit's."""
    entry = roster.entries.get(name, NOBODY)
    found = roster.followers_of(name)
    if entry.picky:
        for machine in entry.on:
            found |= world.assignments(machine).keys()
    return found


def _hoping(roster: Roster, losses: Losses) -> frozenset[str]:
    """The units that would leave where they are if only there were room elsewhere."""
    stranded = (losses.world.assignments(machine) for machine in losses.since)
    return frozenset(roster.failing).union(*stranded)


def _vacate(vacating: Vacating, units: Iterable[str], most: int) -> bool:
    """Look at where these units are, who ranks first first; True when it stopped early."""
    draft = vacating.draft
    rows = [
        (rank(name, draft.asked(name, machine)), machine)
        for name in units
        for machine in draft.roster.homes(name)
    ]
    for (_, _, name), machine in sorted(rows):
        if len(vacating.changes) >= most:
            return True
        vacating.look(name, machine)
    return False


def _everywhere(
    draft: Draft, scope: Scope, freed: set[str], changes: list[Step], most: int
) -> bool:
    """Global units onto every machine that takes them; True when it stopped early."""
    world = draft.world
    some = sorted(m for m in scope.machines | freed if m in world.machines)
    units = [world.units[name] for name in draft.roster.everywhere]
    for unit in sorted(units, key=lambda one: rank(one.name, one.requirements)):
        machines = sorted(world.machines) if unit.name in scope.units else some
        for machine in machines:
            if not _may_join(draft, unit.name, machine):
                continue
            room = draft.room(machine)
            granted = room.grant(unit.requirements.ports)
            if isinstance(granted, str) or first_no(room, unit, draft)[0]:
                continue
            if len(changes) >= most:
                return True
            draft.add(unit.name, machine, unit.requirements, granted)
            reason = "it is global and fits here"
            changes.append(Assign(unit.name, machine, granted, reason))
    return False


def _may_join(draft: Draft, unit: str, machine: str) -> bool:
    """False when the unit is there, is still stopping there, or nobody can tell."""
    world = draft.world
    held = world.assignment(unit, machine) is not None
    unclear = ("assigned", machine, unit) in world.quarantined or unit in world.placements
    return not (held or unclear or ("placement", unit) in world.quarantined)


def _waiting(world: World, roster: Roster, scope: Scope, vacating: Vacating) -> Iterable[Wish]:
    """The units without a machine that are worth a try in this round."""
    moving = {wish.unit.name for wish in vacating.wishes}
    if scope.waiting or vacating.freed:
        names = set(roster.wanting)
    else:
        near = roster.spread_with(scope.units | moving, roster.wanting)
        near |= (scope.units | moving) & roster.wanting.union(moving)
        names = _tied(roster, near)
    return [Wish(world.units[name]) for name in sorted(names & roster.wanting)]


def _tied(roster: Roster, names: Iterable[str]) -> set[str]:
    """The names, and all that want a machine and are tied to them as followers or peers."""
    seen = set(names)
    todo = list(seen)
    while todo:
        name = todo.pop()
        near = roster.followers_of(name)
        for word in roster.entries.get(name, NOBODY).peers:
            near.update(roster.meant(word))
        fresh = (near & roster.wanting) - seen
        seen |= fresh
        todo.extend(fresh)
    return seen


def _urgent(placer: Placer, draft: Draft) -> list[Unit]:
    """The units that found no machine and have more priority than some other, in order."""
    if not placer.unplaced or len(draft.roster.priorities) < 2:
        return []
    least = min(draft.roster.priorities)
    units = [draft.world.units[name] for name in placer.unplaced]
    urgent = [unit for unit in units if unit.requirements.priority > least]
    return sorted(urgent, key=lambda unit: rank(unit.name, unit.requirements))


def _placed(home: Home) -> Step:
    """The change that brings a unit to the machine it got."""
    wish, unit = home.wish, home.wish.unit.name
    if not wish.source:
        return Assign(unit, home.machine, home.ports, home.reason)
    if wish.source == home.machine:
        return Unassign(unit, wish.source, "it has stopped, and may be placed here again")
    return Move(unit, wish.source, home.machine, home.ports, home.reason)


def _in_order(changes: list[Step], world: World) -> list[Step]:
    """Whoever makes room before whoever may need it: a commit may end after any change.

    Only moves that go round in a circle cannot be ordered; they start with the first.
    """
    moves = [one for one in changes if isinstance(one, Move)]
    ordered: list[Step] = []
    while moves:
        leaving = Counter(move.source for move in moves)
        free = [move for move in moves if not leaving[move.machine]] or moves[:1]
        ordered += free
        moves = [move for move in moves if move not in free]
    kinds: dict[int, list[Step]] = {2: ordered}
    for one in changes:
        if not isinstance(one, Move):
            kinds.setdefault(_turn(one, world), []).append(one)
    return [one for turn in sorted(kinds) for one in kinds[turn]]


def _turn(change: Step, world: World) -> int:
    """0 for what makes room, 4 for what needs it; moves, in between, have turn 2."""
    match change:
        case Refresh(name, machine):
            before, after = world.assigned[machine][name].requirements, world.units[name]
            return 1 if after.requirements.resources.fits(before.resources) else 3
        case Assign():
            return 4
    return 0


def _given_up(wishes: Iterable[Wish], placer: Placer, world: World) -> list[Step]:
    """A unit that stopped on a live machine and has nowhere to go gives its room free. One on a
    lost machine stays placed: if the machine returns, the unit has never been away."""
    return [
        Unassign(wish.unit.name, wish.source, "it has stopped, and no machine takes it now")
        for wish in wishes
        if wish.unit.name in placer.unplaced and registered(world, wish.source)
    ]
