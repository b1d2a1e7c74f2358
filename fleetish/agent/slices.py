"""The slice of each app or template: what its cgroup gets from the units in it; pure.

    CPUWeight           100 for each core that the units ask for (CPUs=), 1…10000
    MemoryMax           the sum of the units' MemoryMax=, CPUQuota the sum of theirs, TasksMax too:
                        where every unit of the slice has that limit, else none
    IOWeight            the sum of the units' IOWeight=, where every unit has one, 1…10000

Units are capped by their own limits; their slice says so once more for all of them together, and
weighs the app against others. systemd.resource-control(5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fleetish.units.properties import Property

#: systemd's "no limit" and "not set" (UINT64_MAX).
INFINITY = 2**64 - 1

#: Where a unit's cap is found among its translated properties.
_MEMORY, _QUOTA, _TASKS, _IO = "MemoryMax", "CPUQuotaPerSecUSec", "TasksMax", "IOWeight"
_SUMS = (_MEMORY, _QUOTA, _TASKS)


class Caps(NamedTuple):
    """What one unit brings to its slice: thousandths of a core asked, and its limits by name."""

    millicpus: int
    limits: tuple[tuple[str, int], ...] = ()


def caps(millicpus: int, properties: Iterable[Property]) -> Caps:
    """A unit's caps, from its request and its translated properties."""
    limits = {
        one.name: one.value
        for one in properties
        if one.name in (*_SUMS, _IO) and isinstance(one.value, int) and one.value < INFINITY
    }
    return Caps(millicpus, tuple(sorted(limits.items())))


def weight(millicpus: int) -> int:
    """CPUWeight for a request: 100 a core, as an unweighted cgroup has; 100 when none is asked."""
    return min(max(millicpus // 10, 1), 10000) if millicpus else 100


def slice_properties(units: Iterable[Caps]) -> tuple[Property, ...]:
    """The properties of a slice with these units in it."""
    held = [(unit.millicpus, dict(unit.limits)) for unit in units]
    found = [Property("CPUWeight", "t", weight(sum(millicpus for millicpus, _ in held)))]
    for name in _SUMS:
        found.append(Property(name, "t", _total(name, [limits for _, limits in held])))
    shares = _total(_IO, [limits for _, limits in held])
    found.append(Property(_IO, "t", INFINITY if shares == INFINITY else min(shares, 10000)))
    return tuple(found)


def _total(name: str, held: list[dict[str, int]]) -> int:
    if not held or not all(name in limits for limits in held):
        return INFINITY
    return sum(limits[name] for limits in held)


#: What a slice has before anybody set anything; not worth a call.
PLAIN = slice_properties(())
