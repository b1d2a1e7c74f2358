"""Bodies of another shape: every fault at once, in Play JSON's words."""

from __future__ import annotations

import pytest

from marathon_compat.apps.decode import read_app, read_updates
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.group_body import read_group


def faults(body: str) -> dict[str, list[str]]:
    """What is answered to a new app: errors by path."""
    with pytest.raises(BadBody) as caught:
        read_app(body.encode())
    answer = caught.value.body()
    assert (caught.value.status, answer["message"]) == (422, "Invalid JSON")
    details = answer["details"]
    assert isinstance(details, list)
    return {row["path"]: row["errors"] for row in details}


@pytest.mark.parametrize(
    ("body", "path", "error"),
    [
        ('{"cmd": "a"}', "/id", "error.path.missing"),
        ('{"id": null}', "/id", "error.path.missing"),
        ('{"id": 5}', "/id", "error.expected.jsstring"),
        ('{"id": "a", "instances": "2"}', "/instances", "error.expected.jsnumber"),
        ('{"id": "a", "instances": 1.5}', "/instances", "error.expected.int"),
        ('{"id": "a", "instances": true}', "/instances", "error.expected.jsnumber"),
        ('{"id": "a", "instances": 1e400}', "/instances", "error.expected.int"),
        ('{"id": "a", "instances": 9223372036854775808}', "/instances", "error.expected.int"),
        ('{"id": "a", "cpus": "1"}', "/cpus", "error.expected.jsnumber"),
        ('{"id": "a", "cpus": NaN}', "/cpus", "error.expected.jsnumber"),
        ('{"id": "a", "mem": 1e400}', "/mem", "error.expected.jsnumber"),
        ('{"id": "a", "requirePorts": "true"}', "/requirePorts", "error.expected.jsboolean"),
        ('{"id": "a", "args": "x"}', "/args", "error.expected.jsarray"),
        ('{"id": "a", "args": ["x", 1]}', "/args(1)", "error.expected.jsstring"),
        ('{"id": "a", "args": [null]}', "/args(0)", "error.expected.jsstring"),
        ('{"id": "a", "labels": []}', "/labels", "error.expected.jsobject"),
        ('{"id": "a", "labels": {"b": 1}}', "/labels/b", "error.expected.jsstring"),
        ('{"id": "a", "env": {"B": 1}}', "/env/B", "error.expected.jsstring"),
        ('{"id": "a", "env": {"B": {}}}', "/env/B/secret", "error.path.missing"),
        ('{"id": "a", "constraints": [["x", "UNIQUE"], "y"]}', "/constraints(1)",
         "error.expected.jsarray"),
        ('{"id": "a", "container": {"docker": {}}}', "/container/docker/image",
         "error.path.missing"),
        ('{"id": "a", "container": []}', "/container", "error.expected.jsobject"),
        ('{"id": "a", "fetch": [{}]}', "/fetch(0)/uri", "error.path.missing"),
        ('{"id": "a", "uris": [1]}', "/uris(0)", "error.expected.jsstring"),
        ('{"id": "a", "ports": ["80"]}', "/ports(0)", "error.expected.jsnumber"),
        ('{"id": "a", "upgradeStrategy": {"minimumHealthCapacity": "1"}}',
         "/upgradeStrategy/minimumHealthCapacity", "error.expected.jsnumber"),
        ('{"id": "a", "check": {"http": []}}', "/check/http", "error.expected.jsobject"),
        ("[]", "/", "error.expected.jsobject"),
        ("5", "/", "error.expected.jsobject"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_named_by_its_path(body: str, path: str, error: str) -> None:
    assert faults(body) == {path: [error]}


def test_an_unknown_word_is_answered_with_the_known_ones() -> None:
    found = faults('{"id": "a", "killSelection": "RANDOM", "healthChecks": [{"protocol": "GRPC"}]}')
    assert found["/killSelection"][0].startswith("error.unknown.enum.literal")
    assert "OLDEST_FIRST, YOUNGEST_FIRST" in found["/killSelection"][0]
    assert "MESOS_TCP" in found["/healthChecks(0)/protocol"][0]


def test_all_faults_are_told_at_once() -> None:
    assert faults('{"cmd": 1, "cpus": "x", "fetch": [{"uri": 2}, {}]}') == {
        "/id": ["error.path.missing"],
        "/cmd": ["error.expected.jsstring"],
        "/cpus": ["error.expected.jsnumber"],
        "/fetch(0)/uri": ["error.expected.jsstring"],
        "/fetch(1)/uri": ["error.path.missing"],
    }


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert read_app(b'{"id": "a", "cmd": "b", "instances": 3.0}').instances == 3


def test_faults_in_a_list_of_apps_carry_their_place() -> None:
    with pytest.raises(BadBody) as caught:
        read_updates(b'[{"id": "a", "cpus": []}, {"cmd": "b"}, 5]')
    assert caught.value.body()["details"] == [
        {"path": "(0)/cpus", "errors": ["error.expected.jsnumber"]},
        {"path": "(1)/id", "errors": ["error.path.missing"]},
        {"path": "(2)", "errors": ["error.expected.jsobject"]},
    ]


def test_faults_in_a_tree_of_groups_carry_their_place() -> None:
    with pytest.raises(BadBody) as caught:
        read_group(b'{"groups": [{"id": "b", "apps": [{"cmd": "x"}]}, {"apps": []}]}')
    assert caught.value.body()["details"] == [
        {"path": "/groups(0)/apps(0)/id", "errors": ["error.path.missing"]},
        {"path": "/groups(1)/id", "errors": ["error.path.missing"]},
    ]
