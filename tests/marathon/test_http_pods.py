"""/v2/pods over HTTP: pods whose containers are commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.marathon.face import Marathon, marathon
from tests.marathon.test_http_apps import raml_faults

POD: dict[str, Any] = {
    "id": "/shop/pair",
    "scaling": {"kind": "fixed", "instances": 2},
    "containers": [
        {
            "name": "web",
            "exec": {"command": {"shell": "sleep 1000"}},
            "resources": {"cpus": 0.1, "mem": 32},
            "endpoints": [{"name": "http", "hostPort": 0, "protocol": ["tcp"]}],
        },
        {
            "name": "side",
            "exec": {"command": {"argv": ["sleep", "1000"]}},
            "resources": {"cpus": 0.1, "mem": 32},
        },
    ],
}


@pytest.fixture
def client() -> Iterator[Marathon]:
    with marathon() as one:
        yield one


def stable(client: Marathon) -> Any:
    return client.until(
        "/v2/pods/shop/pair::status",
        lambda body: body["status"] == "STABLE" and len(body["instances"]) == 2,
    )


def plain(pod: Any) -> Any:
    """A pod without what Marathon's description has as one of several types."""
    assert pod["scaling"] == {"kind": "fixed", "instances": 2}
    return {key: value for key, value in pod.items() if key != "scaling"}


def test_pods_are_there_and_none_at_first(client: Marathon) -> None:
    assert client.ask("HEAD", "/v2/pods").status_code == 200
    assert client.get("/v2/pods") == []
    assert client.get("/v2/pods/::status") == []
    found = client.ask("GET", "/v2/pods/x")
    assert (found.status_code, found.json()) == (404, {"message": "Pod '/x' does not exist"})


def test_a_pod_lives_as_apps_do_but_is_none(client: Marathon) -> None:
    made = client.ask("POST", "/v2/pods", POD)
    assert made.status_code == 201, made.text
    assert made.headers["Marathon-Deployment-Id"]
    assert raml_faults("pod.raml", "Pod", plain(made.json())) == []
    body = stable(client)
    told = {**body, "spec": plain(body["spec"])}
    assert raml_faults("podStatus.raml", "PodStatus", told) == []
    one = body["instances"][0]
    assert [row["name"] for row in one["containers"]] == ["web", "side"]
    assert one["containers"][0]["endpoints"][0]["allocatedHostPort"] >= 31000
    assert {row["agentHostname"] for row in body["instances"]} == {"node1", "node2"}
    assert client.get("/v2/pods/::status")[0]["id"] == "/shop/pair"
    assert client.get("/v2/apps") == {"apps": []}
    assert client.get("/v2/tasks") == {"tasks": []}
    assert client.ask("GET", "/v2/apps/shop/pair").status_code == 404
    assert client.ask("DELETE", "/v2/apps/shop/pair").status_code == 404
    assert client.ask("PUT", "/v2/apps/shop/pair", {"cmd": "sleep"}).status_code == 404
    group = client.get("/v2/groups/shop")
    assert ([one["id"] for one in group["pods"]], group["apps"]) == (["/shop/pair"], [])


def test_a_pod_is_changed_kept_by_version_and_deleted(client: Marathon) -> None:
    client.ask("POST", "/v2/pods", POD)
    stable(client)
    client.idle()
    again = {**POD, "labels": {"a": "b"}}
    changed = client.ask("PUT", "/v2/pods/shop/pair", again)
    assert (changed.status_code, changed.json()["labels"]) == (200, {"a": "b"})
    (running,) = client.get("/v2/deployments")
    assert (running["affectedPods"], running["affectedApps"]) == (["/shop/pair"], [])
    assert running["steps"] == [{"actions": [{"action": "RestartPod", "pod": "/shop/pair"}]}]
    newest, oldest = client.get("/v2/pods/shop/pair::versions")
    then = client.get(f"/v2/pods/shop/pair::versions/{oldest}")
    assert ("labels" in then, then["version"]) == (False, oldest)
    assert newest == changed.json()["version"]
    client.idle()
    other = client.ask("PUT", "/v2/pods/shop/pair", {**POD, "id": "/other"})
    assert other.status_code == 400
    gone = client.ask("DELETE", "/v2/pods/shop/pair")
    assert (gone.status_code, gone.headers["Location"].rpartition("/")[2]) == (
        202,
        gone.headers["Marathon-Deployment-Id"],
    )
    client.idle()
    assert client.get("/v2/pods") == []


def test_instances_of_a_pod_are_killed_by_name(client: Marathon) -> None:
    client.ask("POST", "/v2/pods", POD)
    first, second = (row["id"] for row in stable(client)["instances"])
    killed = client.ask("DELETE", f"/v2/pods/shop/pair::instances/{first}")
    assert (killed.status_code, killed.json()["id"]) == (200, first)
    both = client.ask("DELETE", "/v2/pods/shop/pair::instances", [second, "nothing"])
    assert [row["id"] for row in both.json()] == [second]
    unknown = client.ask("DELETE", "/v2/pods/shop/pair::instances/nothing")
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "change", "status"),
    [
        ("POST", "/v2/pods", {"containers": []}, 422),
        ("POST", "/v2/pods", {"containers": [{"name": "a", "image": {"id": "x"}}]}, 422),
        ("POST", "/v2/pods", {"id": "/UPPER"}, 422),
        ("POST", "/v2/pods", {"id": 1}, 422),
        ("PUT", "/v2/pods/shop/pair", {}, 404),
        ("POST", "/v2/pods/shop/pair", {}, 405),
        ("GET", "/v2/pods/shop/pair::nothing", None, 404),
        ("DELETE", "/v2/pods/shop/pair", None, 404),
    ],
)
def test_what_cannot_be_a_pod_changes_nothing(
    client: Marathon, method: str, path: str, change: Any, status: int
) -> None:
    found = client.ask(method, path, None if change is None else {**POD, **change})
    assert found.status_code == status, found.text
    assert "message" in found.json()
    assert client.get("/v2/pods") == []


def test_a_group_that_is_put_keeps_its_pods(client: Marathon) -> None:
    client.ask("POST", "/v2/pods", POD)
    stable(client)
    client.idle()
    client.ask("PUT", "/v2/groups/shop", {"apps": []})
    assert len(client.get("/v2/pods")) == 1
    client.ask("DELETE", "/v2/groups/shop?force=true")
    assert client.get("/v2/pods") == []
