"""Definitions that break a rule, and the sentence that is answered."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from marathon_compat.apps.decode import read_app
from marathon_compat.apps.errors import BadBody

BRIDGE = [{"mode": "container/bridge"}]
SECRET = {"secrets": {"pw": {"source": "/db/pw"}}}


def rejection(**fields: object) -> dict[str, list[str]]:
    """The errors by path for an app with an id and a command; {} when it is taken."""
    body: dict[str, Any] = {"id": "/web", "cmd": "run", **fields}
    try:
        read_app(json.dumps(body).encode())
    except BadBody as error:
        answer = error.body()
        details = answer["details"]
        assert answer["message"] == "Object is not valid", answer
        assert isinstance(details, list)
        return {row["path"]: row["errors"] for row in details}
    return {}


def volume(**fields: object) -> dict[str, object]:
    return {"type": "MESOS", "volumes": [{"containerPath": "data", **fields}]}


TAKEN: list[dict[str, object]] = [
    {"cmd": None, "args": ["/bin/sh", "-c", "x"]},
    {"cmd": "x\n\ty"},
    {"cmd": "w"},
    {"args": []},
    {"cmd": None, "container": {"docker": {"image": "alpine"}}},
    {"cmd": None, "args": ["x"], "container": {"type": "MESOS", "docker": {"image": "alpine"}}},
    {"env": {"A": "-----BEGIN\n…\r\n"}},
    {"env": {"PW": {"secret": "pw"}}, **SECRET},
    {"user": "root"},
    {"user": "1000"},
    {"instances": 0},
    {"cpus": 0.001},
    {"constraints": [["rack", "GROUP_BY"], ["@zone", "LIKE", "a|b"], ["rank", "IS", "1.5"]]},
    {"portDefinitions": [{"port": 0}, {"port": 0}, {"port": 80, "name": "http"}]},
    {"networks": BRIDGE, "portDefinitions": [{"port": 0}]},
    {"networks": [{"mode": "container", "name": "a"}, {"mode": "container", "name": "b"}]},
    {"healthChecks": [{"protocol": "MESOS_TCP"},
                      {"protocol": "COMMAND", "command": {"value": "x"}}]},
    {"readinessChecks": [{"portName": "default"}]},
    {"fetch": [{"uri": "https://h:8443/a.tgz?b=c"}, {"uri": "file:///srv/a"}, {"uri": "/srv/a"}]},
    {"unreachableStrategy": "disabled"},
    {"resourceLimits": {"cpus": 1, "mem": "unlimited"}},
    {"upgradeStrategy": {"minimumHealthCapacity": 0.5}},
    {"role": "web", "acceptedResourceRoles": ["*", "web"]},
    {"container": volume(hostPath="/srv", mode="RO")},
    {"container": volume(secret="pw"), **SECRET},
    {"container": volume(persistent={"size": 5, "type": "mount", "maxSize": 6,
                                     "constraints": [["path", "LIKE", "/a.*"]]})},
    {"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"},
     "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}},
]  # fmt: skip


@pytest.mark.parametrize("fields", TAKEN, ids=json.dumps)
def test_it_is_taken(fields: dict[str, object]) -> None:
    assert rejection(**fields) == {}


ONE = "AppDefinition must either contain one of 'cmd' or 'args'"

REFUSED: list[tuple[dict[str, object], str, str]] = [
    ({"id": "/"}, "/id", "must not be root"),
    ({"id": "../../etc/x"}, "/id", "must not lead above the root"),
    ({"id": "a/../../x"}, "/id", "must not lead above the root"),
    ({"id": "%2e%2e%2fetc"}, "/id", "must fully match regular expression"),
    ({"id": "a\n[Service]\nUser=root"}, "/id", "must fully match regular expression"),
    ({"id": "/a/versions"}, "/id", "must not end with any of the following reserved keywords"),
    ({"id": "a" * 256}, "/id", "at most 200 characters"),
    ({"cmd": None}, "/", ONE),
    ({"args": ["x"]}, "/", ONE),
    ({"cmd": None, "container": {"type": "MESOS"}}, "/", ONE),
    ({"cmd": ""}, "/cmd", "must not be an empty string"),
    ({"cmd": "a\0b"}, "/cmd", "control character"),
    ({"cmd": "x" * 200_000}, "/cmd", "bytes long"),
    ({"instances": -1}, "/instances", "got -1, expected 0 or more"),
    ({"instances": 10**9}, "/instances", "expected 100000 or less"),
    ({"cpus": 0}, "/cpus", "got 0, expected 0.001 or more"),
    ({"cpus": 1e308}, "/cpus", "or less"),
    ({"mem": -1}, "/mem", "expected 0 or more"),
    ({"mem": 2**62}, "/mem", "or less"),
    ({"gpus": 1}, "/gpus", "Feature gpu_resources is not enabled"),
    ({"backoffFactor": 0.5}, "/backoffFactor", "expected 1 or more"),
    ({"taskKillGracePeriodSeconds": -1}, "/taskKillGracePeriodSeconds", "expected 0 or more"),
    ({"resourceLimits": {"cpus": 0.5}}, "/resourceLimits/cpus", "got 0.5, expected 1 or more"),
    ({"executorResources": {"mem": 1}}, "/executorResources/mem", "expected 32 or more"),
    ({"upgradeStrategy": {"minimumHealthCapacity": 2}}, "/upgradeStrategy/minimumHealthCapacity",
     "got 2, expected 1 or less"),
    ({"upgradeStrategy": {"maximumOverCapacity": -0.1}}, "/upgradeStrategy/maximumOverCapacity",
     "expected 0 or more"),
    ({"unreachableStrategy": {"inactiveAfterSeconds": 9}}, "/unreachableStrategy",
     "less than or equal to expungeAfterSeconds"),
    ({"env": {"A=B": ""}}, "/env/A=B", "only alphanumeric chars or underscore"),
    ({"env": {"1X": ""}}, "/env/1X", "must not begin with a number"),
    ({"env": {"": ""}}, "/env/", "only alphanumeric chars or underscore"),
    ({"env": {"NOTIFY_SOCKET": "/x"}}, "/env/NOTIFY_SOCKET", "not for an app to set"),
    ({"env": {"LD_PRELOAD": "/x"}}, "/env/LD_PRELOAD", "not for an app to set"),
    ({"env": {"A": "\0"}}, "/env/A", "control character '\\x00'"),
    ({"env": {"A": "x" * 131_072}}, "/env/A", "bytes long"),
    ({"env": {f"A{at}": "x" * 65_536 for at in range(5)}}, "/env", "expected 262144 or less"),
    ({"env": {"A": {"secret": "no"}}}, "/env/A/secret", "references an undefined secret"),
    ({"secrets": {"../x": {"source": "a"}}}, "/secrets/../x", "names a file"),
    ({"secrets": {"a" * 255: {"source": "a"}}}, "/secrets/" + "a" * 80, "names a file"),
    ({"secrets": {"a": {"source": ""}}}, "/secrets/a/source", "must not be empty"),
    ({"labels": {"a": "x\n  server evil"}}, "/labels/a", "control character '\\n'"),
    ({"labels": {"a\r": "x"}}, "/labels", "control character '\\r'"),
    ({"labels": {"a": "\0"}}, "/labels/a", "control character"),
    ({"labels": {"a": "\x7f"}}, "/labels/a", "control character"),
    ({"labels": {"a": "x" * 70_000}}, "/labels", "expected 65536 or less"),
    ({"user": "nobody\n"}, "/user", "name or number of a user"),
    ({"user": "4294967295"}, "/user", "name or number of a user"),
    ({"user": "a b"}, "/user", "name or number of a user"),
    ({"constraints": [["x"]]}, "/constraints(0)", "either 2 or 3 fields"),
    ({"constraints": [["", "UNIQUE"]]}, "/constraints(0)", "Missing field"),
    ({"constraints": [["a", "NEAR"]]}, "/constraints(0)", "must be one of the following UNIQUE"),
    ({"constraints": [["a", "UNIQUE", "b"]]}, "/constraints(0)", "Value specified but not used"),
    ({"constraints": [["a", "LIKE"]]}, "/constraints(0)", "A regular expression value must be"),
    ({"constraints": [["a", "LIKE", "(?=x)"]]}, "/constraints(0)", "is not a valid regular exp"),
    ({"constraints": [["a", "LIKE", r"(a)\1"]]}, "/constraints(0)", "is not a valid regular exp"),
    ({"constraints": [["a", "UNLIKE", "x" * 2**20]]}, "/constraints(0)", "longer than 256"),
    ({"constraints": [["a", "MAX_PER"]]}, "/constraints(0)", "not specified or is not a number"),
    ({"constraints": [["a", "MAX_PER", "x"]]}, "/constraints(0)", "is not a number"),
    ({"constraints": [["a", "GROUP_BY", "0"]]}, "/constraints(0)", "is not a number"),
    ({"constraints": [["a", "GROUP_BY", "-1"]]}, "/constraints(0)", "is not a number"),
    ({"constraints": [["a", "GROUP_BY", "inf"]]}, "/constraints(0)", "is not a number"),
    ({"constraints": [["a", "IS"]]}, "/constraints(0)", "Missing value"),
    ({"networks": [{"mode": "host", "name": "x"}]}, "/networks", "may not have names or labels"),
    ({"networks": [{"mode": "container/bridge", "name": "x"}]}, "/networks", "not have names"),
    ({"networks": [{"mode": "container"}]}, "/networks", "Network name must be specified"),
    ({"networks": [{"name": "X!"}]}, "/networks(0)/name", "must fully match"),
    ({"networks": [{"name": "x"}, {"name": "x"}]}, "/networks", "Duplicate networks"),
    ({"networks": [{"mode": "host"}, {"name": "x"}]}, "/networks", "single host network"),
    ({"networks": [{"name": "x"}, {"name": "y"}], "container": {"docker": {"image": "a"}}}, "/",
     "single container network when using the Docker"),
    ({"networks": [{"mode": "host"}], "container": {"type": "MESOS", "portMappings": [{}]}}, "/",
     "portMappings are not allowed with host-networking"),
    ({"portDefinitions": [{"name": "a"}, {"name": "a"}]}, "/portDefinitions",
     "Port names must be unique."),
    ({"portDefinitions": [{"port": 1}, {"port": 1}]}, "/portDefinitions", "Ports must be unique."),
    ({"portDefinitions": [{"port": 65536}]}, "/portDefinitions(0)/port", "expected 65535 or less"),
    ({"portDefinitions": [{"protocol": "sctp"}]}, "/portDefinitions(0)/protocol", "tcp; udp"),
    ({"portDefinitions": [{"name": "A b"}]}, "/portDefinitions(0)/name", "must fully match"),
    ({"networks": BRIDGE, "container": {"type": "MESOS", "portMappings": [{"hostPort": -1}]}},
     "/container/portMappings(0)/hostPort", "expected 0 or more"),
    ({"networks": [{"name": "x"}, {"name": "y"}],
      "container": {"type": "MESOS", "portMappings": [{"hostPort": 1}]}},
     "/container/portMappings(0)", "networkNames must be a single item list"),
    ({"networks": [{"name": "x"}],
      "container": {"type": "MESOS", "portMappings": [{"networkNames": ["z"]}]}},
     "/container/portMappings(0)/networkNames(0)", "is not one of (x)"),
    ({"healthChecks": [{"portIndex": 1}]}, "/healthChecks(0)", "Health check port indices must"),
    ({"portDefinitions": [], "healthChecks": [{}]}, "/healthChecks(0)", "port indices must"),
    ({"healthChecks": [{"protocol": "MESOS_TCP", "portIndex": 1}]}, "/healthChecks(0)/portIndex",
     "must be less than 1"),
    ({"healthChecks": [{"protocol": "MESOS_TCP"}, {"protocol": "MESOS_HTTP"}]}, "/",
     "at most one Mesos health check"),
    ({"healthChecks": [{"protocol": "COMMAND"}]}, "/healthChecks(0)/command", "must be defined"),
    ({"healthChecks": [{"path": "//evil"}]}, "/healthChecks(0)/path", "path of a URL"),
    ({"healthChecks": [{"path": "/a\r\nHost: b"}]}, "/healthChecks(0)/path", "path of a URL"),
    ({"healthChecks": [{"ipProtocol": "IPv6"}]}, "/healthChecks(0)", "IPv6 can only be used"),
    ({"healthChecks": [{"intervalSeconds": -1}]}, "/healthChecks(0)/intervalSeconds", "0 or more"),
    ({"readinessChecks": [{}]}, "/readinessChecks(0)/portName", "No port definition reference"),
    ({"readinessChecks": [{"portName": "default", "timeoutSeconds": 30}]},
     "/readinessChecks(0)/timeoutSeconds", "got 30, expected less than 30"),
    ({"readinessChecks": [{"portName": "default"}, {"portName": "default", "name": "b"}]},
     "/readinessChecks", "got 2, expected 1 or less"),
    ({"readinessChecks": [{"portName": "default", "httpStatusCodesForReady": [99]}]},
     "/readinessChecks(0)/httpStatusCodesForReady", "100 to 999"),
    ({"check": {"http": {}, "tcp": {}}}, "/check", "exactly one of http, tcp and exec"),
    ({"check": {"tcp": {}}, "container": {"docker": {"image": "a"}}}, "/check", "not supported"),
    ({"container": {}}, "/container/docker", "not defined"),
    ({"container": {"docker": {"image": ""}}}, "/container/docker/image", "name of an image"),
    ({"container": {"docker": {"image": "a", "pullConfig": {"secret": "pw"}}}, **SECRET},
     "/container/docker/pullConfig", "not supported with Docker containerizer"),
    ({"container": {"type": "MESOS", "docker": {"image": "a", "pullConfig": {"secret": "pw"}}}},
     "/container/docker/pullConfig", "must refer to an existing secret"),
    ({"container": volume()}, "/container/volumes(0)", "exactly one of hostPath"),
    ({"container": volume(hostPath="/a", secret="b")}, "/container/volumes(0)", "exactly one of"),
    ({"container": volume(hostPath="/a/../b")}, "/container/volumes(0)/hostPath", "without .."),
    ({"container": volume(secret="no")}, "/container/volumes(0)", "refer to an existing secret"),
    ({"container": volume(external={"name": "a", "provider": "dvdi"})},
     "/container/volumes(0)/external", "Feature external_volumes is not enabled"),
    ({"container": volume(persistent={})}, "/container/volumes(0)/persistent/size", "1 or more"),
    ({"container": volume(containerPath="/a", persistent={"size": 1})},
     "/container/volumes(0)/containerPath", 'must not contain "/"'),
    ({"container": volume(persistent={"size": 1}, mode="RO")}, "/container/volumes(0)/mode", "RW"),
    ({"container": volume(persistent={"size": 1, "maxSize": 2})},
     "/container/volumes(0)/persistent", "Only mount volumes can have maxSize"),
    ({"container": volume(persistent={"size": 1, "constraints": [["path", "LIKE", "a"]]})},
     "/container/volumes(0)/persistent", "Constraints on root volumes"),
    ({"container": volume(persistent={"size": 1}), "upgradeStrategy": {}},
     "/upgradeStrategy/maximumOverCapacity", "got 1, expected 0.0"),
    ({"container": volume(persistent={"size": 1}), "unreachableStrategy": {}}, "/",
     "unreachableStrategy must be disabled"),
    ({"residency": {}}, "/", "must contain persistent volumes and define residency"),
    ({"fetch": [{"uri": ""}]}, "/fetch(0)/uri", "1 to 1024 characters"),
    ({"fetch": [{"uri": "gopher://h/a"}]}, "/fetch(0)/uri", "scheme gopher"),
    ({"fetch": [{"uri": "unix:/run/x.sock"}]}, "/fetch(0)/uri", "scheme unix"),
    ({"fetch": [{"uri": "http://good@evil/a"}]}, "/fetch(0)/uri", "must not hold a user"),
    ({"fetch": [{"uri": "http:///a"}]}, "/fetch(0)/uri", "invalid syntax"),
    ({"fetch": [{"uri": "http://h:x/a"}]}, "/fetch(0)/uri", "invalid syntax"),
    ({"fetch": [{"uri": "http://h/a b"}]}, "/fetch(0)/uri", "invalid syntax"),
    ({"fetch": [{"uri": "file:///etc/shadow"}]}, "/fetch(0)/uri", "never fetched"),
    ({"fetch": [{"uri": "file:///srv/../etc/shadow"}]}, "/fetch(0)/uri", "without .."),
    ({"fetch": [{"uri": "a/b"}]}, "/fetch(0)/uri", "invalid syntax"),
    ({"fetch": [{"uri": "http://h/a", "destPath": "../a"}]}, "/fetch(0)/destPath", "without .."),
    ({"fetch": [{"uri": "http://h/a", "destPath": "/a"}]}, "/fetch(0)/destPath", "below the sand"),
    ({"dependencies": ["/A_b"]}, "/dependencies(0)", "must fully match"),
    ({"role": "other"}, "/role", "expected one of: *, web"),
    ({"acceptedResourceRoles": []}, "/acceptedResourceRoles", "must not be empty"),
    ({"acceptedResourceRoles": ["x"]}, "/acceptedResourceRoles", "may only hold: *"),
    ({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "instances": 2}, "/",
     "Single instance app may only have one instance"),
    ({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "upgradeStrategy": {}},
     "/upgradeStrategy/minimumHealthCapacity", "got 1, expected 0.0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "path", "words"), REFUSED, ids=[f"{path} {words}" for _, path, words in REFUSED]
)
def test_it_is_refused(fields: dict[str, object], path: str, words: str) -> None:
    found = rejection(**fields)
    assert any(words in error for error in found.get(path, ())), found


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = rejection(cmd=None, instances=-1, constraints=[["a", "NEAR"]], user="a b")
    assert found.keys() == {"/", "/instances", "/constraints(0)", "/user"}


@pytest.mark.parametrize("regex", ["(a+)+$", "(.*)*" * 20, "((a{0,9}){0,9}){0,9}", "(?=x)", r"\C"])
def test_no_regular_expression_takes_long(regex: str) -> None:
    started = time.process_time()
    rejection(constraints=[["host", "LIKE", regex]])
    assert time.process_time() - started < 0.1
