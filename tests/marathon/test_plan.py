"""What is written in one look, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from fleetish.changes import CreateUnit, PutDocument
from fleetish.errors import BadUnit
from fleetish.testing import build
from fleetish.world import Touched
from marathon_compat.apps import decisions, plan, records
from marathon_compat.apps.app import App
from marathon_compat.apps.edits import set_apps
from marathon_compat.apps.plan import Plan, Planner
from marathon_compat.apps.tree import put
from tests.marathon.field import app, plain_text
from tests.marathon.written import Written

ALL = Touched(everything=True)


def uuids() -> Iterator[str]:
    return (f"00000000-0000-4000-8000-{number:012x}" for number in count())


def planner(text: object = plain_text) -> Planner:
    return Planner(text, uuids().__next__)  # type: ignore[arg-type]


def look(one: Planner, made: Written) -> Plan:
    one.note(made.world, ALL, made.now)
    found = one.look(made.world, made.now)
    made.write(found.changes)
    return found


def created(found: Plan) -> int:
    return sum(isinstance(change, CreateUnit) for change in found.changes)


def test_a_large_app_is_made_in_portions() -> None:
    made, one = Written(), planner()
    made.put(app("/big", instances=decisions.MOST + 200))
    assert [created(look(one, made)) for _ in range(3)] == [decisions.MOST, 200, 0]


def test_many_apps_are_made_in_portions_and_none_is_left_out() -> None:
    made, one = Written(), planner()
    asked = made.start(set_apps(made.tree, [app(f"/a{n}") for n in range(plan.MOST)]))
    rounds = 0
    while len(made.world.units) < plan.MOST:
        found = look(one, made)
        assert len(found.changes) < 2 * plan.MOST
        rounds += 1
        assert rounds < 20
    assert made.tree.deployments[asked.id].step == 1


def test_a_deployment_waits_for_apps_that_were_not_looked_at_yet() -> None:
    made, one = Written(build.machine("m1")), planner()
    made.put(app("/a", instances=0), app("/z", instances=0))
    look(one, made)
    made.start(set_apps(made.tree, [app("/a", instances=1), app("/z", instances=1)]))
    one.note(made.world, ALL, made.now)
    one._judge_due = lambda world, now: []  # type: ignore[method-assign]
    assert one.look(made.world, made.now).changes == ()


def test_what_cannot_be_a_unit_is_an_error_that_backs_off() -> None:
    def refuses(one: App, unit: str) -> str:
        raise BadUnit(f"cannot run {one.id}: no such thing here")

    made, one = Written(), planner(refuses)
    made.put(app("/a", backoff_seconds=3))
    found = look(one, made)
    assert [type(change) for change in found.changes] == [PutDocument]
    delay = made.tree.delays["/a"]
    assert delay.failure is not None
    assert (delay.failure.state, delay.seconds) == ("TASK_ERROR", 3.0)
    assert delay.failure.message == "cannot run /a: no such thing here"
    again = look(one, made)
    assert (again.changes, again.wake) == ((), made.now + 3)


def test_an_app_that_cannot_be_read_keeps_its_instances() -> None:
    made, one = Written(), planner()
    made.put(app("/a", instances=2))
    look(one, made)
    made.write([put(records.APP, "/a", {"id": 5}, "broken")])
    assert look(one, made).changes == ()
    assert len(made.world.units) == 2


def test_nothing_to_do_is_an_empty_plan_without_an_alarm() -> None:
    made, one = Written(), planner()
    made.put(app("/a"))
    look(one, made)
    assert look(one, made) == Plan()
