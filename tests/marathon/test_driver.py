"""The driver over a whole cluster on virtual time: what is asked for comes true and stays true."""

from __future__ import annotations

import pytest

from fleetish.changes import DestroyUnit
from marathon_compat.apps.app import UnreachableStrategy
from marathon_compat.apps.edits import kill_and_scale, remove_app, set_apps
from marathon_compat.apps.instances import Condition, task_id
from marathon_compat.apps.kills import kill
from tests.marathon.field import PING, Field, app, on_field


def test_an_app_that_is_created_runs_with_as_many_instances_as_asked() -> None:
    async def story(field: Field) -> None:
        asked = await field.put(app("/shop/web", instances=3))
        past = await field.ended(asked.id)
        assert past.outcome == "success"
        assert len(field.running("/shop/web")) == 3
        assert field.look().deployments == {}
        assert field.tree.apps["/shop/web"].version == asked.version
        assert field.tree.has_group("/shop")

    on_field(story)


def test_scaling_keeps_the_instances_that_stay() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=3))).id)
        three = set(field.running("/web"))
        await field.ended((await field.put(app("/web", instances=5))).id)
        five = set(field.running("/web"))
        assert three < five
        assert len(five) == 5
        await field.ended((await field.put(app("/web", instances=2))).id)
        assert len(field.running("/web")) == 2
        assert set(field.running("/web")) < three, "the youngest go first"

    on_field(story)


def test_a_removed_app_leaves_nothing_but_the_memory_of_it() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=2))).id)
        asked = await field.ask(lambda tree: remove_app(tree, "/web"))
        assert "/web" not in field.look().apps
        assert (await field.ended(asked.id)).outcome == "success"
        assert field.running("/web") == []
        tree = field.look()
        assert (tree.stored, tree.instances, tree.delays) == ({}, {}, {})
        assert field.world.units == {}

    on_field(story)


def test_a_change_that_changes_nothing_is_a_deployment_that_ends_at_once() -> None:
    async def story(field: Field) -> None:
        first = await field.put(app("/web"))
        await field.ended(first.id)
        again = await field.put(app("/web"))
        past = await field.ended(again.id)
        assert (past.outcome, past.steps, past.edit.after) == ("success", (), {})
        assert field.look().apps["/web"].version == first.version

    on_field(story)


def test_a_task_that_failed_is_started_again_where_it_is_when_its_back_off_is_over() -> None:
    async def story(field: Field) -> None:
        slow = app("/web", backoff_seconds=5, backoff_factor=2.0)
        await field.ended((await field.put(slow)).id)
        (unit,) = field.running("/web")
        begin = field.clock.monotonic()
        field.host_of(unit).end(unit, "failed")
        await field.until(lambda: field.running("/web") == [])
        await field.until(lambda: field.running("/web") == [unit])
        assert 5 <= field.clock.monotonic() - begin < 12
        await field.until(lambda: field.members("/web")[0].settled)
        (member,) = field.members("/web")
        assert task_id(member).endswith("._app.2")
        failure = field.look().delays["/web"].failure
        assert failure is not None
        assert (failure.state, failure.host) == ("TASK_FAILED", field.host_of(unit).machine.host)
        assert failure.message == "Command exited with status 1 (exit-code)"

    on_field(story)


def test_a_task_that_ended_well_is_started_again_but_is_no_failure() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web"))).id)
        (unit,) = field.running("/web")
        field.host_of(unit).end(unit, "inactive")
        await field.until(lambda: field.running("/web") == [])
        await field.until(lambda: field.running("/web") == [unit])
        assert field.look().delays["/web"].failure is None
        assert field.tree.delays["/web"].seconds == 1.0

    on_field(story)


def test_an_instance_that_keeps_failing_gives_its_place_to_another() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web"))).id)
        (unit,) = field.running("/web")
        for _ in range(3):
            await field.until(lambda: field.running("/web") == [unit])
            field.host_of(unit).end(unit, "failed")
            await field.until(lambda: field.running("/web") == [])
        await field.until(lambda: len(field.running("/web")) == 1)
        assert field.running("/web") != [unit]

    on_field(story)


def test_an_unhealthy_instance_is_killed_and_another_takes_its_place() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=2, health_checks=(PING,)))).id)
        unit = field.running("/web")[0]
        field.host_of(unit).sick.add(unit)
        await field.until(lambda: unit not in field.look().instances)
        await field.until(lambda: len([m for m in field.members("/web") if m.settled]) == 2)
        failure = field.look().delays["/web"].failure
        assert failure is not None
        assert failure.state == "TASK_KILLED"
        assert failure.message == "unhealthy: 9 HTTP health checks in a row failed"
        assert field.tree.delays["/web"].seconds == 0.0, "a kill is no reason to wait"

    on_field(story)


def test_instances_of_a_lost_machine_are_replaced_at_once() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=3))).id)
        unit = field.running("/web")[0]
        await field.host_of(unit).power_cut()
        await field.until(lambda: len(field.running("/web")) == 3, 30.0)
        await field.until(lambda: unit not in field.look().instances)

    on_field(story)


def test_a_patient_app_waits_for_its_machine() -> None:
    patient = UnreachableStrategy(inactive_after_seconds=60, expunge_after_seconds=120)

    async def story(field: Field) -> None:
        await field.ended(
            (await field.put(app("/web", instances=3, unreachable_strategy=patient))).id
        )
        unit = field.running("/web")[0]
        lost = field.host_of(unit)
        await lost.power_cut()
        await field.until(
            lambda: Condition.UNREACHABLE in [m.condition for m in field.members("/web")]
        )
        begin = field.clock.monotonic()
        await field.until(lambda: len(field.running("/web")) == 3)
        assert field.clock.monotonic() - begin > 55
        assert unit in field.look().instances
        await field.until(lambda: unit not in field.look().instances)
        assert field.clock.monotonic() - begin > 115

    on_field(story)


def test_a_machine_that_returns_in_time_gets_no_more_than_is_wanted() -> None:
    patient = UnreachableStrategy(inactive_after_seconds=20, expunge_after_seconds=500)

    async def story(field: Field) -> None:
        await field.ended(
            (await field.put(app("/web", instances=3, unreachable_strategy=patient))).id
        )
        unit = field.running("/web")[0]
        lost = field.host_of(unit)
        await lost.power_cut()
        await field.until(lambda: len(field.running("/web")) == 3)
        lost.boot()
        await field.until(lambda: len(field.look().units("/web")) == 3, 60.0)
        await field.until(lambda: len(field.running("/web")) == 3)

    on_field(story)


def test_nothing_is_replaced_while_most_machines_are_gone() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=5))).id)
        known = set(field.look().instances)
        for host in field.hosts[:3]:
            await host.power_cut()
        await field.pass_time(120)
        assert set(field.look().instances) == known
        for host in field.hosts[:3]:
            host.boot()
        await field.until(lambda: len(field.running("/web")) == 5)
        assert set(field.look().instances) == known

    on_field(story, hosts=5)


def test_a_machine_is_drained_without_fewer_instances_running() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=6))).id)
        watch = field.watch("/web")
        await field.drain(0)
        await field.until(lambda: not field.hosts[0].running)
        assert watch.low == 6
        assert len(field.running("/web")) == 6

    on_field(story)


def test_killed_instances_are_made_anew_unless_the_app_is_scaled_with_them() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=3))).id)
        first, second, third = field.running("/web")
        changes = kill(field.look(), field.world, [first, "no.service"], field.clock.now())
        await field.store.commit(changes, field.world)
        await field.until(lambda: first not in field.look().instances)
        await field.until(lambda: len(field.running("/web")) == 3)
        asked = await field.ask(lambda tree: kill_and_scale(tree, [second]))
        await field.ended(asked.id)
        assert len(field.running("/web")) == 2
        assert second not in field.running("/web")
        assert third in field.running("/web")
        assert field.look().apps["/web"].instances == 2

    on_field(story)


def test_a_unit_that_somebody_destroyed_by_hand_is_made_anew() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=2))).id)
        unit = field.running("/web")[0]
        await field.store.commit((DestroyUnit(unit, "by hand"),), field.world)
        await field.until(lambda: unit not in field.look().instances)
        await field.until(lambda: len(field.running("/web")) == 2)

    on_field(story)


@pytest.mark.parametrize("count", [150])
def test_many_apps_in_one_request_are_one_deployment(count: int) -> None:
    async def story(field: Field) -> None:
        names = [f"/many/app{number}" for number in range(count)]
        asked = await field.ask(
            lambda tree: set_apps(tree, [app(name, cpus=0.1) for name in names])
        )
        past = await field.ended(asked.id, 600.0)
        assert past.outcome == "success"
        assert len(field.world.units) == count

    on_field(story)
