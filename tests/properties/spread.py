"""``Constraint=``, judged by how it is told, not by how the planner counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from fleetish.changes import Assign, Move
from fleetish.units.constraint import Constraint, Operator
from fleetish.world import World

Held = dict[str, set[str]]


def judge_spread(known: World, change: Assign | Move, before: Held) -> None:
    """No constraint of the unit speaks against its new machine. ``before``: who was where."""
    for one in known.units[change.unit].requirements.constraints:
        value = value_of(known, one, change.machine)
        if value is None:
            assert one.operator is Operator.UNLIKE, f"{change}: there is no {one.field}"
            continue
        stayed, fresh = kin(known, change.unit, before)
        others = Counter(v for m in stayed if (v := value_of(known, one, m)) is not None)
        assert _holds(one, value, others, alone=not fresh), f"{change}: {one} beside {others}"


def value_of(known: World, one: Constraint, machine: str) -> str | None:
    if machine not in known.machines:
        return None
    if one.field == "hostname":
        return known.machines[machine].host
    return known.machines[machine].metadata.get(one.field)


def kin(known: World, unit: str, before: Held) -> tuple[list[str], list[str]]:
    """Where the others of the family stayed, and where others came or left in this round."""
    stayed, fresh = [], []
    for machine in known.assigned.keys() | before.keys():
        now = family_of(unit, known.assignments(machine)) - {unit}
        then = family_of(unit, before.get(machine, ())) - {unit}
        stayed += [machine] * len(now & then)
        fresh += [machine] * len(now ^ then)
    return stayed, fresh


def family_of(unit: str, names: Iterable[str]) -> set[str]:
    stem = unit.split("@")[0]
    return {name for name in names if name == unit or (name.split("@")[0] == stem and "@" in unit)}


def _holds(one: Constraint, value: str, others: Counter[str], *, alone: bool) -> bool:
    """``alone``: nobody else of the family moved in this round, so nothing hangs on the order."""
    match one.operator:
        case Operator.UNIQUE:
            return not others[value]
        case Operator.MAX_PER:
            return others[value] < int(one.value)
        case Operator.CLUSTER if not one.value:
            return len(others) != 1 or value in others
        case Operator.IS | Operator.CLUSTER:
            return value == one.value
        case Operator.LIKE | Operator.UNLIKE:
            return bool(re.fullmatch(one.value, value)) is (one.operator is Operator.LIKE)
        case Operator.GROUP_BY:
            if not alone or not others[value]:
                return True
            return len(others) >= int(one.value or 1) and others[value] == min(others.values())
    raise AssertionError(one)
