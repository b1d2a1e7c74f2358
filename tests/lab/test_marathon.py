"""An app's life on real hosts, with curl alone, and what its hosts saw of it meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest

from bench.listening import looking
from fleetish.lab.cluster import Lab
from tests.lab.auditor import all_mains
from tests.lab.curl import Curl, curling

pytestmark = pytest.mark.lab

CHECK = {
    "protocol": "HTTP",
    "path": "/",
    "portIndex": 0,
    "gracePeriodSeconds": 20,
    "intervalSeconds": 1,
    "timeoutSeconds": 1,
    "maxConsecutiveFailures": 2,
}
WEB: dict[str, Any] = {
    "id": "/shop/web",
    "cmd": "echo one > index.html; exec python3 -m http.server $PORT0",
    "cpus": 0.1,
    "mem": 32,
    "instances": 3,
    "healthChecks": [CHECK],
}
#: Listens only after a while, and stays as small as a process of Python can be.
SLOW = (
    "sleep 1; exec python3 -ISc 'import os, socket\n"
    's = socket.create_server(("", int(os.environ["PORT0"])), backlog=9)\n'
    "while True: s.accept()[0].close()'"
)
FIFTY = {
    "id": "/fifty",
    "cmd": SLOW,
    "cpus": 0.02,
    "mem": 16,
    "instances": 50,
    "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 0.2},
    "healthChecks": [{**CHECK, "protocol": "TCP"}],
}
WEB_PATH = "/v2/apps/shop/web"
FLEETISH = (sys.executable, "-m", "fleetish.cli.main")


@pytest.fixture(scope="module")
def c() -> Iterator[Curl]:
    with Lab(f"tm{os.getpid()}", machines=3, settings={"machine_ttl": 5}) as lab, curling(lab) as c:
        yield c


def test_an_app_lives_through_changes_a_broken_version_and_a_lost_host(c: Curl) -> None:
    made = c.ask("POST", "/v2/apps", WEB)
    assert (made.status, made.body["id"]) == (201, "/shop/web")
    create = made.headers["marathon-deployment-id"]
    assert made.body["deployments"] == [{"id": create}]
    c.done(create)
    assert healthy(c) == 3
    first = answers(c)
    assert set(first.values()) == {"one"}

    scale = c.begin("PUT", WEB_PATH, {"instances": 5})
    assert [one["id"] for one in c.get("/v2/deployments")] == [scale]
    c.done(scale)
    assert first.items() < answers(c).items()

    change = c.begin("PUT", WEB_PATH, {"cmd": WEB["cmd"].replace("one", "two")})
    c.done(change)
    second = answers(c)
    assert (set(second.values()), second.keys() & first.keys()) == ({"two"}, set())

    broken = c.begin("PUT", WEB_PATH, {"cmd": "exit 7"})
    c.until(lambda: len(c.heard("status_update_event", taskStatus="TASK_FAILED")) >= 3)
    assert [one["id"] for one in c.get("/v2/deployments")] == [broken]
    failure = c.get(WEB_PATH)["app"]["lastTaskFailure"]
    assert (failure["state"], "7" in failure["message"]) == ("TASK_FAILED", True)
    locked = c.ask("PUT", WEB_PATH, {"instances": 1})
    assert (locked.status, locked.body["deployments"]) == (409, [{"id": broken}])
    restore = c.begin("DELETE", f"/v2/deployments/{broken}")
    c.done(restore)
    assert answers(c) == second, "what runs the old version already is left alone"

    lost = next(one["host"] for one in c.tasks("/shop/web") if one["host"] != "node1")
    c.lab.kill(lost)
    try:
        c.until(lambda: lost not in hosts(c) and healthy(c) == 5)
        kept = {task: said for task, said in second.items() if task in answers(c)}
        assert set(answers(c).values()) == {"two"}
        assert 0 < len(kept) < 5
    finally:
        c.lab.start(lost)

    destroy = c.begin("DELETE", WEB_PATH)
    c.done(destroy)
    c.until(lambda: c.heard("app_terminated_event", appId="/shop/web"))
    assert c.ask("GET", WEB_PATH).status == 404
    c.until(lambda: not any(all_mains(c.lab, "marathon_*").values()))
    told_in_order(c, [create, scale, change, broken, restore, destroy], broken)


def healthy(c: Curl) -> int:
    app = c.get(WEB_PATH)["app"]
    assert app["tasksUnhealthy"] == 0
    found: int = app["tasksHealthy"]
    return found


def hosts(c: Curl) -> set[str]:
    return {one["host"] for one in c.tasks("/shop/web")}


def answers(c: Curl) -> dict[str, str]:
    """What each task serves, asked from a host of the cluster at the address that the API gives."""
    found = {}
    for one in c.tasks("/shop/web"):
        where = f"http://{one['host']}:{one['ports'][0]}/"
        found[one["id"]] = c.lab.exec("node1", ["curl", "-sS", where], check=True).stdout.strip()
    return found


def told_in_order(c: Curl, deployments: list[str], cancelled: str) -> None:
    """Every deployment was told from its beginning to its end, one after another, and each event
    once."""
    ids = [one.id for one in c.told if one.id]
    assert len(ids) == len(set(ids))
    steps = ("deployment_info", "deployment_step_success", "deployment_success")
    for name in deployments:
        kinds = [one.kind for one in c.told if name in (one.body.get("id"), plan(one.body))]
        if name == cancelled:
            assert (kinds[0], kinds[-1]) == ("deployment_info", "deployment_failed")
            continue
        assert kinds[-1] == steps[-1]
        assert kinds[:-1] in ([*steps[:2]], [*steps[:2]] * 2)
    begun = [plan(one.body) for one in c.heard("deployment_info")]
    assert list(dict.fromkeys(begun)) == deployments
    posted = [one.body["uri"] for one in c.heard("api_post_event")]
    assert posted == ["/v2/apps", WEB_PATH, WEB_PATH, WEB_PATH]
    for kind in ("instance_health_changed_event", "health_status_changed_event"):
        assert len(c.heard(kind)) >= 10


def plan(body: dict[str, Any]) -> str:
    """The deployment whose step an event tells of."""
    return str(body.get("plan", {}).get("id", ""))


def test_a_rolling_restart_never_has_fewer_than_asked_though_the_engine_dies(c: Curl) -> None:
    c.done(c.begin("POST", "/v2/apps", FIFTY, 201))
    before = {one["id"] for one in c.tasks("/fifty")}
    since = len(c.told)
    with looking(c.lab) as looks:
        restart = c.begin("POST", "/v2/apps/fifty/restart")
        c.until(lambda: len(c.heard("status_update_event", since, taskStatus="TASK_KILLED")) >= 5)
        leader = c.get("/v2/leader")["leader"].partition(":")[0]
        died = c.lab.exec(leader, ["systemctl", "kill", "-s", "KILL", "fleetish"], check=True)
        assert died.returncode == 0
        assert [one["id"] for one in c.until(lambda: deploying(c))] == [restart]
        c.until(lambda: c.heard("deployment_success", id=restart), 120)
    after = {one["id"] for one in c.tasks("/fifty")}
    assert (len(after), before & after) == (50, set())
    assert looks.fewest >= 50
    assert 50 < looks.most <= 60
    assert len(looks.rows) >= 100, "too few looks to tell"
    c.done(c.begin("DELETE", "/v2/apps/fifty"))


def test_the_command_line_shows_logs_and_a_change_that_is_undone_at_its_deadline(c: Curl) -> None:
    run = ("run", "/cli", "cmd=echo one; exec sleep 600", "cpus=0.1", "mem=16", "instances=2")
    made = app(c, *run, "--timeout", "60")
    assert (made.returncode, made.stderr) == (0, "")
    with following(c, "/cli") as lines:
        c.until(lambda: lines.count("one") == 2)
        broken = app(c, "update", "/cli", "cmd=echo two; exit 7", "--deadline", "3")
        assert broken.returncode == 1
        assert "TASK_FAILED on node" in broken.stderr
        assert "failed: not done within 3 s" in broken.stderr
        assert lines.count("two") >= 2
    c.until(lambda: c.get("/v2/deployments") == [])
    c.until(lambda: [one["state"] for one in c.tasks("/cli")] == ["TASK_RUNNING"] * 2)
    assert "sleep 600" in app(c, "show", "/cli").stdout
    assert app(c, "destroy", "/cli", "--timeout", "60").returncode == 0


def environment(c: Curl) -> dict[str, str]:
    return {**os.environ, "MARATHON_URL": c.url, "FLEETISH_ENDPOINT": c.lab.endpoint}


def app(c: Curl, *words: str) -> subprocess.CompletedProcess[str]:
    """``fleetish app …`` from outside."""
    argv = [*FLEETISH, "app", *words]
    return subprocess.run(
        argv, env=environment(c), capture_output=True, text=True, timeout=90, check=False
    )


@contextmanager
def following(c: Curl, name: str) -> Iterator[list[str]]:
    """What an app's instances say, line by line, as long as the block lasts."""
    argv = [*FLEETISH, "app", "logs", "-f", name, "-o", "cat"]
    said: list[str] = []
    with subprocess.Popen(argv, env=environment(c), stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        reader = Thread(target=lambda: said.extend(map(last_word, logs.stdout or ())), daemon=True)
        reader.start()
        yield said
        logs.terminate()
        reader.join()


def last_word(line: str) -> str:
    return line.split()[-1]


def deploying(c: Curl) -> list[dict[str, Any]]:
    """What is under way, from whichever host answers."""
    found = c.ask("GET", "/v2/deployments")
    return found.body if found.status == 200 else []
