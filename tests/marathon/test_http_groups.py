"""/v2/groups and /v2/deployments over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.marathon.face import Marathon, marathon
from tests.marathon.test_http_apps import raml_faults, result

#: Keys that strict clients refuse, so they are not answered.
ABSENT = ("enforceRole", "role")

SHOP = {
    "id": "/shop",
    "dependencies": ["/base"],
    "apps": [{"id": "web", "cmd": "sleep", "instances": 2, "dependencies": ["back/db"]}],
    "groups": [{"id": "back", "apps": [{"id": "db", "cmd": "sleep", "instances": 1}]}],
}


@pytest.fixture
def still() -> Iterator[Marathon]:
    with marathon(moving=False) as client:
        yield client


def put(client: Marathon, body: Any, path: str = "/v2/groups") -> str:
    return result(client.ask("PUT", f"{path}?force=true", body))


def test_the_root_is_always_there_and_an_unknown_group_is_not(still: Marathon) -> None:
    root = still.get("/v2/groups")
    assert (root["id"], root["apps"], root["groups"]) == ("/", [], [])
    assert raml_faults("group.raml", "GroupInfo", root, *ABSENT) == []
    found = still.ask("GET", "/v2/groups/x")
    assert (found.status_code, found.json()) == (404, {"message": "Group '/x' does not exist"})


def test_a_group_is_created_with_all_that_is_in_it(still: Marathon) -> None:
    found = still.ask("POST", "/v2/groups", SHOP)
    result(found, 201)
    assert found.headers["Location"] == f"{still.url}/shop"
    shop = still.get("/v2/groups//shop/")
    assert [app["id"] for app in shop["apps"]] == ["/shop/web"]
    assert shop["dependencies"] == ["/base"]
    assert shop["groups"][0]["apps"][0]["id"] == "/shop/back/db"
    assert raml_faults("group.raml", "GroupInfo", still.get("/v2/groups"), *ABSENT) == []
    assert [app["id"] for app in still.get("/v2/groups/shop/apps")] == [
        "/shop/back/db",
        "/shop/web",
    ]
    again = still.ask("POST", "/v2/groups", SHOP)
    assert again.status_code == 409
    assert again.json()["message"] == (
        "Group /shop is already created. Use PUT to change this group."
    )
    assert still.ask("POST", "/v2/groups", {"id": "/shop/web"}).status_code == 409


def test_what_is_embedded_decides_what_is_shown(still: Marathon) -> None:
    put(still, {"groups": [SHOP]})
    assert {"apps", "groups", "pods"} < set(still.get("/v2/groups/shop"))
    only = still.get("/v2/groups/shop?embed=group.apps&embed=group.apps.deployments")
    assert "groups" not in only
    assert only["apps"][0]["deployments"] != []
    assert "tasksRunning" not in only["apps"][0]
    counted = still.get("/v2/groups?embed=group.groups&embed=group.apps&embed=group.apps.counts")
    assert counted["groups"][0]["apps"][0]["tasksRunning"] == 0


def test_put_makes_a_group_hold_just_what_it_says(still: Marathon) -> None:
    put(still, {"groups": [SHOP]})
    put(still, {"apps": [{"id": "web", "cmd": "other"}]}, "/v2/groups/shop")
    assert [app["id"] for app in still.get("/v2/groups/shop/apps")] == ["/shop/web"]
    assert still.get("/v2/apps/shop/web")["app"]["cmd"] == "other"


def test_a_dry_run_tells_the_steps_and_changes_nothing(still: Marathon) -> None:
    found = still.ask("PUT", "/v2/groups?dryRun=true", {"groups": [SHOP]})
    assert found.status_code == 200
    assert raml_faults("deploymentSteps.raml", "DeploymentSteps", found.json()) == []
    assert found.json()["steps"] == [
        {
            "actions": [
                {"action": "StartApplication", "app": "/shop/back/db"},
                {"action": "StartApplication", "app": "/shop/web"},
            ]
        },
        {"actions": [{"action": "ScaleApplication", "app": "/shop/back/db"}]},
        {"actions": [{"action": "ScaleApplication", "app": "/shop/web"}]},
    ]
    assert still.get("/v2/apps") == {"apps": []}
    assert still.get("/v2/deployments") == []


def test_scale_by_multiplies_and_rounds_up(still: Marathon) -> None:
    put(still, {"groups": [SHOP]})
    put(still, {"scaleBy": 1.5}, "/v2/groups/shop")
    assert still.get("/v2/apps/shop/web")["app"]["instances"] == 3
    assert still.get("/v2/apps/shop/back/db")["app"]["instances"] == 2
    both = still.ask("PUT", "/v2/groups/shop?force=true", {"scaleBy": 2, "apps": []})
    assert both.status_code == 422


@pytest.mark.parametrize("form", ["body", "path"])
def test_a_group_goes_back_to_a_version(still: Marathon, form: str) -> None:
    put(still, {"groups": [SHOP]})
    first = still.get("/v2/groups/versions")[0]
    put(still, {"apps": []}, "/v2/groups/shop")
    then = still.get(f"/v2/groups/shop/versions/{first}")
    assert [app["id"] for app in then["apps"]] == ["/shop/web"]
    if form == "body":
        put(still, {"version": first}, "/v2/groups/shop")
    else:
        result(still.ask("PUT", f"/v2/groups/shop/versions/{first}?force=true"))
    assert len(still.get("/v2/groups/shop/apps")) == 2
    assert still.get("/v2/groups/shop/versions")[-1] == first


def test_deleting_a_group_stops_what_is_in_it(still: Marathon) -> None:
    put(still, {"groups": [SHOP], "apps": [{"id": "/a", "cmd": "sleep"}]})
    result(still.ask("DELETE", "/v2/groups/shop?force=true"))
    assert [app["id"] for app in still.get("/v2/apps")["apps"]] == ["/a"]
    assert still.ask("DELETE", "/v2/groups/shop").status_code == 404
    result(still.ask("DELETE", "/v2/groups?force=true"))
    assert still.get("/v2/apps") == {"apps": []}


def test_a_role_is_enforced_for_top_level_groups_alone(still: Marathon) -> None:
    put(still, {"groups": [SHOP]})
    found = still.ask("PATCH", "/v2/groups/shop", {"enforceRole": True})
    assert (found.status_code, found.content) == (200, b"")
    assert still.get("/v2/groups/shop")["enforceRole"] is True
    assert still.ask("PATCH", "/v2/groups/shop/back", {"enforceRole": True}).status_code == 422


def test_dependencies_that_go_in_circles_are_refused(still: Marathon) -> None:
    rows = [{"id": f"/{a}", "cmd": "xx", "dependencies": [f"/{b}"]} for a, b in ("ab", "ba")]
    found = still.ask("PUT", "/v2/apps", rows)
    assert found.status_code == 422
    assert "cyclic" in found.json()["message"]
    assert still.get("/v2/apps") == {"apps": []}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"apps": [{"id": "/other/a", "cmd": "sleep"}]}, "/apps(0)/id"),
        ({"apps": [{"id": "a", "cmd": "sleep", "cpus": 0}]}, "/apps(0)/cpus"),
        ({"groups": [{"id": "g", "apps": [{"id": "a", "mem": "x"}]}]}, "/groups(0)/apps(0)/mem"),
    ],
)
def test_what_is_wrong_in_a_group_is_told_with_its_path(
    still: Marathon, body: Any, path: str
) -> None:
    found = still.ask("PUT", "/v2/groups/shop", body)
    assert found.status_code == 422
    assert path in [row["path"] for row in found.json()["details"]]
    assert still.get("/v2/apps") == {"apps": []}


def test_a_deployment_is_shown_undone_or_ended_where_it_stands(still: Marathon) -> None:
    first = put(still, {"groups": [SHOP]})
    (row,) = still.get("/v2/deployments")
    assert row["affectedApps"] == ["/shop/back/db", "/shop/web"]
    assert (row["id"], row["currentStep"], row["totalSteps"]) == (first, 1, 3)
    assert [one["app"] for one in row["currentActions"]] == ["/shop/back/db", "/shop/web"]
    ended = still.ask("DELETE", f"/v2/deployments/{first}?force=true")
    assert (ended.status_code, ended.content) == (202, b"")
    assert still.get("/v2/deployments") == []
    assert len(still.get("/v2/apps")["apps"]) == 2
    second = put(still, {"apps": []}, "/v2/groups/shop")
    undone = result(still.ask("DELETE", f"/v2/deployments/{second}"))
    assert [one["id"] for one in still.get("/v2/deployments")] == [undone]
    assert len(still.get("/v2/apps")["apps"]) == 2
    unknown = still.ask("DELETE", "/v2/deployments/x")
    assert (unknown.status_code, unknown.json()) == (
        404,
        {"message": "DeploymentPlan x does not exist"},
    )


def test_more_than_a_hundred_deployments_at_once_are_refused(still: Marathon) -> None:
    for number in range(100):
        body = {"id": f"/a{number}", "cmd": "sleep", "instances": 0}
        assert still.ask("POST", "/v2/apps", body).status_code == 201
    found = still.ask("POST", "/v2/apps", {"id": "/more", "cmd": "sleep"})
    assert found.status_code == 403
