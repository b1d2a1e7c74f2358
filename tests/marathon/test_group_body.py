"""Bodies of groups."""

from __future__ import annotations

import json

import pytest

from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.group_body import GroupUpdate, read_enforce_role, read_group
from marathon_compat.apps.records import Group

NOW = "2026-01-02T00:00:00.000Z"


def errors(body: object, group: str = "/") -> dict[str, list[str]]:
    with pytest.raises(BadBody) as caught:
        read_group(json.dumps(body).encode(), group)
    details = caught.value.body()["details"]
    assert isinstance(details, list)
    return {row["path"]: row["errors"] for row in details}


def test_a_tree_is_read_with_absolute_ids() -> None:
    body = {
        "id": "shop",
        "dependencies": ["/base"],
        "apps": [{"id": "web", "cmd": "x", "dependencies": ["eu/db"]}],
        "groups": [
            {"id": "eu", "apps": [{"id": "/shop/eu/db", "cmd": "y"}], "dependencies": ["../us"]},
            {"id": "/shop/us"},
        ],
        "pods": [],
    }
    found = read_group(json.dumps(body).encode())
    assert [(app.id, app.dependencies) for app in found.apps] == [
        ("/shop/web", ("/shop/eu/db",)),
        ("/shop/eu/db", ()),
    ]
    assert found.groups == (
        Group(id="/shop", dependencies=("/base",)),
        Group(id="/shop/eu", dependencies=("/shop/us",)),
        Group(id="/shop/us"),
    )


@pytest.mark.parametrize(
    ("body", "group", "expected"),
    [({}, "/", "/"), ({}, "/a", "/a"), ({"id": "b"}, "/a", "/a/b"), ({"id": "/b"}, "/a", "/b")],
)
def test_the_group_is_that_of_the_url_or_one_in_it(
    body: dict[str, str], group: str, expected: str
) -> None:
    assert read_group(json.dumps(body).encode(), group).id == expected


def test_a_version_or_a_factor_is_said_alone() -> None:
    assert read_group(f'{{"version": "{NOW}"}}'.encode(), "/a") == GroupUpdate("/a", version=NOW)
    assert read_group(b'{"scaleBy": 2}', "/a") == GroupUpdate("/a", scale_by=2.0)
    alone = ["not allowed in conjunction with other properties"]
    assert errors({"version": NOW, "apps": []}) == {"/version": alone}
    assert errors({"scaleBy": 2, "dependencies": []}) == {"/scaleBy": alone}
    assert errors({"scaleBy": -1}) == {"/scaleBy": ["got -1, expected 0 to 100000"]}
    assert list(errors({"version": "old"})) == ["/version"]


def test_what_a_group_holds_is_a_child_of_it() -> None:
    found = errors({
        "id": "/a",
        "apps": [{"id": "/b", "cmd": "x"}, {"id": "c/d", "cmd": "x"}],
        "groups": [{"id": "/e"}, {"id": "."}],
    })  # fmt: skip
    sentence = ["Identifier is not child of /a. Hint: use relative paths."]
    assert {key: found[key] for key in found if key != "/"} == {
        "/apps(0)/id": sentence,
        "/apps(1)/id": sentence,
        "/groups(0)/id": sentence,
        "/groups(1)/id": sentence,
    }


def test_no_id_leads_above_the_root() -> None:
    sentence = ["must not lead above the root"]
    assert errors({"id": "../../b"}, "/a")["/id"] == sentence
    inner = {"id": "/a", "apps": [{"id": "../../b", "cmd": "x"}]}
    assert sentence[0] in errors(inner)["/apps(0)/id"]


def test_no_two_things_share_an_id() -> None:
    body = {"id": "/a", "apps": [{"id": "b", "cmd": "x"}], "groups": [{"id": "b"}]}
    assert errors(body) == {"/": ["Every app and every group must have an id of its own: /a/b"]}


def test_all_apps_are_checked_with_their_place() -> None:
    body = {
        "id": "/A",
        "apps": [{"id": "b", "cmd": "x", "instances": -1}],
        "groups": [{"id": "c", "apps": [{"id": "d"}], "dependencies": ["X_"]}],
    }
    assert {"/id", "/apps(0)/instances", "/groups(0)/apps(0)", "/groups(0)/dependencies(0)"} <= set(
        errors(body)
    )


def test_the_role_of_a_group_is_changed_alone() -> None:
    assert read_enforce_role(b'{"enforceRole": true}') is True
    with pytest.raises(BadBody, match=r"/enforceRole: error.path.missing"):
        read_enforce_role(b"{}")
