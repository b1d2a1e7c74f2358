"""/v2/apps over HTTP: codes, bodies and headers as Marathon's clients know them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.marathon import raml
from tests.marathon.face import Marathon, marathon

SLEEP = {"id": "/shop/web", "cmd": "sleep 1000", "cpus": 0.1, "instances": 2}
TIMES = {"version", "versionInfo"}


@pytest.fixture
def still() -> Iterator[Marathon]:
    with marathon(moving=False) as client:
        yield client


@pytest.fixture
def moving() -> Iterator[Marathon]:
    with marathon() as client:
        yield client


def result(found: Any, status: int = 200) -> str:
    """The deployment's id in the answer to a change that was taken."""
    body = found.json()
    assert found.status_code == status, found.text
    assert found.headers["Marathon-Deployment-Id"] == body["deploymentId"]
    assert raml_faults("deploymentResult.raml", "DeploymentResult", body) == []
    return str(body["deploymentId"])


def raml_faults(file: str, name: str, body: Any, *missing: str) -> list[str]:
    return raml.faults(file, name, body, missing=frozenset(missing)) if raml.here() else []


def test_a_created_app_is_answered_whole_with_201_and_its_deployment(still: Marathon) -> None:
    found = still.ask("POST", "/v2/apps", SLEEP)
    body = found.json()
    assert found.status_code == 201
    assert found.headers["Location"] == f"{still.url}/shop/web"
    assert body["deployments"] == [{"id": found.headers["Marathon-Deployment-Id"]}]
    assert [body[f"tasks{word}"] for word in ("Staged", "Running", "Healthy", "Unhealthy")] == [
        0, 0, 0, 0,
    ]  # fmt: skip
    assert body["portDefinitions"] == [{"port": 10000, "protocol": "tcp", "name": "default"}]
    assert [row["id"] for row in still.get("/v2/deployments")] == [body["deployments"][0]["id"]]


def test_an_id_that_is_taken_is_a_conflict(still: Marathon) -> None:
    still.ask("POST", "/v2/apps", SLEEP)
    found = still.ask("POST", "/v2/apps?force=true", {**SLEEP, "id": "shop/web"})
    assert (found.status_code, found.json()) == (
        409,
        {"message": "An app with id [/shop/web] already exists."},
    )


def test_an_app_that_a_deployment_holds_is_changed_by_force_alone(still: Marathon) -> None:
    first = still.ask("POST", "/v2/apps", SLEEP).headers["Marathon-Deployment-Id"]
    found = still.ask("PUT", "/v2/apps/shop/web", {"instances": 3})
    assert found.status_code == 409
    assert found.json()["deployments"] == [{"id": first}]
    assert found.json()["message"].startswith(
        "App is locked by one or more deployments. Override with the option '?force=true'."
    )
    forced = result(still.ask("PUT", "/v2/apps/shop/web?force=True", {"instances": 3}))
    assert [row["id"] for row in still.get("/v2/deployments")] == [forced]
    assert still.get("/v2/apps/shop/web")["app"]["instances"] == 3


@pytest.mark.parametrize("path", ["/v2/apps/shop/web", "/v2/apps//shop/web", "/v2/apps/shop/web/"])
def test_a_single_app_always_has_its_tasks_and_counters(moving: Marathon, path: str) -> None:
    moving.ask("POST", "/v2/apps", SLEEP)
    moving.idle()
    app = moving.get(path)["app"]
    assert (app["tasksRunning"], len(app["tasks"]), app["deployments"]) == (2, 2, [])
    task = app["tasks"][0]
    assert task["state"] == "TASK_RUNNING"
    assert task["appId"] == "/shop/web"
    assert task["id"].startswith("shop_web.instance-")
    assert task["servicePorts"] == []
    assert task["version"] == app["version"]
    assert raml_faults("app.raml", "AppInfo", app) == []
    assert raml_faults("task.raml", "Task", task) == []


def test_what_is_embedded_in_lists_is_what_was_asked_for(moving: Marathon) -> None:
    moving.ask("POST", "/v2/apps", SLEEP)
    moving.idle()
    bare = moving.get("/v2/apps")["apps"][0]
    assert "tasks" not in bare
    assert bare["tasksRunning"] == 2
    assert bare["deployments"] == []
    for word in ("apps.tasks", "app.tasks", "group.apps.tasks", "tasks"):
        assert len(moving.get(f"/v2/apps/?embed={word}&embed=nonsense")["apps"][0]["tasks"]) == 2
    stats = moving.get("/v2/apps?embed=apps.taskStats")["apps"][0]["taskStats"]
    assert stats["totalSummary"]["stats"]["counts"] == {
        "staged": 0, "running": 2, "healthy": 0, "unhealthy": 0,
    }  # fmt: skip
    assert raml_faults("task.raml", "TaskStatsByVersion", stats) == []


def test_filters_hold_together_and_selectors_are_checked(still: Marathon) -> None:
    rows = [
        {"id": "/a", "cmd": "run Java", "labels": {"tier": "web"}, "instances": 0},
        {"id": "/b/a", "cmd": "sleep", "labels": {"tier": "db"}, "instances": 0},
    ]
    result(still.ask("PUT", "/v2/apps", rows))

    def names(query: str) -> list[str]:
        return [app["id"] for app in still.get(f"/v2/apps?{query}")["apps"]]

    assert names("") == ["/a", "/b/a"]
    assert names("cmd=java") == ["/a"]
    assert names("id=B") == ["/b/a"]
    assert names("label=tier%3D%3Ddb") == ["/b/a"]
    assert names("label=tier&cmd=java&id=b") == []
    wrong = still.ask("GET", "/v2/apps?label=tier%3D")
    assert (wrong.status_code, list(wrong.json())) == (422, ["message"])
    assert [app["id"] for app in still.get("/v2/apps/b/*")["*"]] == ["/b/a"]
    assert [app["id"] for app in still.get("/v2/apps/*")["*"]] == ["/a", "/b/a"]


def test_put_creates_with_201_and_updates_in_part_unless_told_otherwise(still: Marathon) -> None:
    made = still.ask("PUT", "/v2/apps/a", {"id": "/other", "cmd": "sleep", "mem": 64})
    result(made, 201)
    assert made.headers["Location"] == f"{still.url}/a"
    result(still.ask("PUT", "/v2/apps/a?force=true", {"env": {"A": "1"}}))
    app = still.get("/v2/apps/a")["app"]
    assert (app["cmd"], app["mem"], app["env"]) == ("sleep", 64.0, {"A": "1"})
    result(still.ask("PUT", "/v2/apps/a?force=true&partialUpdate=false", {"cmd": "sleep 2"}))
    app = still.get("/v2/apps/a")["app"]
    assert (app["cmd"], app["mem"], "env" in app) == ("sleep 2", 128.0, False)


def test_patch_never_creates_and_a_bulk_is_taken_whole_or_not_at_all(still: Marathon) -> None:
    result(still.ask("PUT", "/v2/apps", [{"id": "/a", "cmd": "sleep"}]))
    lone = still.ask("PATCH", "/v2/apps/b", {"cmd": "sleep"})
    assert (lone.status_code, lone.json()) == (404, {"message": "App '/b' does not exist"})
    rows = [{"id": "/a", "cmd": "changed"}, {"id": "/b", "cmd": "sleep"}]
    assert still.ask("PATCH", "/v2/apps?force=true", rows).status_code == 404
    bad = [{"id": "/a", "cmd": "changed"}, {"id": "/b", "cmd": "sleep", "cpus": -1}]
    refused = still.ask("PUT", "/v2/apps?force=true", bad)
    assert refused.status_code == 422
    assert [row["path"] for row in refused.json()["details"]] == ["(1)/cpus"]
    assert still.get("/v2/apps/a")["app"]["cmd"] == "sleep"
    result(still.ask("PATCH", "/v2/apps?force=true", rows[:1]))
    assert still.get("/v2/apps/a")["app"]["cmd"] == "changed"


def test_versions_are_listed_shown_and_gone_back_to(still: Marathon) -> None:
    still.ask("POST", "/v2/apps", {"id": "/a", "cmd": "one", "instances": 0})
    still.ask("PUT", "/v2/apps/a?force=true", {"cmd": "two"})
    newest, oldest = still.get("/v2/apps/a/versions")["versions"]
    assert newest > oldest
    then = still.get(f"/v2/apps/a/versions/{oldest}")
    assert (then["cmd"], then["version"], "tasksRunning" in then) == ("one", oldest, False)
    result(still.ask("PUT", "/v2/apps/a?force=true", {"version": oldest}))
    assert still.get("/v2/apps/a")["app"]["cmd"] == "one"
    assert still.ask("GET", "/v2/apps/a/versions/yesterday").status_code == 422
    assert still.ask("GET", "/v2/apps/b/versions").status_code == 404
    mixed = still.ask("PUT", "/v2/apps/a?force=true", {"version": oldest, "cmd": "x"})
    assert mixed.status_code == 422


def test_restart_replaces_instances_and_delete_forgets_the_app(moving: Marathon) -> None:
    moving.ask("POST", "/v2/apps", SLEEP)
    moving.idle()
    before = {task["id"] for task in moving.get("/v2/apps/shop/web/tasks")["tasks"]}
    result(moving.ask("POST", "/v2/apps/shop/web/restart"))
    moving.idle()
    after = {task["id"] for task in moving.get("/v2/apps/shop/web/tasks")["tasks"]}
    assert len(after) == 2
    assert not before & after
    result(moving.ask("DELETE", "/v2/apps/shop/web"))
    moving.until("/v2/tasks", lambda body: body == {"tasks": []})
    assert moving.ask("GET", "/v2/apps/shop/web").status_code == 404
    assert moving.get("/v2/apps") == {"apps": []}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/v2/apps/x", None, 404, "App '/x' does not exist"),
        ("DELETE", "/v2/apps/x", None, 404, "App '/x' does not exist"),
        ("POST", "/v2/apps/x/restart", None, 404, "App '/x' does not exist"),
        ("GET", "/v2/apps/x/tasks", None, 404, "App '/x' does not exist"),
        ("GET", "/v2/apps/x/*", None, 404, "Group '/x' does not exist"),
        ("PUT", "/v2/apps/x", {"version": "2026-01-01T00:00:00.000Z"}, 404, "App '/x' does"),
        ("POST", "/v2/apps", {"id": 1, "cmd": "x"}, 422, "Invalid JSON"),
        ("POST", "/v2/apps", {"cmd": "sleep"}, 422, "Invalid JSON"),
        ("POST", "/v2/apps", {"id": "/A", "cmd": "sleep"}, 422, "Object is not valid"),
        ("PUT", "/v2/apps", {"id": "/a"}, 422, "Invalid JSON"),
        ("PUT", "/v2/apps/x", {"instances": -1, "cmd": "xx"}, 422, "Object is not valid"),
        ("POST", "/v2/apps/x", {"id": "/x"}, 405, "Method Not Allowed"),
        ("GET", "/v2/nothing", None, 404, "URI not found"),
        ("GET", "/v3/apps", None, 404, "URI not found"),
    ],
)
def test_what_is_wrong_is_told_in_marathons_shape(
    still: Marathon, method: str, path: str, body: Any, status: int, message: str
) -> None:
    found = still.ask(method, path, body)
    assert (found.status_code, found.json()["message"][: len(message)]) == (status, message)
    assert set(found.json()) <= {"message", "details"}
    assert still.get("/v2/apps") == {"apps": []}
    assert still.get("/v2/deployments") == []


@pytest.mark.parametrize(
    ("text", "headers", "status", "message"),
    [
        ("{", {"Content-Type": "application/json"}, 400, "Invalid JSON"),
        ("", {"Content-Type": "application/json"}, 400, "Please specify data in JSON format"),
        ("{}", {"Content-Type": "text/plain"}, 415, "Unsupported Media Type"),
        ("a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "Unsupported Media"),
        ('{"id": "/x", "id": "/y"}', {}, 400, "Invalid JSON"),
        ("[" * 100_000, {}, 400, "Invalid JSON"),
        ('{"id": "/\\ud800"}', {}, 400, "Invalid JSON"),
    ],
)
def test_a_body_that_is_no_json_changes_nothing(
    still: Marathon, text: str, headers: dict[str, str], status: int, message: str
) -> None:
    found = still.ask("POST", "/v2/apps", data=text, headers=headers)
    assert (found.status_code, found.json()["message"][: len(message)]) == (status, message)
    assert still.get("/v2/apps") == {"apps": []}


def test_an_id_is_never_an_app_and_a_group(still: Marathon) -> None:
    still.ask("POST", "/v2/apps", {"id": "/a/b", "cmd": "sleep"})
    for name in ("/a", "/a/b/c"):
        found = still.ask("POST", "/v2/apps", {"id": name, "cmd": "sleep"})
        assert found.status_code == 422
        assert "may not have the same identifier" in found.json()["details"][0]["errors"][0]


def test_service_ports_are_given_once_and_500_says_that_none_is_left(still: Marathon) -> None:
    half = {"cmd": "sleep", "instances": 0, "portDefinitions": [{"port": 0}] * 5_000}
    for name in ("/a", "/b"):
        assert still.ask("POST", "/v2/apps", {**half, "id": name}).status_code == 201
    ports = [row["port"] for app in still.get("/v2/apps")["apps"] for row in app["portDefinitions"]]
    assert sorted(ports) == list(range(10_000, 20_000))
    still.ask("POST", "/v2/apps", {"id": "/c", "cmd": "sleep", "instances": 0})
    refused = still.ask("POST", "/v2/apps", {"id": "/d", "cmd": "sleep", "instances": 0})
    assert refused.status_code == 500
    assert "service port" in refused.json()["message"]
