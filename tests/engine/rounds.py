"""Three machines, and rounds of planning until nothing changes."""

from __future__ import annotations

from fleetish.changes import Change
from fleetish.engine.plan import plan
from fleetish.testing.build import answer, apply, machine
from fleetish.world import World

NOW = 1000.0
LONG_AGO = {"a": 0.0}
A, B, C = machine("a"), machine("b"), machine("c")


def homes(known: World) -> dict[str, str]:
    return {name: one.machine for name, one in sorted(known.placements.items())}


def settled(known: World, lost: dict[str, float] | None = None) -> list[Change]:
    """Plan, apply and let the machines answer until nothing changes; all changes in order."""
    done: list[Change] = []
    for _ in range(20):
        changes = plan(known, NOW, lost_since=lost or {}).changes
        if not changes:
            return done
        done += changes
        apply(known, changes)
        answer(known)
    raise AssertionError(done)
