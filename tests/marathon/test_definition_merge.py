"""Updates of apps, and the versions that come of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from msgspec.structs import replace

from marathon_compat.apps.app import App, VersionInfo
from marathon_compat.apps.decode import Rollback, Update, read_app, read_update, read_updates
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.merge import is_scale_only, merge_all, merged, restarted, versioned
from marathon_compat.apps.show import show
from tests.marathon.bodies import Body, app_bodies

THEN, NOW = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"
BRIDGE = {"networks": [{"mode": "container/bridge"}]}


def app(**fields: object) -> App:
    found = read_app(json.dumps({"id": "/web", "cmd": "run", **fields}).encode())
    return versioned(None, found, THEN)


def after(before: App, *, whole: bool = False, **fields: object) -> App:
    """The app after a body with these fields."""
    update = read_update(json.dumps(fields).encode(), before.id, whole)
    assert isinstance(update, Update)
    return merged(before, update)


def test_a_given_field_replaces_the_whole_field_and_others_stay() -> None:
    before = app(env={"A": "1", "B": "2"}, labels={"x": "y"}, resourceLimits={"mem": 500})
    found = after(before, env={"C": "3"}, instances=4)
    assert found == replace(before, env={"C": "3"}, instances=4)


def test_null_removes_nothing_and_a_whole_update_all_that_it_leaves_out() -> None:
    before = app(labels={"x": "y"}, user="root")
    assert after(before, labels=None) == before
    assert after(before, whole=True, cmd="run", labels=None) == replace(
        before, labels={}, user=None, version="", version_info=None
    )


def test_the_id_of_the_url_counts_not_that_of_the_body() -> None:
    assert after(app(), id="/other", instances=2).id == "/web"


def test_an_old_field_replaces_the_one_of_today() -> None:
    before = app(portDefinitions=[{"port": 80, "name": "http"}], fetch=[{"uri": "http://h/a"}])
    found = show(after(before, ports=[81], uris=["http://h/b"]))
    assert found["portDefinitions"] == [{"port": 81, "protocol": "tcp"}]
    assert [row["uri"] for row in found["fetch"]] == ["http://h/b"]


def test_an_app_moves_to_another_network_and_back() -> None:
    before = app(container={"docker": {"image": "a"}}, portDefinitions=[{"port": 80}])
    docker = {"image": "a", "network": "BRIDGE", "portMappings": [{"containerPort": 8080}]}
    on_bridge = after(before, container={"docker": docker})
    assert show(on_bridge)["networks"] == BRIDGE["networks"]
    assert [row["containerPort"] for row in show(on_bridge)["container"]["portMappings"]] == [8080]
    back = after(on_bridge, networks=[{"mode": "host"}])
    assert "portMappings" not in show(back)["container"]
    assert show(back)["portDefinitions"] == [{"port": 0, "protocol": "tcp", "name": "default"}]


def test_a_command_takes_the_place_of_arguments() -> None:
    found = after(app(), args=["a", "b"])
    assert (found.cmd, found.args) == (None, ("a", "b"))
    assert after(found, cmd="run") == app()


def test_an_update_is_checked_with_what_it_changes() -> None:
    with pytest.raises(BadBody, match="No port definition reference"):
        after(app(), readinessChecks=[{"portName": "http"}])
    with pytest.raises(BadBody, match=r"error\.expected\.jsnumber"):
        after(app(), instances="2")


def test_an_update_of_nothing_is_a_new_app() -> None:
    update = read_update(b'{"cmd": "run"}', "/web")
    assert isinstance(update, Update)
    assert versioned(None, merged(None, update), THEN) == app()
    with pytest.raises(BadBody, match="AppDefinition must either contain"):
        merged(None, update._replace(given={"instances": 2}))


@given(app_bodies())
def test_an_update_with_what_is_answered_changes_nothing(body: Body) -> None:
    before = versioned(None, read_app(json.dumps(body).encode()), THEN)
    fields = {key: value for key, value in show(before).items() if not key.startswith("version")}
    assert after(before, **fields) == before
    assert after(before) == before
    whole = after(before, whole=True, **fields)
    assert versioned(before, whole, NOW) == before


def test_a_version_alone_is_a_return_to_it() -> None:
    assert read_update(b'{"version": "2026-01-01T00:00:00Z"}', "/web") == Rollback("/web", THEN)
    assert read_update(f'{{"id": "x", "version": "{THEN}"}}'.encode(), "/web", True) == Rollback(
        "/web", THEN
    )
    with pytest.raises(BadBody, match="may only be combined with the 'id' field"):
        read_update(f'{{"version": "{THEN}", "instances": 2}}'.encode(), "/web")
    with pytest.raises(BadBody, match="/version: Invalid timestamp"):
        read_update(b'{"version": "yesterday"}', "/web")


def test_several_updates_are_all_taken_or_none() -> None:
    apps = {"/web": app()}
    good = read_updates(b'[{"id": "web", "instances": 2}, {"id": "db", "cmd": "x"}]')
    updates = [row for row in good if isinstance(row, Update)]
    assert [(one.id, one.instances) for one in merge_all(apps, updates)] == [
        ("/web", 2),
        ("/db", 1),
    ]
    bad = read_updates(b'[{"id": "web", "instances": -2}, {"id": "db"}]')
    with pytest.raises(BadBody) as caught:
        merge_all(apps, [row for row in bad if isinstance(row, Update)])
    details = caught.value.body()["details"]
    assert isinstance(details, list)
    assert [row["path"] for row in details] == ["(0)/instances", "(1)"]


def test_one_body_names_an_app_once() -> None:
    with pytest.raises(BadBody, match=r"\(1\)/id: is given twice"):
        read_updates(b'[{"id": "web", "instances": 2}, {"id": "/web", "cpus": 1}]')


def info(scaled: str, configured: str) -> VersionInfo:
    return VersionInfo(last_scaling_at=scaled, last_config_change_at=configured)


def test_a_version_is_as_new_as_what_has_changed() -> None:
    before = app()
    scaled = versioned(before, replace(before, instances=5), NOW)
    changed = versioned(before, replace(before, cmd="other", instances=5), NOW)
    assert (before.version, before.version_info) == (THEN, info(THEN, THEN))
    assert (scaled.version, scaled.version_info) == (NOW, info(NOW, THEN))
    assert (changed.version, changed.version_info) == (NOW, info(NOW, NOW))
    assert versioned(before, replace(before, version="", version_info=None), NOW) is before


def test_a_restart_is_a_change_of_the_configuration() -> None:
    again = restarted(app(), NOW)
    assert (again.version, again.version_info) == (NOW, info(THEN, NOW))


def test_scaling_is_a_change_of_instances_alone() -> None:
    before = app()
    assert is_scale_only(before, replace(before, instances=3, version=NOW))
    assert not is_scale_only(before, before)
    assert not is_scale_only(before, replace(before, instances=3, mem=1.0))
