"""Deployments on a whole cluster on virtual time: step by step, within bounds, and back."""

from __future__ import annotations

import math

import pytest

from marathon_compat.apps.app import Container, PersistentVolume, ReadinessCheck, Volume
from marathon_compat.apps.deploy import DEADLINE_LABEL, Locked, cancel
from marathon_compat.apps.edits import app_at, group_at, remove_group, restart_app, set_apps, undo
from tests.marathon.field import PING, Field, FieldHost, app, on_field, strategy, versions_of


@pytest.mark.parametrize(
    ("minimum", "over", "low", "high"),
    [(1.0, 1.0, 6, 12), (0.5, 0.0, 3, 6), (1.0, 0.0, 6, 7), (0.0, 0.0, 0, 6), (0.75, 0.25, 5, 7)],
)
def test_a_replacement_keeps_within_its_bounds(
    minimum: float, over: float, low: int, high: int
) -> None:
    async def story(field: Field) -> None:
        bounds = strategy(minimum, over)
        await field.ended((await field.put(app("/web", instances=6, upgrade_strategy=bounds))).id)
        watch = field.watch("/web")
        newer = app("/web", "other", instances=6, upgrade_strategy=bounds)
        asked = await field.put(newer)
        assert [one.kind for one in asked.deployment.steps[0]] == ["RestartApplication"]
        assert (await field.ended(asked.id)).outcome == "success"
        assert versions_of(field.members("/web")) == {asked.version}
        assert len(field.running("/web")) == 6
        assert watch.low >= low
        assert watch.high <= high

    on_field(story)


def test_shrinking_while_replacing_keeps_what_the_smaller_number_needs() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=8))).id)
        watch = field.watch("/web")
        await field.ended((await field.put(app("/web", "other", instances=3))).id)
        assert (watch.low, len(field.running("/web"))) == (3, 3)

    on_field(story)


def test_growing_while_replacing_keeps_what_the_smaller_number_needs() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=3))).id)
        watch = field.watch("/web")
        await field.ended((await field.put(app("/web", "other", instances=8))).id)
        assert watch.low >= 3
        assert watch.high <= 16

    on_field(story)


def test_old_instances_stay_while_new_ones_are_not_ready() -> None:
    ready = ReadinessCheck(port_name="default")

    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=2))).id)
        old = set(field.running("/web"))
        for host in field.hosts:
            host.unready = _Everything()
        asked = await field.put(app("/web", "other", instances=2, readiness_checks=(ready,)))
        await field.until(lambda: len(field.running("/web")) == 4)
        await field.pass_time(60)
        assert old < set(field.running("/web"))
        assert asked.id in field.look().deployments
        for host in field.hosts:
            host.unready = set()
        assert (await field.ended(asked.id)).outcome == "success"
        assert not old & set(field.running("/web"))

    on_field(story)


class _Everything(set[str]):
    def __contains__(self, item: object) -> bool:
        return True


def _breaks(field: Field, version: str) -> None:
    """Let every run of a version fail."""
    from fleetish.units.file import content_hash, parse
    from tests.marathon.field import plain_text

    broken = field.look().definition("/web", version)
    assert broken is not None
    digest = content_hash(parse(plain_text(broken, "x"), "x.service"))
    for host in field.hosts:
        host.broken = lambda text_hash: text_hash == digest


def test_a_version_that_never_runs_is_undone_with_the_old_instances_untouched() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=3))).id)
        old = field.running("/web")
        asked = await field.put(app("/web", "broken", instances=3))
        _breaks(field, asked.version)
        await field.pass_time(120)
        assert field.running("/web") == old
        assert asked.id in field.look().deployments
        back = await field.ask(lambda tree: undo(tree, asked.id), force=True)
        assert (await field.ended(asked.id)).outcome == "cancelled"
        assert (await field.ended(back.id)).outcome == "success"
        assert field.running("/web") == old
        now = field.look().apps["/web"]
        assert (now.cmd, now.version) == ("run", back.version)

    on_field(story)


def test_undoing_half_a_replacement_keeps_the_old_instances_that_are_left() -> None:
    async def story(field: Field) -> None:
        half = strategy(0.5, 0.0)
        await field.ended((await field.put(app("/web", instances=4, upgrade_strategy=half))).id)
        old = set(field.running("/web"))
        asked = await field.put(app("/web", "other", instances=4, upgrade_strategy=half))
        _breaks(field, asked.version)
        await field.until(lambda: len(field.running("/web")) == 2)
        left = set(field.running("/web"))
        assert left < old
        await field.ended((await field.ask(lambda t: undo(t, asked.id), force=True)).id)
        assert left < set(field.running("/web"))
        assert len(field.running("/web")) == 4

    on_field(story)


def test_what_is_not_done_by_its_deadline_fails_and_is_undone() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=2))).id)
        old = field.running("/web")
        asked = await field.put(app("/web", "broken", instances=2), deadline=30.0)
        _breaks(field, asked.version)
        past = await field.ended(asked.id)
        assert past.outcome == "failed"
        assert past.reason == "not done within 30 s: 0 of 2 instances of /web are ready"
        assert 30 <= past.ended - past.since < 31
        await field.until(lambda: not field.look().deployments)
        assert field.running("/web") == old
        assert field.look().apps["/web"].cmd == "run"

    on_field(story)


def test_a_label_sets_the_deadline_and_what_undoes_has_none() -> None:
    async def story(field: Field) -> None:
        labels = {DEADLINE_LABEL: "20"}
        await field.ended((await field.put(app("/web", labels=labels))).id)
        asked = await field.put(app("/web", "broken", labels=labels), rollback=False)
        _breaks(field, asked.version)
        assert (await field.ended(asked.id)).outcome == "failed"
        assert field.look().apps["/web"].cmd == "broken"
        assert field.look().deployments == {}

    on_field(story)


def test_a_dependency_is_healthy_before_what_depends_on_it_starts() -> None:
    async def story(field: Field) -> None:
        for host in field.hosts:
            host.sick = _Everything()
        db = app("/db", health_checks=(PING.__class__(port_index=0, max_consecutive_failures=0),))
        web = app("/web", dependencies=("/db",))
        asked = await field.put(web, db)
        kinds = [[(one.kind, one.app) for one in step] for step in asked.deployment.steps]
        assert kinds == [
            [("StartApplication", "/db"), ("StartApplication", "/web")],
            [("ScaleApplication", "/db")],
            [("ScaleApplication", "/web")],
        ]
        await field.until(lambda: len(field.running("/db")) == 1)
        await field.pass_time(20)
        assert field.running("/web") == []
        for host in field.hosts:
            host.sick = set()
        assert (await field.ended(asked.id)).outcome == "success"
        assert len(field.running("/web")) == 1

    on_field(story)


def test_an_app_whose_turn_has_not_come_stays_what_it_was() -> None:
    async def story(field: Field) -> None:
        first = app("/db", instances=2), app("/web", instances=2, dependencies=("/db",))
        await field.ended((await field.put(*first)).id)
        old = set(field.running("/web"))
        changed = (
            app("/db", "broken", instances=2),
            app("/web", "other", instances=5, dependencies=("/db",)),
        )
        asked = await field.put(*changed)
        broken = field.look().definition("/db", asked.version)
        assert broken is not None
        for host in field.hosts:
            _never(host, broken.version)
        unit = min(old)
        await field.pass_time(5)
        field.host_of(unit).end(unit, "failed")
        await field.until(lambda: unit not in field.running("/web"))
        await field.until(lambda: set(field.running("/web")) == old)
        await field.pass_time(10)
        assert set(field.running("/web")) == old

    on_field(story)


def _never(host: FieldHost, version: str) -> None:
    from fleetish.units.file import content_hash, parse
    from tests.marathon.field import plain_text

    one = app("/db", "broken", instances=2, version=version)
    digest = content_hash(parse(plain_text(one, "x"), "x.service"))
    host.broken = lambda text_hash: text_hash == digest


def test_a_locked_app_says_by_whom_and_force_takes_it() -> None:
    async def story(field: Field) -> None:
        first = await field.put(app("/web", instances=2, cpus=9999))
        await field.pass_time(3)
        with pytest.raises(Locked) as refused:
            await field.put(app("/web", "other"))
        assert [one.id for one in refused.value.holders] == [first.id]
        assert f"held by {first.id} (for 3 s)" in str(refused.value)
        other = await field.put(app("/other"))
        second = await field.put(app("/web", "other"), force=True)
        assert (await field.ended(first.id)).outcome == "cancelled"
        assert (await field.ended(second.id)).outcome == "success"
        assert (await field.ended(other.id)).outcome == "success"
        assert len(field.running("/web")) == 1

    on_field(story)


def test_a_cancelled_deployment_leaves_things_as_they_are() -> None:
    async def story(field: Field) -> None:
        first = await field.put(app("/web", instances=2, cpus=9999))
        changes = cancel(field.look(), first.id, field.clock.now())
        await field.store.commit(changes, field.world)
        assert (await field.ended(first.id)).outcome == "cancelled"
        assert field.look().apps["/web"].instances == 2
        assert field.tree.locks == {}

    on_field(story)


def test_a_restart_replaces_every_instance_with_the_same_definition() -> None:
    async def story(field: Field) -> None:
        first = await field.put(app("/web", instances=3))
        await field.ended(first.id)
        old = set(field.running("/web"))
        asked = await field.ask(lambda tree: restart_app(tree, "/web"))
        await field.ended(asked.id)
        assert not old & set(field.running("/web"))
        info = field.look().apps["/web"].version_info
        assert info is not None
        assert info.last_config_change_at == asked.version
        assert info.last_scaling_at == first.version

    on_field(story)


def test_an_app_goes_back_to_an_older_version_as_a_new_one() -> None:
    async def story(field: Field) -> None:
        first = await field.put(app("/web", "one"))
        await field.ended(first.id)
        await field.ended((await field.put(app("/web", "two"))).id)
        asked = await field.ask(lambda tree: app_at(tree, "/web", first.version))
        await field.ended(asked.id)
        now = field.look().apps["/web"]
        assert (now.cmd, now.version) == ("one", asked.version)
        assert len(field.tree.versions("/web")) == 3

    on_field(story)


def test_a_group_goes_back_to_an_older_version_with_apps_that_were_removed() -> None:
    async def story(field: Field) -> None:
        first = await field.put(app("/g/a", "one"), app("/g/b"))
        await field.ended(first.id)
        await field.ended((await field.put(app("/g/a", "two"), app("/g/c"))).id)
        await field.ended((await field.ask(lambda tree: remove_group(tree, "/g"))).id)
        assert not field.look().has_group("/g")
        with_all = await field.put(app("/g/d"))
        await field.ended(with_all.id)
        back = await field.ask(lambda tree: group_at(tree, "/g", first.version))
        await field.ended(back.id)
        apps = field.look().apps
        assert {name: one.cmd for name, one in apps.items()} == {"/g/a": "one", "/g/b": "run"}
        assert sorted(map(str, field.running("/g/a") + field.running("/g/b"))) == sorted(
            field.world.units
        )

    on_field(story)


def _resident(cmd: str, instances: int) -> object:
    data = Volume(container_path="data", mode="RW", persistent=PersistentVolume(size=10))
    kept = Container(type="MESOS", volumes=(data,))
    return app("/db", cmd, instances=instances, container=kept, upgrade_strategy=strategy(0.5, 0.0))


def test_instances_that_keep_data_are_replaced_where_they_are() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(_resident("one", 3))).id)  # type: ignore[arg-type]
        homes = {unit: field.host_of(unit).id for unit in field.running("/db")}
        watch = field.watch("/db")
        asked = await field.put(_resident("two", 3))  # type: ignore[arg-type]
        assert (await field.ended(asked.id)).outcome == "success"
        assert {unit: field.host_of(unit).id for unit in field.running("/db")} == homes
        assert versions_of(field.members("/db")) == {asked.version}
        assert watch.low >= math.ceil(3 * 0.5)

    on_field(story)


def test_an_instance_that_was_scaled_away_comes_back_to_its_data() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(_resident("one", 3))).id)  # type: ignore[arg-type]
        homes = {unit: field.host_of(unit).id for unit in field.running("/db")}
        await field.ended((await field.put(_resident("one", 1))).id)  # type: ignore[arg-type]
        assert len(field.running("/db")) == 1
        assert {unit: field.world.placements[unit].machine for unit in homes} == homes
        await field.ended((await field.put(_resident("one", 3))).id)  # type: ignore[arg-type]
        assert {unit: field.host_of(unit).id for unit in field.running("/db")} == homes
        launches = sorted(field.world.units[unit].launch for unit in homes)
        assert launches == [1, 2, 2]
        gone = await field.ask(lambda tree: remove_group(tree, "/"))
        await field.ended(gone.id)
        assert field.look().instances == {}

    on_field(story)


def test_fifty_versions_are_kept() -> None:
    async def story(field: Field) -> None:
        for count in range(55):
            asked = await field.ask(
                lambda tree, n=count: set_apps(tree, [app("/web", instances=n % 2)])  # type: ignore[misc]
            )
            await field.ended(asked.id)
        assert len(field.look().stored_versions("/web")) == 50
        assert len(field.tree.history) == 50
        kinds = [kind for kind, _ in field.world.documents]
        assert len(kinds) < 110

    on_field(story)
