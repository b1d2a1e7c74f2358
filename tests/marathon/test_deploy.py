"""From what is asked to a deployment: steps, versions, locks and the writes that start it."""

from __future__ import annotations

import pytest

from fleetish.changes import DropDocument, PutDocument
from fleetish.errors import NotFound
from marathon_compat.apps import records
from marathon_compat.apps.app import PortDefinition
from marathon_compat.apps.dependencies import Cyclic
from marathon_compat.apps.deploy import DEADLINE_LABEL, MOST, Locked, Proposal, TooMany, cancel
from marathon_compat.apps.edits import (
    Draft,
    app_at,
    group_at,
    kill_and_scale,
    remove_app,
    remove_group,
    restart_app,
    scale_group,
    set_apps,
    set_group,
    undo,
)
from marathon_compat.apps.ports import FIRST
from marathon_compat.apps.records import Group, Instance
from marathon_compat.apps.tree import put
from tests.marathon.field import app
from tests.marathon.written import Written


def steps(proposal: Proposal) -> list[list[str]]:
    """Steps as words: ``Restart /web``."""
    return [
        [f"{one.kind.removesuffix('Application')} {one.app}" for one in step]
        for step in proposal.deployment.steps
    ]


def test_new_apps_are_started_and_scaled() -> None:
    made = Written()
    assert steps(made.start(set_apps(made.tree, [app("/a"), app("/b")]))) == [
        ["Start /a", "Start /b"],
        ["Scale /a", "Scale /b"],
    ]


def test_each_kind_of_change_is_its_own_action() -> None:
    made = Written()
    made.put(app("/same"), app("/more"), app("/other"), app("/none"), app("/gone"))
    changed = [app("/same"), app("/more", instances=9), app("/other", "x"),
               app("/none", "x", instances=0), app("/new")]  # fmt: skip
    draft = set_apps(made.tree, changed)
    both = Draft({**draft.apps, "/gone": None})
    assert steps(made.propose(both)) == [
        ["Stop /gone"],
        ["Start /new"],
        ["Scale /more", "Scale /new", "Scale /none", "Restart /other"],
    ]


def test_dependencies_come_first_layer_by_layer() -> None:
    made = Written()
    apps = [
        app("/web", dependencies=("/api",)),
        app("/api", dependencies=("/data",)),
        app("/data/db"),
        app("/data/cache", dependencies=("/data/db",)),
        app("/alone"),
    ]
    assert steps(made.propose(set_apps(made.tree, apps)))[1:] == [
        ["Scale /alone", "Scale /data/db"],
        ["Scale /data/cache"],
        ["Scale /api"],
        ["Scale /web"],
    ]


def test_a_group_that_depends_on_a_group_makes_all_its_apps_wait() -> None:
    made = Written()
    groups = [Group(id="/p/front", dependencies=("/p/back",))]
    draft = set_group(made.tree, "/p", [app("/p/back/x"), app("/p/front/y")], groups)
    assert steps(made.propose(draft))[1:] == [["Scale /p/back/x"], ["Scale /p/front/y"]]


@pytest.mark.parametrize(
    "apps",
    [
        [app("/a", dependencies=("/b",)), app("/b", dependencies=("/a",))],
        [app("/g/a", dependencies=("/g",))],
    ],
)
def test_dependencies_in_a_ring_are_refused(apps: list[object]) -> None:
    made = Written()
    with pytest.raises(Cyclic, match=r"Dependency graph has cyclic dependencies\."):
        made.propose(set_apps(made.tree, apps))  # type: ignore[arg-type]


def test_a_dependency_on_what_is_not_there_is_none() -> None:
    made = Written()
    made.propose(set_apps(made.tree, [app("/a", dependencies=("/nobody",))]))


def test_versions_say_when_an_app_was_scaled_and_when_it_was_changed() -> None:
    made = Written()
    one = made.put(app("/a")).version
    two = made.put(app("/a", instances=3)).version
    info = made.tree.apps["/a"].version_info
    assert info is not None
    assert (made.tree.apps["/a"].version, info.last_scaling_at, info.last_config_change_at) == (
        two, two, one,
    )  # fmt: skip
    assert made.tree.versions("/a") == (two, one)
    assert made.tree.definition("/a", one) is not None


def test_versions_grow_even_when_the_clock_does_not() -> None:
    made = Written()
    one = made.put(app("/a")).version
    made.now -= 100
    assert made.put(app("/a", "x")).version > one


def test_unchanged_apps_are_not_touched() -> None:
    made = Written()
    one = made.put(app("/a"), app("/b"))
    again = made.start(set_apps(made.tree, [app("/a"), app("/b", "x")]))
    assert set(again.deployment.edit.after) == {"/b"}
    assert made.tree.locks == {"/b": {again.id}}
    assert made.tree.apps["/a"].version == one.version


def test_service_ports_are_given_once_and_kept() -> None:
    made = Written()
    two = (PortDefinition(), PortDefinition(name="admin"))
    made.put(app("/a", port_definitions=two), app("/b", port_definitions=(PortDefinition(),)))
    assert _ports(made, "/a") == [FIRST, FIRST + 1]
    assert _ports(made, "/b") == [FIRST + 2]
    before = made.tree.apps["/a"].version
    made.put(app("/a", port_definitions=two))
    assert (_ports(made, "/a"), made.tree.apps["/a"].version) == ([FIRST, FIRST + 1], before)
    made.done(remove_app(made.tree, "/a"))
    made.put(app("/c", port_definitions=(PortDefinition(),)))
    assert _ports(made, "/c") == [FIRST]


def _ports(made: Written, name: str) -> list[int]:
    return [one.port for one in made.tree.apps[name].port_definitions or ()]


def test_an_app_of_a_running_deployment_is_locked_until_it_ends() -> None:
    made = Written()
    first = made.start(set_apps(made.tree, [app("/a")]))
    with pytest.raises(Locked) as refused:
        made.propose(set_apps(made.tree, [app("/a", "x"), app("/b")]))
    assert refused.value.holders == (first.deployment,)
    assert refused.value.message.startswith(
        "App is locked by one or more deployments. Override with the option '?force=true'."
    )
    made.start(set_apps(made.tree, [app("/b")]))
    forced = made.start(set_apps(made.tree, [app("/a", "x")]), force=True)
    assert made.tree.locks["/a"] == {forced.id}
    assert made.tree.history[first.id].outcome == "cancelled"


def test_no_more_than_a_hundred_deployments_run() -> None:
    made = Written()
    for number in range(MOST):
        made.start(set_apps(made.tree, [app(f"/a{number}")]))
    with pytest.raises(TooMany):
        made.propose(set_apps(made.tree, [app("/b")]))


def test_the_deployment_is_written_after_its_versions_and_before_all_else() -> None:
    made = Written()
    kinds = [
        change.document.kind
        for change in made.propose(set_apps(made.tree, [app("/g/a"), app("/g/b")])).changes
        if isinstance(change, PutDocument)
    ]
    assert kinds == [
        records.VERSION, records.VERSION, records.DEPLOYMENT,
        records.APP, records.APP, records.GROUP,
    ]  # fmt: skip


def test_the_deployments_word_counts_before_the_apps_are_written() -> None:
    made = Written()
    made.put(app("/g/a"), app("/g/b"))
    draft = Draft({"/g/a": app("/g/a", "x"), "/g/b": None, "/h/c": app("/h/c")})
    proposal = made.propose(draft)
    place = next(
        n
        for n, change in enumerate(proposal.changes)
        if isinstance(change, PutDocument) and change.document.kind == records.DEPLOYMENT
    )
    made.write(proposal.changes[: place + 1])
    assert {name: one.cmd for name, one in made.tree.apps.items()} == {"/g/a": "x", "/h/c": "run"}


def test_what_was_not_written_of_a_cancelled_deployment_is_written_with_its_end() -> None:
    made = Written()
    made.put(app("/a"), app("/b"))
    first = made.propose(set_apps(made.tree, [app("/a", "x"), app("/b", "x")]))
    made.write(first.changes[:3])
    assert made.tree.stored["/b"].cmd == "run"
    made.start(set_apps(made.tree, [app("/a", "y")]), force=True)
    assert {name: one.cmd for name, one in made.tree.stored.items()} == {"/a": "y", "/b": "x"}


def test_undoing_names_the_time_of_the_old_definitions_change() -> None:
    made = Written()
    one = made.put(app("/a"))
    two = made.start(set_apps(made.tree, [app("/a", "x"), app("/b")]))
    back = made.start(undo(made.tree, two.id), force=True)
    now = made.tree.apps["/a"]
    assert now.version_info is not None
    assert (now.cmd, now.version) == ("run", back.version)
    assert now.version_info.last_config_change_at == one.version
    assert steps(back) == [["Stop /b"], ["Restart /a"]]


def test_undoing_a_change_of_numbers_is_a_scale() -> None:
    made = Written()
    made.put(app("/a", instances=2))
    two = made.start(set_apps(made.tree, [app("/a", instances=5)]))
    back = made.propose(undo(made.tree, two.id), force=True)
    assert steps(back) == [["Scale /a"]]
    assert back.apps["/a"] is not None
    assert back.apps["/a"].instances == 2


def test_a_deadline_is_what_is_asked_or_what_a_label_says() -> None:
    made = Written()
    labelled = app("/a", labels={DEADLINE_LABEL: "90"})
    draft = set_apps(made.tree, [labelled, app("/b", labels={DEADLINE_LABEL: "soon"})])
    asked = made.propose(draft)
    assert asked.deployment.deadline == made.now + 90
    assert made.propose(draft, deadline=5.0).deployment.deadline == made.now + 5
    assert made.propose(set_apps(made.tree, [app("/c")])).deployment.deadline == 0.0


def test_a_group_is_scaled_rounding_up() -> None:
    made = Written()
    made.put(app("/g/a", instances=3), app("/g/h/b", instances=1), app("/c", instances=2))
    made.done(scale_group(made.tree, "/g", 1.5))
    counts = {name: one.instances for name, one in made.tree.apps.items()}
    assert counts == {"/g/a": 5, "/g/h/b": 2, "/c": 2}


def test_a_group_holds_what_was_put_and_nothing_else() -> None:
    made = Written()
    made.put(app("/g/a"), app("/g/h/b"), app("/other"))
    draft = set_group(made.tree, "/g", [app("/g/new/x")], [Group(id="/g/empty")])
    asked = made.done(draft)
    assert steps(asked) == [["Stop /g/a", "Stop /g/h/b"], ["Start /g/new/x"], ["Scale /g/new/x"]]
    assert set(made.tree.apps) == {"/g/new/x", "/other"}
    assert made.tree.group_ids() == {"/", "/g", "/g/new", "/g/empty"}


def test_a_group_outlives_its_apps_until_it_is_removed() -> None:
    made = Written()
    made.put(app("/g/a"))
    made.done(remove_app(made.tree, "/g/a"))
    assert made.tree.has_group("/g")
    made.done(remove_group(made.tree, "/g"))
    assert made.tree.group_ids() == {"/"}
    with pytest.raises(NotFound, match="Group '/g' does not exist"):
        remove_group(made.tree, "/g")


def test_removing_the_root_removes_everything() -> None:
    made = Written()
    made.put(app("/g/a"), app("/b"))
    asked = made.done(remove_group(made.tree, "/"))
    assert steps(asked) == [["Stop /b", "Stop /g/a"]]
    assert (made.tree.apps, made.tree.group_ids()) == ({}, {"/"})


def test_a_group_remembers_its_versions() -> None:
    made = Written()
    one = made.put(app("/g/a", "one"), app("/g/b")).version
    two = made.put(app("/g/a", "two")).version
    made.put(app("/elsewhere"))
    assert made.tree.group_versions("/g") == (two, one)
    made.done(remove_app(made.tree, "/g/b"))
    made.done(group_at(made.tree, "/g", one))
    assert {name: a.cmd for name, a in made.tree.apps.items()} == {
        "/g/a": "one", "/g/b": "run", "/elsewhere": "run",
    }  # fmt: skip
    with pytest.raises(NotFound, match="cannot find version"):
        group_at(made.tree, "/g", "2001-01-01T00:00:00.000Z")


def test_a_new_app_of_an_old_name_has_none_of_the_old_versions() -> None:
    made = Written()
    made.put(app("/a", "one"))
    made.done(remove_app(made.tree, "/a"))
    assert made.tree.versions("/a") == ()
    again = made.put(app("/a", "two"))
    assert made.tree.versions("/a") == (again.version,)


def test_killing_for_good_wants_so_many_fewer() -> None:
    made = Written()
    made.put(app("/a", instances=5))
    units = [f"marathon_a@{n}.service" for n in range(5)]
    made.write(
        put(records.INSTANCE, unit, Instance(unit=unit, app="/a", version="v", config="v"), "x")
        for unit in units
    )
    asked = made.propose(kill_and_scale(made.tree, [*units[:2], units[0], "nobody.service"]))
    assert asked.deployment.kills == tuple(units[:2])
    assert asked.apps["/a"] is not None
    assert asked.apps["/a"].instances == 3


def test_the_unknown_is_refused_by_name() -> None:
    made = Written()
    made.put(app("/a"))
    for ask, words in (
        (lambda: restart_app(made.tree, "/x"), "App '/x' does not exist"),
        (lambda: remove_app(made.tree, "/x"), "App '/x' does not exist"),
        (lambda: app_at(made.tree, "/a", "v"), "cannot find version v of app /a"),
        (lambda: undo(made.tree, "nope"), "DeploymentPlan nope does not exist"),
        (lambda: cancel(made.tree, "nope", 0.0), "DeploymentPlan nope does not exist"),
    ):
        with pytest.raises(NotFound, match=words):
            ask()


def test_an_app_that_cannot_be_read_is_known_to_be_there() -> None:
    made = Written()
    made.put(app("/a"))
    broken = put(records.APP, "/a", {"id": 5}, "broken")
    made.write([broken])
    assert (records.APP, "/a") in made.tree.unreadable
    made.write([put(records.APP, "/a", app("/a"), "repaired")])
    assert made.tree.unreadable == {}
    made.write([DropDocument(records.APP, "/a", "gone")])
    assert made.tree.apps == {}
