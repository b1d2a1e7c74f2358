"""fleetctl on real hosts: the name is a symbolic link, the words and streams are fleet's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from fleetish.lab.cluster import Lab

pytestmark = pytest.mark.lab

HELLO = (
    "[Unit]\nDescription=Hello\n[Service]\nExecStart=/bin/sh -c 'echo I am %n; exec sleep 1000'\n"
)
FILES = {
    "ctl-hello.service": HELLO,
    "ctl@.service": HELLO,
    "ctl-once.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "ctl-bad.service": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    "ctl-all.service": HELLO + "[X-Fleet]\nGlobal=true\n",
}
SETUP = """
mkdir -p /tmp/ctl/bin && ln -sf /opt/fleetish/venv/bin/fleetish /tmp/ctl/bin/fleetctl
printf %s "$1" >"/tmp/ctl/$2"
"""


@pytest.fixture(scope="module", autouse=True)
def files(lab: Lab) -> Iterator[None]:
    for name, text in FILES.items():
        lab.exec("node1", ["sh", "-c", SETUP, "-", text, name], check=True)
    yield
    fleetctl(lab, "destroy", *FILES, "ctl@1", "ctl@2", "ctl@3")


def fleetctl(lab: Lab, *argv: str) -> subprocess.CompletedProcess[str]:
    script = 'cd /tmp/ctl && PATH=/tmp/ctl/bin:$PATH exec fleetctl "$@"'
    return lab.exec("node1", ["sh", "-c", script, "-", *argv])


def rows(lab: Lab, unit: str) -> list[list[str]]:
    """The rows of list-units for a unit, cut at white space as scripts do."""
    listed = fleetctl(lab, "list-units", "--no-legend", "--full").stdout.splitlines()
    return [line.split() for line in listed if line.startswith(unit)]


def test_a_unit_goes_through_its_life(lab: Lab) -> None:
    started = fleetctl(lab, "start", "ctl-hello.service")
    assert started.returncode == 0, started.stderr
    created, launched = started.stdout.splitlines()
    assert created == "Unit ctl-hello.service inactive"
    assert launched.startswith("Unit ctl-hello.service launched on ")
    ((unit, machine, active, sub),) = rows(lab, "ctl-hello")
    assert (unit, active, sub) == ("ctl-hello.service", "active", "running")
    assert launched.endswith(f"{machine[:8]}.../{machine.partition('/')[2]}")

    status = fleetctl(lab, "status", "ctl-hello")
    assert (status.returncode, "Active: active (running)" in status.stdout) == (0, True)
    journal = fleetctl(lab, "journal", "--lines=20", "--output", "cat", "ctl-hello.service")
    assert "I am ctl-hello.service" in journal.stdout

    stopped = fleetctl(lab, "stop", "ctl-hello.service")
    assert stopped.stdout == launched.replace("launched", "loaded") + "\n"
    assert stopped.stderr == "Successfully stopped units [ctl-hello.service].\n"
    assert rows(lab, "ctl-hello") == [[unit, machine, "inactive", "dead"]]
    assert fleetctl(lab, "status", "ctl-hello").returncode == 3
    assert fleetctl(lab, "unload", "ctl-hello").stdout == "Unit ctl-hello.service inactive\n"
    assert fleetctl(lab, "destroy", "ctl-hello").stdout == "Destroyed ctl-hello.service\n"
    assert fleetctl(lab, "status", "ctl-hello").returncode == 1


def test_instances_are_restarted_where_they_are(lab: Lab) -> None:
    names = [f"ctl@{number}.service" for number in (1, 2, 3)]
    assert fleetctl(lab, "start", *names).returncode == 0
    before = rows(lab, "ctl@")
    pids = {row[0]: main_pid(lab, row) for row in before}
    assert fleetctl(lab, "restart", *names).returncode == 0
    assert rows(lab, "ctl@") == before
    assert all(main_pid(lab, row) != pids[row[0]] for row in before)
    assert fleetctl(lab, "destroy", *names).returncode == 0


def main_pid(lab: Lab, row: list[str]) -> str:
    """The main process of a listed unit, asked of systemd on its machine."""
    hosts = {host.machine: host.name for host in lab.hosts}
    where = hosts[row[1].partition("/")[0]]
    return lab.exec(where, ["systemctl", "show", "-P", "MainPID", row[0]]).stdout


def test_a_oneshot_succeeds_at_once_and_one_that_fails_says_so(lab: Lab) -> None:
    assert fleetctl(lab, "start", "ctl-once.service").returncode == 0
    failed = fleetctl(lab, "start", "ctl-bad.service")
    assert failed.returncode == 1
    assert "Error waiting for units: cannot start ctl-bad.service: failed on" in failed.stderr


def test_a_global_unit_runs_everywhere_and_has_a_status_for_each_machine(lab: Lab) -> None:
    done = fleetctl(lab, "start", "ctl-all.service")
    assert done.stdout.splitlines()[-1] == "Triggered global unit ctl-all.service start"
    fleetish = "/opt/fleetish/venv/bin/fleetish"
    settled = lab.exec("node1", [fleetish, "start", "ctl-all.service"])
    assert settled.returncode == 0, settled.stderr
    assert [row[2] for row in rows(lab, "ctl-all")] == ["active"] * 3
    status = fleetctl(lab, "status", "ctl-all")
    assert (status.returncode, status.stdout.count("Active: active (running)")) == (0, 3)


def test_either_name_lists_the_same_units(lab: Lab) -> None:
    assert fleetctl(lab, "start", "ctl@1.service").returncode == 0
    fields = ["list-unit-files", "--no-legend", "--full", "--fields=unit,hash,dstate,state,target"]
    ours = lab.exec("node1", ["/opt/fleetish/venv/bin/fleetish", *fields])
    assert fleetctl(lab, *fields).stdout == ours.stdout
    as_json = lab.exec("node1", ["/opt/fleetish/venv/bin/fleetish", "list-units", "--json"])
    assert "ctl@1.service" in [row["unit"] for row in json.loads(as_json.stdout)]
