"""Tasks, the queue, and what is asked of the server itself, over HTTP."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from tests.marathon.face import Marathon, marathon
from tests.marathon.test_http_apps import SLEEP, raml_faults, result

PLAIN = {"Accept": "text/plain"}


@pytest.fixture
def client() -> Iterator[Marathon]:
    with marathon() as one:
        yield one


@pytest.fixture
def web(client: Marathon) -> Marathon:
    """Two tasks of /shop/web run."""
    client.ask("POST", "/v2/apps", SLEEP)
    client.idle()
    return client


def ids(client: Marathon) -> list[str]:
    return sorted(task["id"] for task in client.get("/v2/tasks")["tasks"])


def test_tasks_are_listed_with_their_service_ports(web: Marathon) -> None:
    body = web.get("/v2/tasks")
    assert raml_faults("task.raml", "TaskList", body) == []
    assert [task["servicePorts"] for task in body["tasks"]] == [[10000], [10000]]
    assert len(body["tasks"][0]["ports"]) == 1
    assert web.get("/v2/tasks?status=running") == body
    assert web.get("/v2/tasks?status[]=staging&status[]=nonsense") == {"tasks": []}


def test_scripts_get_tasks_as_lines(web: Marathon) -> None:
    found = web.ask("GET", "/v2/tasks", headers=PLAIN)
    assert found.headers["Content-Type"].startswith("text/plain")
    app, port, *ends = found.text.removesuffix("\t\n").split("\t")
    assert (app, port) == ("shop_web", "10000")
    assert sorted(end.partition(":")[0] for end in ends) == ["node1", "node2"]
    assert web.ask("GET", "/v2/apps/shop/web/tasks", headers=PLAIN).text == found.text
    web.ask("PUT", "/v2/apps/portless", {"cmd": "sleep", "portDefinitions": [], "cpus": 0.1})
    web.idle()
    text = web.ask("GET", "/v2/apps/portless/tasks", headers=PLAIN).text
    assert text in ("portless\t \tnode1\t\n", "portless\t \tnode2\t\n")


def test_a_killed_task_is_answered_and_another_takes_its_place(web: Marathon) -> None:
    before = ids(web)
    found = web.ask("DELETE", f"/v2/apps/shop/web/tasks/{before[0]}")
    assert (found.status_code, found.json()["task"]["id"]) == (200, before[0])
    web.until(
        "/v2/apps/shop/web",
        lambda body: body["app"]["tasksRunning"] == 2 and before[0] not in ids(web),
    )
    assert before[1] in ids(web)


def test_killing_with_scale_is_a_deployment_that_wants_fewer(web: Marathon) -> None:
    victim = ids(web)[0]
    result(web.ask("POST", "/v2/tasks/delete?scale=true", {"ids": [victim]}))
    web.idle()
    assert web.get("/v2/apps/shop/web")["app"]["instances"] == 1
    web.until("/v2/tasks", lambda body: len(body["tasks"]) == 1)
    assert victim not in ids(web)


def test_tasks_of_one_host_are_killed(web: Marathon) -> None:
    on_one = [task["id"] for task in web.get("/v2/tasks")["tasks"] if task["host"] == "node1"]
    found = web.ask("DELETE", "/v2/apps/shop/web/tasks?host=node1")
    assert [task["id"] for task in found.json()["tasks"]] == on_one
    assert web.ask("DELETE", "/v2/apps/shop/web/tasks?host=nowhere").json() == {"tasks": []}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("DELETE", "/v2/apps/shop/web/tasks/x", None, 404, "Task 'x' does not exist"),
        ("DELETE", "/v2/apps/x/tasks/x", None, 404, "App '/x' does not exist"),
        ("DELETE", "/v2/apps/shop/web/tasks?scale=true&wipe=true", None, 400, "You cannot use"),
        ("POST", "/v2/tasks/delete", {"ids": ["x y"]}, 400, "Invalid task id 'x y'"),
        ("POST", "/v2/tasks/delete", {"ids": "x"}, 422, "Invalid JSON"),
        ("POST", "/v2/tasks/delete", {}, 422, "Invalid JSON"),
        ("DELETE", "/v2/queue/x/delay", None, 404, "Application /x not found in tasks queue."),
        ("POST", "/logging", {"level": "loud", "logger": "x"}, 422, "Object is not valid"),
        ("GET", "/v2/plugins/x/y", None, 404, "Plugin 'x' does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_and_kills_nothing(
    web: Marathon, method: str, path: str, body: Any, status: int, message: str
) -> None:
    before = ids(web)
    found = web.ask(method, path, body)
    assert (found.status_code, found.json()["message"][: len(message)]) == (status, message)
    assert ids(web) == before


def test_ids_of_no_task_are_passed_over(web: Marathon) -> None:
    gone = "shop_web.instance-00000000-0000-0000-0000-000000000000._app.1"
    assert web.ask("POST", "/v2/tasks/delete", {"ids": [gone]}).json() == {"tasks": []}


def test_the_queue_says_which_machine_lacks_what(client: Marathon) -> None:
    client.ask("PUT", "/v2/apps", [{"id": "/big", "cmd": "sleep", "mem": 999_999}])
    (row,) = client.until(
        "/v2/queue?embed=lastUnusedOffers",
        lambda body: body["queue"] and body["queue"][0]["processedOffersSummary"]
        ["processedOffersCount"],
    )["queue"]  # fmt: skip
    summary = row["processedOffersSummary"]
    said = {one["reason"]: one["declined"] for one in summary["rejectSummaryLastOffers"]}
    assert said["InsufficientMemory"] == 2
    assert sum(said.values()) == 2
    assert (row["count"], row["app"]["id"], row["delay"]["overdue"]) == (1, "/big", True)
    assert row["lastUnusedOffers"][0]["reason"] == ["InsufficientMemory"]
    assert raml_faults("queue.raml", "QueueApp", row, "role") == []
    plain = client.get("/v2/queue")["queue"][0]
    assert not {"role", "pod", "lastUnusedOffers"} & set(plain)
    assert client.ask("DELETE", "/v2/queue/big/delay").status_code == 204


def test_who_asks_about_the_server_is_told_in_marathons_words(client: Marathon) -> None:
    info = client.get("/v2/info")
    assert raml_faults("info.raml", "MarathonInfo", info) == []
    assert (info["name"], info["elected"], info["leader"]) == ("marathon", True, "m:8080")
    assert client.get("/v2/leader") == {"leader": "m:8080"}
    assert client.get("/v2/plugins") == {"plugins": []}
    assert raml_faults("newMetrics.raml", "NewMetrics", client.get("/metrics")) == []
    assert "marathon_apps_active_gauge 0.0" in client.ask("GET", "/metrics/prometheus").text
    assert client.ask("GET", "/").headers["Location"] == "/ui/"
    assert client.ask("GET", "/ui/").headers["Content-Type"].startswith("text/html")
    assert client.ask("GET", "/help").status_code == 302


@pytest.mark.parametrize(
    ("accept", "status", "text"),
    [
        ("*/*", 200, "pong"),
        ("text/plain", 200, "pong"),
        ("application/json", 200, '"pong"'),
        ("image/png", 204, ""),
    ],
)
def test_ping_answers_as_it_is_asked(client: Marathon, accept: str, status: int, text: str) -> None:
    found = client.ask("GET", "/ping", headers={"Accept": accept})
    assert (found.status_code, found.text) == (status, text)


def test_a_leader_that_is_asked_to_abdicates_and_is_succeeded(client: Marathon) -> None:
    assert client.ask("DELETE", "/v2/leader?backup=file:///x").status_code == 422
    found = client.ask("DELETE", "/v2/leader")
    assert (found.status_code, found.json()) == (200, {"message": "Leadership abdicated"})
    client.until("/v2/info", lambda body: body.get("leader") == "m:8080")


def test_loggers_are_listed_and_set(client: Marathon) -> None:
    name = "fleetish.test.of.levels"
    assert client.ask("POST", "/logging", {"level": "ERROR", "logger": name}).status_code == 200
    assert client.get("/logging")[name] == "error"


def test_every_answer_has_marathons_headers(client: Marathon) -> None:
    for path in ("/v2/apps", "/ping", "/nothing"):
        found = client.ask("GET", path)
        assert found.headers["X-Marathon-Leader"] == "http://m:8080"
        assert found.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
        assert found.headers["X-Frame-Options"] == "DENY"


def test_who_has_the_newest_answer_is_told_so(web: Marathon) -> None:
    for path in ("/v2/apps?embed=apps.tasks", "/v2/groups", "/v2/apps/shop/web", "/v2/tasks"):
        found = web.ask("GET", path)
        same = {"If-None-Match": found.headers["ETag"]}
        again = web.ask("GET", path, headers=same)
        assert (again.status_code, again.content) == (304, b"")
        web.ask("PUT", "/v2/apps/shop/web?force=true", {"labels": {"path": path}})
        web.idle()
        assert web.ask("GET", path, headers=same).status_code == 200


def test_head_and_options_are_answered(web: Marathon) -> None:
    found = web.ask("HEAD", "/v2/apps/shop/web")
    assert (found.status_code, found.content) == (200, b"")
    methods = web.ask("OPTIONS", "/v2/apps")
    assert methods.status_code == 200
    assert set(methods.headers["Allow"].split(", ")) == {
        "GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS",
    }  # fmt: skip


def test_large_answers_are_compressed_for_those_who_take_that(client: Marathon) -> None:
    labels = {f"label{number}": "x" * 100 for number in range(500)}
    client.ask("POST", "/v2/apps", {"id": "/a", "cmd": "sleep", "instances": 0, "labels": labels})
    found = client.ask("GET", "/v2/apps", headers={"Accept-Encoding": "gzip"}, stream=True)
    packed = found.raw.read(decode_content=False)
    assert found.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 10_000 < len(gzip.decompress(packed))
    found = client.ask("GET", "/v2/apps", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in found.headers


def test_while_etcd_is_silent_reads_go_on_and_writes_say_so(web: Marathon) -> None:
    before = web.get("/v2/apps?embed=apps.tasks")
    web.cluster.kv.faults.cut = True
    web.cluster.etcd.wake()
    found = web.ask("PUT", "/v2/apps/shop/web", {"instances": 3})
    assert (found.status_code, found.headers["Retry-After"]) == (503, "1")
    assert web.get("/v2/apps?embed=apps.tasks") == before
    web.cluster.kv.faults.cut = False
    web.cluster.etcd.wake()
    assert web.ask("PUT", "/v2/apps/shop/web?force=true", {"instances": 3}).status_code == 200
