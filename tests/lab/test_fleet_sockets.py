"""Sockets that PID 1 holds: they start the daemon, outlive it, and are fleet's own path too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetish.lab.cluster import Lab

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parent.parent.parent
NODE = "node1"
PATHS = ("/run/fleetish/api.sock", "/var/run/fleet.sock")


@pytest.fixture(scope="module")
def c() -> Iterator[Lab]:
    """One member whose socket is held by PID 1."""
    with Lab(f"tu{os.getpid()}", machines=1) as lab:
        unit = (ROOT / "host" / "fleetish.socket").read_text()
        put = ["tee", "/etc/systemd/system/fleetish.socket"]
        lab.exec(NODE, put, stdin=unit, check=True)
        systemctl(lab, "stop", "fleetish.service")
        systemctl(lab, "daemon-reload")
        systemctl(lab, "enable", "--now", "fleetish.socket")
        yield lab


def systemctl(lab: Lab, *argv: str) -> str:
    return lab.exec(NODE, ["systemctl", *argv], check=True).stdout.strip()


def main_pid(lab: Lab) -> str:
    return systemctl(lab, "show", "-P", "MainPID", "fleetish.service")


def ask(lab: Lab, path: str, *where: str) -> tuple[int, Any]:
    """Status and JSON of a GET inside the host."""
    curl = ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", *where]
    text = lab.exec(NODE, [*curl, f"http://domain-sock{path}"], check=True).stdout
    body, _, status = text.rpartition("\n")
    return int(status), json.loads(body)


def registered(lab: Lab, socket: str) -> Any:
    """The machines as seen through a socket, once this one is registered."""
    curl = f"curl -sf --unix-socket {socket} http://domain-sock/fleet/v1/machines"
    again = ["sh", "-c", f"until {curl}; do sleep 0.1; done"]
    return json.loads(lab.exec(NODE, again, check=True, timeout=40).stdout)


def test_whoever_connects_starts_the_daemon_and_is_answered(c: Lab) -> None:
    systemctl(c, "stop", "fleetish.service")
    status, said = ask(c, "/fleet/v1/machines", "--unix-socket", PATHS[1])
    assert status in (200, 503)
    assert status == 200 or said["error"]["message"].startswith("fleet server unable")
    assert systemctl(c, "is-active", "fleetish.service") == "active"
    for path in PATHS:
        (one,) = registered(c, path)["machines"]
        assert one["primaryIP"] == c.record.host(NODE).address


def test_a_listener_of_the_settings_that_systemd_does_not_hold_is_opened_beside_it(c: Lab) -> None:
    registered(c, PATHS[0])
    there = ["--connect-to", "domain-sock:80:127.0.0.1:7100"]
    assert ask(c, "/fleet/v1/machines", *there)[0] == 200


def test_settings_that_are_read_again_keep_the_listeners(c: Lab) -> None:
    registered(c, PATHS[0])
    before = main_pid(c)
    systemctl(c, "kill", "--kill-whom=main", "-s", "HUP", "fleetish.service")
    for path in PATHS:
        assert ask(c, "/fleet/v1/machines", "--unix-socket", path)[0] == 200
    assert main_pid(c) == before


def test_a_client_that_comes_while_the_daemon_is_started_anew_waits(c: Lab) -> None:
    registered(c, PATHS[0])
    before = main_pid(c)
    systemctl(c, "restart", "--no-block", "fleetish.service")
    said = {ask(c, "/fleet/v1/units", "--unix-socket", PATHS[0])[0] for _ in range(20)}
    assert said <= {200, 503}
    registered(c, PATHS[0])
    assert main_pid(c) != before
