"""Definitions as they are read and as they are answered."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
from hypothesis import given, settings

from marathon_compat.apps.app import App
from marathon_compat.apps.decode import read_app
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.group_body import read_group
from marathon_compat.apps.show import show, show_bytes
from tests.marathon import raml
from tests.marathon.bodies import Body, app_bodies, bent_bodies

ALWAYS = {
    "id", "instances", "cpus", "mem", "disk", "gpus", "executor", "labels", "networks",
    "requirePorts", "upgradeStrategy", "backoffSeconds", "backoffFactor", "maxLaunchDelaySeconds",
    "killSelection", "unreachableStrategy", "role",
}  # fmt: skip


def app(**fields: object) -> App:
    """The app of a body with an id and a command."""
    return read_app(json.dumps({"id": "/web", "cmd": "run", **fields}).encode())


def test_the_least_definition_gets_marathons_defaults() -> None:
    assert show(app()) == {
        "id": "/web",
        "cmd": "run",
        "instances": 1,
        "cpus": 1.0,
        "mem": 128.0,
        "disk": 0.0,
        "gpus": 0,
        "executor": "",
        "labels": {},
        "networks": [{"mode": "host"}],
        "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "default"}],
        "requirePorts": False,
        "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 1.0},
        "backoffSeconds": 1,
        "backoffFactor": 1.15,
        "maxLaunchDelaySeconds": 300,
        "killSelection": "YOUNGEST_FIRST",
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "role": "*",
    }


def test_null_is_as_good_as_nothing_and_unknown_fields_are_ignored() -> None:
    nulls = dict.fromkeys(("args", "container", "env", "constraints", "version", "uris", "ports"))
    assert app(**nulls, fancy={"not": ["known"]}) == app()
    assert app(env={"A": None, "B": "b"}).env == {"B": "b"}


def test_a_version_in_a_new_app_counts_for_nothing() -> None:
    assert app(version="2017-12-04T03:57:49.198Z", versionInfo={
        "lastScalingAt": "2017-12-04T03:57:49.198Z",
        "lastConfigChangeAt": "2017-12-04T03:57:49.198Z",
    }) == app()  # fmt: skip


def test_an_empty_list_of_ports_means_no_port() -> None:
    assert show(app(portDefinitions=[]))["portDefinitions"] == []


def test_a_container_network_without_a_container_gets_one_of_mesos() -> None:
    found = show(app(networks=[{"mode": "container/bridge"}]))
    assert found["container"] == {
        "type": "MESOS",
        "volumes": [],
        "portMappings": [
            {"containerPort": 0, "hostPort": 0, "servicePort": 0, "protocol": "tcp",
             "name": "default", "labels": {}},
        ],
    }  # fmt: skip
    assert "portDefinitions" not in found


def test_a_mapping_on_a_bridge_gets_a_host_port_and_one_on_a_named_network_none() -> None:
    box = {"type": "MESOS", "portMappings": [{"containerPort": 80}]}
    bridge = app(networks=[{"mode": "container/bridge"}], container=box)
    named = app(networks=[{"mode": "container", "name": "dcos"}], container=box)
    assert [bridge.container.port_mappings[0].host_port] == [0]  # type: ignore[union-attr,index]
    assert "hostPort" not in show(named)["container"]["portMappings"][0]


def test_required_ports_are_a_thing_of_the_host_only() -> None:
    assert app(requirePorts=True).require_ports
    assert not app(requirePorts=True, networks=[{"mode": "container/bridge"}]).require_ports


def test_checks_without_a_port_ask_the_first_one_unless_they_are_commands() -> None:
    checks = [{"protocol": "TCP"}, {"port": 80}, {"protocol": "COMMAND", "command": {"value": "x"}}]
    found = app(healthChecks=checks).health_checks
    assert [check.port_index for check in found] == [0, None, None]


def test_volumes_that_stay_change_the_defaults_of_upgrades() -> None:
    box = {"type": "MESOS", "volumes": [{"containerPath": "data", "persistent": {"size": 10}}]}
    found = show(app(container=box))
    assert found["upgradeStrategy"] == {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.0}
    assert found["unreachableStrategy"] == "disabled"
    assert found["residency"]["taskLostBehavior"] == "WAIT_FOREVER"
    assert found["container"]["volumes"] == [
        {"containerPath": "data", "mode": "RW", "persistent": {"type": "root", "size": 10}}
    ]


def test_a_single_instance_is_replaced_only_when_it_is_gone() -> None:
    found = app(labels={"MARATHON_SINGLE_INSTANCE_APP": "true"}).upgrade_strategy
    assert (found.minimum_health_capacity, found.maximum_over_capacity) == (0.0, 0.0)


def test_relative_ids_are_below_the_root() -> None:
    found = app(id="shop//web/", dependencies=["db", "/db", "../shop/./cache"])
    assert (found.id, found.dependencies) == ("/shop/web", ("/db", "/shop/cache"))


def test_loose_parts_are_answered_as_they_came_without_their_nulls() -> None:
    check = {"http": {"portIndex": 0, "path": None}, "intervalSeconds": 5}
    assert app(check=check).check == {"http": {"portIndex": 0}, "intervalSeconds": 5}


@given(app_bodies())
def test_a_definition_that_is_answered_can_be_sent_and_is_the_same(body: Body) -> None:
    first = read_app(json.dumps(body).encode())
    assert read_app(show_bytes(first)) == first


@given(app_bodies())
def test_a_definition_is_stored_without_loss(body: Body) -> None:
    found = read_app(json.dumps(body).encode())
    assert msgspec.json.decode(msgspec.json.encode(found), type=App) == found


@given(app_bodies())
def test_what_is_answered_holds_what_was_sent_no_null_and_no_new_key(body: Body) -> None:
    found = show(read_app(json.dumps(body).encode()))
    assert ALWAYS <= found.keys() <= ALWAYS | body.keys() | {"portDefinitions", "container"}
    assert not list(_nulls(found))
    if raml.here():
        assert raml.faults("app.raml", "App", found) == []


def _nulls(value: Any) -> Any:
    if value is None:
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _nulls(item)


@given(bent_bodies())
@settings(max_examples=300)
def test_whatever_is_sent_is_taken_whole_or_refused_in_marathons_shape(body: Body) -> None:
    found = _answer(json.dumps(body).encode())
    if isinstance(found, App):
        assert read_app(show_bytes(found)) == found
    else:
        assert found.status in (400, 422)
        assert set(found.body()) == {"message", "details"}


def _answer(body: bytes) -> App | BadBody:
    try:
        return read_app(body)
    except BadBody as error:
        return error


def test_a_thousand_apps_are_read_in_a_second() -> None:
    body = json.dumps({"id": "/big", "apps": [_real(at) for at in range(1000)]}).encode()
    started = time.process_time()
    group = read_group(body)
    assert time.process_time() - started < 1.0
    assert len(group.apps) == 1000


def _real(at: int) -> Body:
    return {
        "id": f"app{at}",
        "constraints": [["platform", "CLUSTER", "a"], ["rack", "LIKE", f"r{at}.*"]],
        "container": {"docker": {"image": "repo/python:3", "parameters": []}, "volumes": []},
        "networks": [{"mode": "host"}],
        "portDefinitions": [{"name": "default", "port": 10_000 + at, "protocol": "tcp"}],
        "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0}],
        "labels": {"HAPROXY_GROUP": "external"},
        "env": {"A": "1"},
    }


def test_what_marathon_once_answered_is_read_and_answered_alike() -> None:
    own = json.dumps({"id": "/big", "apps": [show(one) for one in _apps_of_big()]}).encode()
    for body in (own, *(path.read_bytes() for path in (raml.ROOT / "payloads").glob("*.json"))):
        sent = {row["id"]: row for row in json.loads(body)["apps"]}
        for one in read_group(body).apps:
            found, meant = show(one), sent[one.id]
            assert {key: found[key] for key in meant if key != "versionInfo"} == {
                key: value for key, value in meant.items() if key != "versionInfo"
            }
            assert not raml.here() or raml.faults("app.raml", "App", found) == []


def _apps_of_big() -> tuple[App, ...]:
    body = {"id": "/big", "apps": [_real(at) for at in range(10)]}
    return read_group(json.dumps(body).encode()).apps
