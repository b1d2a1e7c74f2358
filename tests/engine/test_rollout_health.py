"""Rolling updates of units that have checks: the next one waits until this one is healthy."""

from __future__ import annotations

from fleetish.changes import ReplaceUnit
from fleetish.engine.rolling import step
from fleetish.engine.rollout import Stage, Standing, standings
from fleetish.model import CheckState, UnitState
from fleetish.testing.build import machine, placed, put, unit, world
from fleetish.units.health import HealthCheck, Readiness
from fleetish.units.xfleet import Requirements
from fleetish.world import World
from tests.engine.test_rollout import rollout

ONE, TWO = "web@1.service", "web@2.service"
CHECKED = Requirements(health=(HealthCheck(port=80),), readiness=Readiness(port=80))
ORDER = rollout(ONE, TWO, before=CHECKED)

GOOD = CheckState(alive=True, first_success=5.0)
BAD = CheckState(alive=False, failures=3, cause="HTTP status 500")


def cluster(*texts: str) -> World:
    """Two units that run on two machines, each with its text, healthy and ready."""
    units = [
        unit(name, digest=text, health=CHECKED.health, readiness=CHECKED.readiness)
        for name, text in zip((ONE, TWO), texts, strict=True)
    ]
    known = world(machine("a"), machine("b"), *map(placed, units, "ab"))
    for name, on, text in zip((ONE, TWO), "ab", texts, strict=True):
        tell(known, name, on, text, GOOD)
    return known


def tell(
    known: World, name: str, on: str, text: str, row: CheckState, *, ready: bool = True
) -> None:
    put(
        known,
        UnitState(
            unit=name,
            machine=on,
            hash=text,
            active="active",
            launch=1,
            seen=1,
            invocation=text,
            health=(row,),
            ready=ready,
        ),
    )


def stands(known: World) -> list[Standing]:
    return list(standings(known, ORDER, {}, 0.0))


def next_units(known: World) -> list[str]:
    """The units that get their text in the next step."""
    found = step(known, ORDER, {}, 0.0, 1000.0)
    return [one.unit.name for one in found.changes if isinstance(one, ReplaceUnit)]


def test_the_next_unit_waits_until_the_first_is_healthy_and_ready() -> None:
    known = cluster("new", "old")
    assert next_units(known) == [TWO]
    tell(known, ONE, "a", "new", CheckState())
    assert not stands(known)[0].up
    assert next_units(known) == []
    tell(known, ONE, "a", "new", GOOD, ready=False)
    assert next_units(known) == []
    tell(known, ONE, "a", "new", GOOD)
    assert next_units(known) == [TWO]


def test_an_unhealthy_unit_with_the_new_text_has_failed() -> None:
    known = cluster("new", "old")
    tell(known, ONE, "a", "new", BAD)
    assert stands(known)[0].failed == "is unhealthy (HTTP status 500) on a"
    (ended,) = step(known, ORDER, {}, 0.0, 1000.0).changes
    assert f"is {Stage.STOPPED}: {ONE} is unhealthy" in ended.reason


def test_an_unhealthy_unit_with_the_old_text_is_down_and_replaced_first() -> None:
    known = cluster("old", "old")
    tell(known, TWO, "b", "old", BAD)
    assert [one.up for one in stands(known)] == [True, False]
    assert next_units(known) == [TWO]
