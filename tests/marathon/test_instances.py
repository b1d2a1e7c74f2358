"""From a unit and what systemd says of it to a task's state."""

from __future__ import annotations

from typing import Any

import pytest

from fleetish.model import CheckState, UnitState
from fleetish.testing import build
from fleetish.units.health import HealthCheck, Readiness
from fleetish.world import World
from marathon_compat.apps.app import App
from marathon_compat.apps.instances import Condition, Member, look, task_id, why
from marathon_compat.apps.records import Instance

NAME = "marathon_a_b@00000000-0000-4000-8000-000000000001.service"
HELD = Instance(unit=NAME, app="/a/b", version="v1", config="v1")


def world(launch: int = 2, there: bool = True, **asks: Any) -> World:
    unit = build.unit(NAME, launch=launch, **asks)
    machines = (build.machine("m1"),) if there else ()
    return build.world(*machines, build.placed(unit, "m1"))


def said(known: World, **fields: Any) -> Member:
    given: dict[str, Any] = {"hash": "h", "launch": 2, "seen": 1, **fields}
    build.put(known, UnitState(unit=NAME, machine="m1", **given))
    return look(known, HELD)


@pytest.mark.parametrize(
    ("fields", "condition", "message"),
    [
        ({"active": "active"}, Condition.RUNNING, ""),
        ({"active": "activating"}, Condition.STARTING, ""),
        ({"active": "active", "launch": 1}, Condition.STAGING, ""),
        ({"active": "active", "hash": "old"}, Condition.STAGING, ""),
        ({"active": "inactive"}, Condition.STAGING, ""),
        ({"error": "no such image"}, Condition.ERROR, "no such image"),
        ({"error": "an old one", "seen": 0}, Condition.STAGING, ""),
        ({"error": "cannot fetch x", "active": "failed"}, Condition.FAILED, "cannot fetch x"),
        (
            {"active": "failed", "result": "exit-code", "exit_code": "exited", "exit_status": 3},
            Condition.FAILED,
            "Command exited with status 3 (exit-code)",
        ),
        (
            {"active": "failed", "result": "signal", "exit_code": "killed", "exit_status": 9},
            Condition.FAILED,
            "Command terminated with signal 9 (signal)",
        ),
        (
            {"active": "failed", "result": "oom-kill", "exit_code": "killed", "exit_status": 9},
            Condition.FAILED,
            "Memory limit exceeded: the kernel killed it (oom-kill)",
        ),
        (
            {"active": "failed", "result": "signal"},
            Condition.FAILED,
            "Command was not started: what comes before it failed (signal)",
        ),
        (
            {"active": "inactive", "result": "success", "exit_code": "exited"},
            Condition.FINISHED,
            "Command exited with status 0",
        ),
    ],
)
def test_what_systemd_says_is_a_state(
    fields: dict[str, Any], condition: Condition, message: str
) -> None:
    member = said(world(), **fields)
    assert (member.condition, member.message) == (condition, message)
    assert member.task_state == f"TASK_{condition}"


def test_a_user_that_a_machine_lacks_is_named() -> None:
    ended = {"result": "exit-code", "exit_code": "exited", "exit_status": 217}
    member = said(world(), active="failed", **ended)
    assert why(member, App(id="/a", cmd="x", user="bad")) == "No such user 'bad'"
    assert why(member, App(id="/a", cmd="x")) == "Command exited with status 217 (exit-code)"


def test_a_unit_without_a_machine_has_no_task_yet() -> None:
    member = look(build.world(build.unit(NAME)), HELD)
    assert (member.condition, member.task_state) == (Condition.SCHEDULED, "")


def test_a_unit_on_a_machine_that_is_not_there_is_unreachable() -> None:
    known = world(there=False)
    assert said(known, active="active").condition is Condition.UNREACHABLE


def test_a_killed_unit_is_killing_until_it_is_off_its_machine() -> None:
    known = world()
    build.drop(known, "units", NAME)
    assert look(known, HELD).condition is Condition.KILLING
    build.drop(known, "placement", NAME)
    assert look(known, HELD).condition is Condition.KILLING
    build.drop(known, "assigned", "m1", NAME)
    assert look(known, HELD).condition is Condition.KILLED


@pytest.mark.parametrize(
    ("rows", "healthy", "fit"),
    [
        ((), None, False),
        ((None,), None, False),
        ((True,), True, True),
        ((True, None), None, False),
        ((True, False), False, False),
    ],
)
def test_it_is_healthy_when_every_check_says_so(
    rows: tuple[bool | None, ...], healthy: bool | None, fit: bool
) -> None:
    known = world(health=(HealthCheck(port=80),))
    member = said(known, active="active", health=tuple(CheckState(alive=row) for row in rows))
    assert (member.healthy, member.fit) == (healthy, fit)


def test_without_checks_running_is_enough() -> None:
    member = said(world(), active="active")
    assert (member.healthy, member.settled) == (None, True)


def test_a_readiness_check_must_have_succeeded_once() -> None:
    known = world(readiness=Readiness(port=80))
    assert not said(known, active="active").settled
    assert said(known, active="active", ready=True).settled


def test_a_task_is_the_run_of_an_instance() -> None:
    assert task_id(said(world(launch=7), launch=7)) == (
        "a_b.instance-00000000-0000-4000-8000-000000000001._app.7"
    )
