"""When a wish has come true, and what is said while it has not: pure."""

from __future__ import annotations

from typing import Any

import pytest

from fleetish.api.views import DONE, Standing, problem, standing, waiting
from fleetish.model import Assignment, Machine, Placement, Target, Unit, UnitState
from fleetish.units.xfleet import Requirements
from fleetish.world import Revision, World

ON = "m1"


def world(unit: Unit, *records: Any, lost: bool = False) -> World:
    found = World()
    machine = [] if lost else [Machine(id=ON, host="node1")]
    for number, record in enumerate([unit, *machine, *records], 1):
        found.put(record, Revision(number, number))
    return found


def unit(target: Target = Target.LAUNCHED, launch: int = 1, **more: Any) -> Unit:
    return Unit(name="a.service", hash="h", target=target, launch=launch, **more)


def placed(leaving: bool = False) -> tuple[Placement, Assignment]:
    return (
        Placement(unit="a.service", machine=ON, leaving=leaving),
        Assignment(unit="a.service", machine=ON, hash="h", target=Target.LAUNCHED, launch=1),
    )


def state(active: str, sub: str = "", **more: Any) -> UnitState:
    fields = {"hash": "h", "launch": 1, "load": "loaded", **more}
    return UnitState(unit="a.service", machine=ON, active=active, sub=sub, **fields)


@pytest.mark.parametrize(
    ("wish", "records", "says"),
    [
        (unit(), (), waiting("for a machine that fits")),
        (unit(), placed(), waiting("for node1 to take it in")),
        (unit(), (*placed(leaving=True),), waiting("to leave node1")),
        (unit(), (*placed(), state("active", "running")), DONE),
        (
            unit(),
            (*placed(), state("activating", "start")),
            waiting("to become active on node1 (start)"),
        ),
        (
            unit(launch=2),
            (*placed(), state("active", "running")),
            waiting("to be started on node1"),
        ),
        (
            unit(),
            (*placed(), state("active", "running", hash="old")),
            waiting("for node1 to take it in"),
        ),
        (
            unit(),
            (*placed(), state("failed", "failed", result="exit-code", exit_status=3)),
            problem("failed on node1: exit-code, exited with 3"),
        ),
        (
            unit(),
            (
                *placed(),
                state("failed", "failed", result="oom-kill", exit_code="killed", exit_status=9),
            ),
            problem("failed on node1: oom-kill, killed by signal 9"),
        ),
        (
            unit(requirements=Requirements(reschedule=True)),
            (*placed(), state("failed", "failed", result="exit-code", exit_status=3)),
            waiting("after it failed on node1: exit-code, exited with 3"),
        ),
        (unit(), (*placed(), state("inactive", "dead", result="success", invocation="i")), DONE),
        (
            unit(),
            (*placed(), state("inactive", "dead")),
            waiting("to become active on node1 (dead)"),
        ),
        (
            unit(),
            (*placed(), state("inactive", "dead", error="its name is taken")),
            problem("node1: its name is taken"),
        ),
        (unit(Target.LOADED), (*placed(), state("inactive", "dead")), DONE),
        (
            unit(Target.LOADED),
            (*placed(), state("deactivating", "stop")),
            waiting("to stop on node1 (stop)"),
        ),
        (unit(Target.INACTIVE), (), DONE),
        (unit(Target.INACTIVE), placed(), waiting("to leave node1")),
    ],
)
def test_a_wish_stands_as_its_records_say(
    wish: Unit, records: tuple[Any, ...], says: Standing
) -> None:
    found = world(wish, *records)
    assert standing(found, wish, (ON,) if len(records) > 1 else ()) == says


def test_a_unit_on_a_lost_machine_waits() -> None:
    found = world(unit(), *placed(), state("active"), lost=True)
    assert standing(found, unit(), (ON,)) == waiting("because m1 is lost")


def test_a_global_unit_stands_as_the_worst_of_its_machines() -> None:
    wish = unit(requirements=Requirements(global_=True))
    found = world(wish, placed()[1], state("active", "running"))
    assert standing(found, wish, (ON,)) == DONE
    found.put(Machine(id="m2", host="node2"), Revision(9, 9))
    assert standing(found, wish, (ON, "m2")) == waiting("for node2 to take it in")
    assert standing(found, wish, ()) == waiting("for a machine that fits")
