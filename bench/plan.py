"""How long the planner takes: pure, in this process, on worlds from 100 to 10,000 units.

``python -m bench.plan`` prints the table. Four rounds are timed in each world: placing everything
at once; a full look at what is settled; one more unit in a settled cluster, by what was touched;
and units that fit nowhere, as many as there are others.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.results import Figure
from fleetish.engine.plan import Plan, plan
from fleetish.engine.policy import Policy
from fleetish.engine.roster import Roster
from fleetish.resources import MIB, Resources
from fleetish.testing.build import answer, apply, machine, put, unit, world
from fleetish.world import World

SIZES = ((100, 3), (1_000, 3), (1_000, 100), (10_000, 100), (10_000, 1_000))
UNBOUND = Policy(most=1_000_000)


@dataclass(frozen=True)
class Row:
    """Milliseconds of the four rounds in one world."""

    units: int
    machines: int
    place: float
    settled: float
    one: float
    hopeless: float


def build(units: int, machines: int) -> World:
    """A cluster with room for all: half the units are instances of ten templates."""
    room = Resources(millicpus=64_000 * max(1, units // machines // 100), memory=1024 * 1024 * MIB)
    known = world(*(machine(f"m{n:04}", room) for n in range(machines)))
    for n in range(units):
        name = f"app{n % 10}@{n}.service" if n % 2 else f"unit{n}.service"
        put(known, unit(name, cpus=0.1 * (n % 5), memory=64))
    return known


def timed(work: Callable[[], Plan]) -> tuple[float, Plan]:
    """Milliseconds, and what came of it."""
    begin = time.perf_counter()
    done = work()
    return (time.perf_counter() - begin) * 1000, done


def measure(units: int, machines: int) -> Row:
    """The four rounds in one world."""
    known = build(units, machines)
    place, first = timed(lambda: plan(known, 0.0, UNBOUND))
    assert len(first.changes) == units
    apply(known, first.changes)
    answer(known)
    settled, second = timed(lambda: plan(known, 0.0, UNBOUND))
    assert second.changes == ()
    one = min(_one_more(known, Roster.of(known), n) for n in range(5))
    for n in range(units):
        put(known, unit(f"big{n % 10}@{n}.service", cpus=100_000 + n % 7))
    hopeless, last = timed(lambda: plan(known, 0.0, UNBOUND))
    assert len(last.unplaced) == units
    return Row(units, machines, place, settled, one, hopeless)


def _one_more(known: World, roster: Roster, number: int) -> float:
    """One unit is created in a settled cluster, and is placed."""
    touched = put(known, unit(f"late{number}.service", cpus=0.1))

    def round_() -> Plan:
        roster.update(known, touched.units)
        return plan(known, 0.0, UNBOUND, touched=touched, roster=roster)

    took, decided = timed(round_)
    assert len(decided.changes) == 1
    apply(known, decided.changes)
    return took


def figures() -> list[Figure]:
    """The table's figures for the page of results."""
    found = []
    for row in (measure(*size) for size in SIZES):
        size = f"{row.units:,} units on {row.machines:,} machines"
        found += [
            Figure(f"plan: place {size}", row.place, "ms"),
            Figure(f"plan: look at all of {size}, settled", row.settled, "ms"),
            Figure(f"plan: one more unit beside {size}", row.one, "ms"),
            Figure(f"plan: as many that fit nowhere beside {size}", row.hopeless, "ms"),
        ]
    return found


def main() -> int:
    """Print the table."""
    print(
        f"{'units':>7} {'machines':>8} {'place':>9} {'settled':>9} {'one':>9} {'hopeless':>9}  ms"
    )
    for row in (measure(*size) for size in SIZES):
        print(
            f"{row.units:>7} {row.machines:>8} {row.place:>9.1f} {row.settled:>9.1f} "
            f"{row.one:>9.2f} {row.hopeless:>9.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
