"""When a wish has come true, and what is said while it has not: pure."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleetish.api.diff import Seen
from fleetish.api.views import DONE, Standing, problem, standing, state_view, unit_view, waiting
from fleetish.model import Assignment, CheckState, Machine, Placement, Target, Unit, UnitState
from fleetish.units.health import HealthCheck, OnUnhealthy, Readiness
from fleetish.units.xfleet import Requirements
from fleetish.wire import CheckView
from fleetish.world import Revision, Touched, World

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


CHECKED = Requirements(health=(HealthCheck(port=80),), readiness=Readiness(port=80))
GOOD = CheckState(alive=True, first_success=5.0)
BAD = CheckState(alive=False, failures=3, cause="HTTP status 500")


@pytest.mark.parametrize(
    ("row", "ready", "says"),
    [
        (CheckState(), True, waiting("to become healthy on node1")),
        (
            CheckState(alive=False, failures=1, cause="HTTP status 500"),
            True,
            waiting("to become healthy on node1 (HTTP status 500)"),
        ),
        (BAD, True, problem("unhealthy on node1 (HTTP status 500)")),
        (GOOD, False, waiting("to become ready on node1")),
        (GOOD, True, DONE),
    ],
)
def test_what_has_checks_is_to_become_healthy_and_ready(
    row: CheckState, ready: bool, says: Standing
) -> None:
    wish = unit(requirements=CHECKED)
    found = world(wish, *placed(), state("active", "running", health=(row,), ready=ready))
    assert standing(found, wish, (ON,)) == says


def test_a_unit_that_its_machine_kills_when_unhealthy_is_no_problem_yet() -> None:
    wish = unit(requirements=Requirements(health=CHECKED.health, on_unhealthy=OnUnhealthy.RESTART))
    found = world(wish, *placed(), state("active", "running", health=(BAD,)))
    expected = waiting("to be killed: it is unhealthy on node1 (HTTP status 500)")
    assert standing(found, wish, (ON,)) == expected


def test_the_health_of_a_unit_is_shown_unless_its_machine_is_lost() -> None:
    placement, held = placed()
    held = msgspec.structs.replace(held, requirements=CHECKED)
    there = state("active", "running", health=(BAD,), ready=True)
    view = state_view(world(unit(), placement, held, there), there)
    assert (view.health, view.ready, view.checks) == (
        "unhealthy",
        True,
        (
            CheckView(
                check="http port=80",
                health="unhealthy",
                alive=False,
                failures=3,
                cause="HTTP status 500",
            ),
        ),
    )
    lost = state_view(world(unit(), placement, held, there, lost=True), there)
    assert (lost.health, lost.ready) == ("", False)


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


def by_socket(of_socket: Target) -> World:
    """A unit that nobody wants, running on the machine of a socket that activates it."""
    asked = Requirements(triggers=("a.service",))
    socket = Unit(name="a.socket", hash="h", target=of_socket, requirements=asked)
    placement, held = placed()
    ready = msgspec.structs.replace(held, target=Target.LOADED)
    there = Assignment(unit="a.socket", machine=ON, hash="h", target=of_socket, requirements=asked)
    running = state("active", "running")
    return world(unit(Target.INACTIVE), placement, ready, socket, there, running)


def test_a_unit_that_is_kept_ready_may_run_while_what_activates_it_does() -> None:
    found, wish = by_socket(Target.LAUNCHED), unit(Target.INACTIVE)
    assert standing(found, wish, (ON,)) == DONE
    view = unit_view(found, wish, (ON,))
    assert (view.target, view.current, view.reason) == (
        "inactive",
        "loaded",
        "kept ready for a.socket; ",
    )
    assert standing(by_socket(Target.LOADED), wish, (ON,)) == waiting("to stop on node1 (running)")


def test_what_is_done_with_the_socket_is_told_of_the_service() -> None:
    found, seen = by_socket(Target.LAUNCHED), Seen()
    seen.look(found, Touched(everything=True))
    found.drop(("units", "a.socket"))
    (event,) = seen.look(found, Touched({"a.service"}))
    assert (event.unit, event.what) == ("a.service", "changed")
    assert event.view is not None
    assert event.view.waiting == "to leave node1"


@pytest.mark.parametrize(
    ("of_main", "of_sidekick"),
    [
        (Requirements(pulls=("a.service",)), Requirements()),
        (Requirements(), Requirements(wanted_by=("main.service",))),
        (Requirements(), Requirements(required_by=("main.service",))),
    ],
)
def test_a_loaded_sidekick_may_run_while_its_main_unit_is_launched(
    of_main: Requirements, of_sidekick: Requirements
) -> None:
    wish = unit(Target.LOADED, requirements=of_sidekick)
    placement, held = placed()
    held = msgspec.structs.replace(held, target=Target.LOADED, requirements=of_sidekick)
    main = Assignment(
        unit="main.service", machine=ON, hash="h", target=Target.LAUNCHED, requirements=of_main
    )
    found = world(wish, placement, held, main, state("active", "running"))
    assert standing(found, wish, (ON,)) == DONE
    found.drop(("assigned", ON, "main.service"))
    assert standing(found, wish, (ON,)) == waiting("to stop on node1 (running)")
