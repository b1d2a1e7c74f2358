"""What was written for Marathon up to 1.4, and what it is today."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marathon_compat.apps.app import Parameter
from marathon_compat.apps.decode import read_app
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.legacy import parameters
from marathon_compat.apps.show import show

DOCKER = {"type": "DOCKER", "docker": {"image": "a"}}
ANSWERED_NEVER = ("ports", "uris", "ipAddress")


def answered(**fields: object) -> dict[str, Any]:
    """How an app with an id and a command is answered."""
    found = show(read_app(json.dumps({"id": "/web", "cmd": "run", **fields}).encode()))
    assert not found.keys() & set(ANSWERED_NEVER)
    return found


def docker(**fields: object) -> dict[str, object]:
    return {"type": "DOCKER", "docker": {"image": "a", **fields}}


def test_ports_become_definitions_without_names() -> None:
    assert answered(ports=[8080, 0])["portDefinitions"] == [
        {"port": 8080, "protocol": "tcp"},
        {"port": 0, "protocol": "tcp"},
    ]
    assert answered(ports=[])["portDefinitions"] == []


def test_ports_that_say_what_the_definitions_say_are_no_conflict() -> None:
    found = answered(ports=[80], portDefinitions=[{"port": 80, "name": "http"}])
    assert found["portDefinitions"] == [{"port": 80, "protocol": "tcp", "name": "http"}]


@pytest.mark.parametrize(
    ("uri", "extract"),
    [
        ("http://h/a.tgz", True), ("http://h/a.tar.xz?b", True), ("http://h/a.gz#c", True),
        ("file:///root/.dockercfg", False), ("http://h/a.jar", False), ("http://h/tgz", False),
    ],
)  # fmt: skip
def test_a_bare_uri_is_extracted_when_it_looks_like_an_archive(uri: str, extract: bool) -> None:
    assert answered(uris=[uri])["fetch"] == [
        {"uri": uri, "extract": extract, "executable": False, "cache": False}
    ]


@pytest.mark.parametrize(
    ("fields", "networks"),
    [
        ({"container": docker(network="BRIDGE")}, [{"mode": "container/bridge"}]),
        ({"container": docker(network="HOST")}, [{"mode": "host"}]),
        ({"container": docker()}, [{"mode": "host"}]),
        ({"ipAddress": {"networkName": "dcos", "labels": {"a": "b"}}},
         [{"mode": "container", "name": "dcos", "labels": {"a": "b"}}]),
        ({"ipAddress": {"networkName": "mesos-bridge"}}, [{"mode": "container/bridge"}]),
        ({"container": docker(network="USER"), "ipAddress": {"networkName": "x", "labels": {}}},
         [{"mode": "container", "name": "x"}]),
        ({"container": docker(network="HOST"), "ipAddress": {}}, [{"mode": "host"}]),
    ],
)  # fmt: skip
def test_the_old_ways_to_name_a_network(
    fields: dict[str, object], networks: list[dict[str, object]]
) -> None:
    assert answered(**fields)["networks"] == networks


def test_port_mappings_move_out_of_docker() -> None:
    mapping = {"containerPort": 80, "hostPort": 0, "servicePort": 10_019, "labels": {"vip": "x"}}
    found = answered(container=docker(network="BRIDGE", portMappings=[mapping]))
    assert found["container"] == {
        "type": "DOCKER",
        "docker": {"image": "a", "forcePullImage": False, "privileged": False, "parameters": []},
        "volumes": [],
        "portMappings": [{**mapping, "protocol": "tcp"}],
    }
    assert "portDefinitions" not in found


def test_port_mappings_of_docker_mean_nothing_on_the_hosts_network() -> None:
    found = answered(container=docker(network="HOST", portMappings=[{"containerPort": 80}]))
    assert "portMappings" not in found["container"]


def test_ports_on_a_bridge_become_mappings_as_many_as_are_missing() -> None:
    found = answered(
        ports=[0, 0, 0], container=docker(network="BRIDGE", portMappings=[{"containerPort": 80}])
    )
    ports = [row["containerPort"] for row in found["container"]["portMappings"]]
    assert ports == [80, 0, 0]


def test_announced_ports_of_an_address_become_mappings_without_a_host_port() -> None:
    address = {"networkName": "x", "discovery": {"ports": [{"number": 80, "name": "http"}]}}
    assert answered(ipAddress=address)["container"]["portMappings"] == [
        {"containerPort": 80, "servicePort": 0, "protocol": "tcp", "name": "http", "labels": {}}
    ]


def test_the_form_of_2014() -> None:
    found = answered(
        container={
            "image": "docker:///ubuntu",
            "options": ["--net=host", "-v", "/a:/b", "--privileged", "--dns=1.1.1.1"],
        }
    )
    assert found["networks"] == [{"mode": "host"}]
    assert found["container"] == {
        "type": "DOCKER",
        "docker": {
            "image": "ubuntu",
            "forcePullImage": False,
            "privileged": True,
            "parameters": [
                {"key": "volume", "value": "/a:/b"},
                {"key": "dns", "value": "1.1.1.1"},
            ],
        },
        "volumes": [],
    }


def test_a_definition_as_the_python_client_sends_it() -> None:
    found = answered(
        args=[],
        cmd=None,
        instances=1,
        mem=30,
        backoff_factor=1.2,
        cpus=0.25,
        backoffSeconds=1,
        uris=["file:///root/.dockercfg"],
        constraints=None,
        container={
            "type": "DOCKER",
            "docker": {
                "image": "localhost/fake-image",
                "network": "BRIDGE",
                "parameters": [{"key": "add-host", "value": "dns:8.8.8.8"}],
                "portMappings": [
                    {"protocol": "tcp", "name": "myport", "containerPort": 8888, "hostPort": 0}
                ],
            },
            "volumes": [{"hostPath": "/etc/config", "containerPath": "/etc/config", "mode": "RO"}],
        },
    )
    assert found["networks"] == [{"mode": "container/bridge"}]
    assert found["container"]["portMappings"][0]["name"] == "myport"
    assert found["fetch"][0]["uri"] == "file:///root/.dockercfg"


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"uris": ["http://h/a"], "fetch": [{"uri": "http://h/b"}]}, "/uris", "with fetch"),
        ({"container": docker(network="HOST"), "networks": [{"mode": "host"}]}, "/",
         "must not specify both container.docker.network and networks"),
        ({"ipAddress": {"networkName": "a"}, "networks": [{"name": "b"}]}, "/",
         "must not specify both networks and ipAddress"),
        ({"ports": [80, 80]}, "/", "ports must be unique"),
        ({"ipAddress": {"networkName": "a"}, "ports": [80]}, "/",
         "cannot specify both an IP address and port"),
        ({"ports": [80], "portDefinitions": [{"port": 81}]}, "/",
         "cannot specify both ports and port definitions"),
        ({"container": docker(credential={"principal": "a"})}, "/container/docker/credential",
         "must be empty"),
        ({"container": docker(network="NONE")}, "/container/docker/network", "NONE"),
        ({"container": {**docker(portMappings=[{}], network="BRIDGE"), "portMappings": [{}]}},
         "/container", "both portMappings and docker.portMappings"),
        ({"container": DOCKER, "ipAddress": {"discovery": {"ports": [{"name": "a"}]}}},
         "/ipAddress", "not allowed for Docker containers"),
        ({"container": {"type": "MESOS", "docker": {"image": "a", "network": "HOST"}}},
         "/container/docker/network", "must be empty"),
    ],
)  # fmt: skip
def test_a_thing_is_said_in_one_way(fields: dict[str, object], path: str, words: str) -> None:
    with pytest.raises(BadBody) as caught:
        answered(**fields)
    details = caught.value.body()["details"]
    assert isinstance(details, list)
    found = {row["path"]: row["errors"] for row in details}
    assert any(words in error for error in found.get(path, ())), found


def test_options_of_the_command_line_become_parameters() -> None:
    words = ["--a=b=c", "-e", "X=1", "--flag", "--dns", "1.1.1.1", "-h", "name", "--last"]
    assert parameters(words) == (
        Parameter(key="a", value="b=c"),
        Parameter(key="env", value="X=1"),
        Parameter(key="flag", value="true"),
        Parameter(key="dns", value="1.1.1.1"),
        Parameter(key="hostname", value="name"),
        Parameter(key="last", value="true"),
    )
