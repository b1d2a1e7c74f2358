"""The command line on real hosts: what it waits for is what systemd then says."""

from __future__ import annotations

import json
import subprocess

import pytest

from fleetish.client import Client
from fleetish.lab.cluster import Lab

pytestmark = pytest.mark.lab

FLEETISH = "/opt/fleetish/venv/bin/fleetish"
WORKS = "[Service]\nExecStart=/bin/sh -c 'echo I am %n; exec sleep 1000'\n"
FILES = {
    "cli@.service": WORKS,
    "cli-once.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "cli-bad.service": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    "cli-pin.service": WORKS + "[X-Fleet]\nClass=pinned\nMachineMetadata=host=node2\n",
}


@pytest.fixture(scope="module", autouse=True)
def files(lab: Lab) -> None:
    for name, text in FILES.items():
        command = [
            "sh",
            "-c",
            'mkdir -p /tmp/cli && printf "%s" "$1" > "/tmp/cli/$2"',
            "-",
            text,
            name,
        ]
        lab.exec("node1", command, check=True)


def fleetish(lab: Lab, *argv: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'cd /tmp/cli && exec {FLEETISH} "$@"', "-", *argv]
    return lab.exec("node1", command)


def test_units_started_together_are_active_where_the_listing_says(lab: Lab) -> None:
    assert fleetish(lab, "start", "cli@{1..6}").returncode == 0
    try:
        rows = json.loads(fleetish(lab, "list-units", "--json").stdout)
        mine = [row for row in rows if row["unit"].startswith("cli@")]
        assert len(mine) == 6
        for row in mine:
            asked = lab.exec(row["host"], ["systemctl", "is-active", row["unit"]])
            assert asked.stdout == f"{row['active']}\n" == "active\n"
    finally:
        assert fleetish(lab, "destroy", "cli@{1..6}").returncode == 0


def test_a_oneshot_succeeds_and_one_that_fails_says_so(lab: Lab) -> None:
    done = fleetish(lab, "start", "cli-once", "cli-bad")
    try:
        assert done.returncode == 1
        assert done.stdout.startswith("Unit cli-once.service launched on ")
        assert "cannot start cli-bad.service: failed on node" in done.stderr
        assert "exited with 1" in done.stderr
        assert fleetish(lab, "start", "cli-bad").returncode == 1
    finally:
        fleetish(lab, "destroy", "cli-once", "cli-bad")


def test_journal_and_status_come_from_another_machine(lab: Lab) -> None:
    assert fleetish(lab, "start", "cli-pin").returncode == 0
    try:
        found = fleetish(lab, "journal", "cli-pin", "-o", "cat")
        assert "I am cli-pin.service" in found.stdout
        status = fleetish(lab, "status", "cli-pin")
        assert (status.returncode, "Active: active (running)" in status.stdout) == (0, True)
        with Client(lab.endpoint) as fleet:
            entry = next(iter(fleet.journal("cli-pin.service", 1, follow=True)))
            assert entry["_HOSTNAME"] == "node2"
            top = fleet.top(["cli-pin.service"])
            assert [row.memory > 0 for row in top.units] == [True]
    finally:
        fleetish(lab, "destroy", "cli-pin")


def test_drain_moves_what_may_move_and_names_what_stays(lab: Lab) -> None:
    assert fleetish(lab, "start", "cli@{1..6}", "cli-pin").returncode == 0
    try:
        done = fleetish(lab, "drain", "node2", "--reason", "test")
        assert done.returncode == 0
        assert "cli-pin.service stays: it is pinned" in done.stderr
        rows = json.loads(fleetish(lab, "list-units", "--json").stdout)
        assert {row["unit"] for row in rows if row["host"] == "node2"} == {"cli-pin.service"}
        assert len([row for row in rows if row["active"] == "active"]) == 7
    finally:
        fleetish(lab, "uncordon", "node2")
        fleetish(lab, "destroy", "cli@{1..6}", "cli-pin")


def test_a_reload_takes_in_new_metadata_and_disturbs_no_unit(lab: Lab) -> None:
    fleetish(lab, "start", "cli-pin")
    try:
        show = ["systemctl", "show", "--property=MainPID", "cli-pin.service"]
        before = lab.exec("node2", show).stdout
        settings = "/etc/fleetish/fleetish.toml"
        edit = f"cp {settings} /tmp/kept && sed -i 's/^rack = .*/rack = \"r9\"/' {settings}"
        hang_up = "kill -HUP $(systemctl show -P MainPID fleetish)"
        with Client(lab.endpoint) as fleet:
            events = fleet.events(kinds=["machine"])
            next(events)
            lab.exec("node2", ["sh", "-c", f"{edit} && {hang_up}"], check=True)
            assert next(event.what for event in events if event.machine) == "changed"
            assert fleet.machine("node2").metadata["rack"] == "r9"
            lab.exec("node2", ["sh", "-c", f"cp /tmp/kept {settings} && {hang_up}"], check=True)
            next(events)
        assert lab.exec("node2", show).stdout == before != "MainPID=0\n"
    finally:
        fleetish(lab, "destroy", "cli-pin")
