"""Unmodified clients of Marathon against a real cluster: Debian's python3-marathon, Prometheus."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from fleetish.lab.cluster import Lab

CLIENT = Path(__file__).parent.parent / "marathon" / "python_client.py"
PYTHON = "/usr/bin/python3"
HOST = "node1"

pytestmark = pytest.mark.lab

#: Finds every running task by itself, through the API of any host, and asks it each second.
PROMETHEUS = """
global: {scrape_interval: 1s}
scrape_configs:
- job_name: apps
  marathon_sd_configs: [{servers: ['http://node2:8080'], refresh_interval: 1s}]
  relabel_configs:
  - {source_labels: [__meta_marathon_app], target_label: app}
  - {source_labels: [__meta_marathon_app_label_tier], target_label: tier}
"""
#: An app with a page of figures; its first port is where it listens.
PAGE = "echo 'answer 42' > metrics; exec python3 -m http.server $PORT0"


@pytest.fixture(scope="module")
def c() -> Iterator[Lab]:
    with Lab(f"tk{os.getpid()}", machines=2) as lab:
        url = f"http://127.0.0.1:{lab.record.ports['marathon']}"
        until(lambda: answers(url))
        yield lab


def marathon(lab: Lab) -> str:
    """Where the lab speaks Marathon."""
    return f"http://127.0.0.1:{lab.record.ports['marathon']}"


def answers(url: str) -> bool:
    """True when an elected leader is known there."""
    try:
        return requests.get(f"{url}/v2/leader", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What comes to be true; nothing tells of it, as these are other programs."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it has not come true in time"
        time.sleep(0.2)
    return found


def test_debians_client_does_what_its_users_do(c: Lab) -> None:
    if subprocess.run([PYTHON, "-c", "import marathon"], check=False).returncode:
        pytest.skip("needs python3-marathon (apt-get install python3-marathon)")
    command = [PYTHON, str(CLIENT), marathon(c)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen.pop("info")[0] == "marathon"
    assert seen == {
        "leader": True,
        "ping": '"pong"',
        "metrics": ["counters", "gauges", "histograms", "meters", "timers", "version"],
        "created": ["/test/app", 3, 1],
        "tasks": ["TASK_RUNNING"],
        "filtered": ["/test/app"],
        "changed": "sleep 2000",
        "left": 1,
        "endpoints": 1,
        "versions": 5,
        "oldest": ["sleep 1000", 3],
        "complex": ["/test/complex", "localhost/alpine:none", 1],
        "queued": ["/test/complex"],
        "deploying": [["/test/complex"]],
        "gone": 404,
        "group": [2],
        "groups": ["/test"],
        "events": ["api_post_event", "deployment_info", "deployment_success"],
    }


def test_prometheus_finds_the_tasks_of_an_app_and_reads_their_figures(c: Lab) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("needs prometheus (apt-get install prometheus)")
    app = {
        "id": "/figures",
        "cmd": PAGE,
        "cpus": 0.1,
        "mem": 64,
        "instances": 2,
        "labels": {"tier": "web"},
        "constraints": [["hostname", "UNIQUE"]],
    }
    url = marathon(c)
    assert requests.post(f"{url}/v2/apps", json=app, timeout=10).status_code == 201
    started = (
        f"mkdir -p /tmp/prom && cat > /tmp/prom/prom.yml <<'E'\n{PROMETHEUS}\nE\n"
        "systemd-run -q --unit=prom prometheus --config.file=/tmp/prom/prom.yml"
        " --storage.tsdb.path=/tmp/prom/data --web.listen-address=127.0.0.1:9090"
    )
    c.exec(HOST, ["sh", "-c", started], check=True)
    try:
        rows = until(lambda: len(found := figures(c, 'answer{app="/figures"}')) == 2 and found)
    finally:
        c.exec(HOST, ["systemctl", "stop", "prom"], check=True)
        requests.delete(f"{url}/v2/apps/figures", timeout=10)
    assert {row["value"][1] for row in rows} == {"42"}
    assert {row["metric"]["tier"] for row in rows} == {"web"}
    assert {row["metric"]["instance"].partition(":")[0] for row in rows} == {"node1", "node2"}


def figures(lab: Lab, query: str) -> list[dict[str, Any]]:
    """What Prometheus knows; nothing while it does not answer."""
    where = f"http://127.0.0.1:9090/api/v1/query?query={quote(query)}"
    read = f"import urllib.request as u; print(u.urlopen({where!r}).read().decode())"
    done = lab.exec(HOST, [PYTHON, "-c", read])
    if done.returncode:
        return []
    found: list[dict[str, Any]] = json.loads(done.stdout)["data"]["result"]
    return found


def test_a_pods_containers_run_together_and_answer_where_its_status_says(c: Lab) -> None:
    url = marathon(c)
    serve = "echo from the side > page; while sleep 1; do :; done"
    pod = {
        "id": "/pair",
        "containers": [
            {
                "name": "web",
                "exec": {"command": {"shell": "exec python3 -m http.server $ENDPOINT_HTTP"}},
                "resources": {"cpus": 0.1, "mem": 64},
                "endpoints": [{"name": "http", "hostPort": 0, "protocol": ["tcp"]}],
                "volumeMounts": [{"name": "shared", "mountPath": "here"}],
                "healthCheck": {
                    "http": {"endpoint": "http", "path": "/here/page"},
                    "intervalSeconds": 1,
                    "delaySeconds": 1,
                },
            },
            {
                "name": "side",
                "exec": {"command": {"argv": ["/bin/sh", "-c", f"cd there && {serve}"]}},
                "resources": {"cpus": 0.1, "mem": 32},
                "volumeMounts": [{"name": "shared", "mountPath": "there"}],
            },
        ],
        "volumes": [{"name": "shared"}],
    }
    made = requests.post(f"{url}/v2/pods", json=pod, timeout=10)
    assert made.status_code == 201, made.text

    def stable() -> Any:
        body = requests.get(f"{url}/v2/pods/pair::status", timeout=10).json()
        return body if body["instances"] and body["status"] == "STABLE" else None

    (one,) = until(stable)["instances"]
    (end,) = one["containers"][0]["endpoints"]
    assert (end["name"], end["healthy"]) == ("http", True)
    where = f"http://{one['agentHostname']}:{end['allocatedHostPort']}/here/page"
    read = f"import urllib.request as u; print(u.urlopen({where!r}).read().decode())"
    assert c.exec(HOST, [PYTHON, "-c", read], check=True).stdout == "from the side\n\n"
    gone = requests.delete(f"{url}/v2/pods/pair", timeout=10)
    assert gone.status_code == 202
    until(lambda: requests.get(f"{url}/v2/deployments", timeout=10).json() == [])
    assert requests.get(f"{url}/v2/pods", timeout=10).json() == []
