"""Which instances go first, and the writes that kill or start one again; pure.

Those that somebody chose go first. Then, of the groups that GROUP_BY keeps even, the largest gives;
of these those that are least of use (:data:`WORTH`), then the youngest or the oldest as the app
says. A unit that is killed is destroyed: its engine releases it and its agent stops it in the time
that it has for that. Its document stays until it is off its machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from fleetish.changes import Change, DestroyUnit, SetTarget
from fleetish.model import Target
from fleetish.world import World
from marathon_compat.apps import records
from marathon_compat.apps.app import App
from marathon_compat.apps.instances import Condition, Member, is_resident, look
from marathon_compat.apps.records import Instance
from marathon_compat.apps.tree import Tree, put

_replace = msgspec.structs.replace

#: Conditions by how soon an instance in it is given up.
WORTH = (
    Condition.KILLED,
    Condition.FAILED,
    Condition.ERROR,
    Condition.FINISHED,
    Condition.UNREACHABLE,
    Condition.SCHEDULED,
    Condition.STAGING,
    Condition.STARTING,
    Condition.RUNNING,
    Condition.KILLING,
)

_PLACE = {condition: place for place, condition in enumerate(WORTH)}

Field = Callable[[Member], str]


def select(
    members: Sequence[Member],
    count: int,
    app: App,
    world: World,
    chosen: Collection[str] = (),
) -> list[Member]:
    """So many of an app's instances to be killed, in order."""
    fields = [_field(world, row[0]) for row in app.constraints if row[1] == "GROUP_BY"]
    picked = [one for one in members if one.name in chosen][: max(0, count)]
    left = sorted(
        (one for one in members if one.name not in chosen), key=lambda one: _order(one, app)
    )
    while len(picked) < count and left:
        one = _fullest(left, fields)
        left.remove(one)
        picked.append(one)
    return picked


def _order(one: Member, app: App) -> tuple[int, bool, float, str]:
    age = one.instance.staged
    young = app.kill_selection == "YOUNGEST_FIRST"
    return (_PLACE[one.condition], one.settled, -age if young else age, one.name)


def _fullest(left: Sequence[Member], fields: Iterable[Field]) -> Member:
    """The first in order that is in the largest group by each constraint in turn."""
    candidates = list(left)
    for field in fields:
        sizes = Counter(field(one) for one in left)
        most = max(sizes[field(one)] for one in candidates)
        candidates = [one for one in candidates if sizes[field(one)] == most]
    return candidates[0]


def _field(world: World, name: str) -> Field:
    """What a constraint's field is on the machine of an instance; "" where it is not known."""

    def value(one: Member) -> str:
        known = world.machines.get(one.machine)
        if name in ("hostname", "@hostname"):
            return known.host if known else one.machine
        return world.metadata(one.machine).get(name.removeprefix("@"), "")

    return value


def destroy(world: World, instance: Instance, reason: str) -> list[Change]:
    """Kill an instance. The document is written first: without it nobody would know the unit."""
    gone = _replace(instance, leaving=reason, parked=False)
    leaving = put(records.INSTANCE, instance.unit, gone, reason)
    if instance.unit not in world.units:
        return [leaving]
    return [leaving, DestroyUnit(instance.unit, reason)]


def relaunch(world: World, instance: Instance, now: float, reason: str) -> list[Change]:
    """Start an instance once more where it is."""
    unit = world.units[instance.unit]
    again = put(records.INSTANCE, instance.unit, _replace(instance, staged=now), reason)
    return [again, SetTarget(unit.name, Target.LAUNCHED, unit.launch + 1, reason)]


def park(member: Member, reason: str) -> list[Change]:
    """Stop an instance where it is: its unit stays there, and so does its data."""
    parked = _replace(member.instance, leaving=reason, parked=True)
    stays = put(records.INSTANCE, member.name, parked, reason)
    return [stays, SetTarget(member.name, Target.LOADED, member.launch, reason)]


def kill(
    tree: Tree, world: World, units: Iterable[str], now: float, *, wipe: bool = False
) -> tuple[Change, ...]:
    """Kill instances; their apps start others. One that keeps data is started again where it is,
    unless its data is to be forgotten (``wipe``). Unknown units are left out."""
    found: list[Change] = []
    for name in dict.fromkeys(units):
        instance = tree.instances.get(name)
        if instance is None or (instance.leaving and not (wipe and instance.parked)):
            continue
        app = tree.apps.get(instance.app)
        member = look(world, instance)
        if not wipe and app is not None and is_resident(app) and member.unit is not None:
            found += relaunch(world, instance, now, "killed on request")
        else:
            found += destroy(world, instance, "killed on request")
    return tuple(found)
