"""`down` takes everything away, from whatever state the lab is in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fleetish.lab.cluster import Lab
from fleetish.lab.layout import Places
from tests.lab.traces import NONE, namespaces, traces

pytestmark = pytest.mark.lab


def test_down_leaves_nothing_and_may_be_repeated() -> None:
    lab = Lab(f"td{os.getpid()}", machines=2, bare=True)
    lab.up()
    networks = namespaces(lab.name)
    seen = traces(lab.name, networks)
    assert len(networks) == 4
    assert all(seen)
    lab.down()
    assert traces(lab.name, networks) == NONE
    lab.down()
    assert traces(lab.name, networks) == NONE


def test_down_takes_away_a_lab_whose_hosts_are_frozen_dead_and_cut() -> None:
    lab = Lab(f"tf{os.getpid()}", machines=3, bare=True)
    lab.up()
    networks = namespaces(lab.name)
    lab.freeze("node1")
    lab.kill("node2")
    lab.partition("node3")
    lab.freeze("etcd1")
    lab.down()
    assert traces(lab.name, networks) == NONE


@pytest.mark.parametrize(
    "after", ["network", "node1: up", "etcd1: up", "is up"], ids=lambda text: text.replace(":", "")
)
def test_down_takes_away_what_a_killed_up_had_made(after: str) -> None:
    name = f"tk{os.getpid()}"
    argv = [sys.executable, "-u", "-m", "fleetish.cli.lab", "up", "--bare", "--name", name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert any(after in line for line in up.stdout)
        up.kill()
    networks = namespaces(name)
    Lab(name).down()
    assert traces(name, networks) == NONE


def test_up_goes_on_where_a_killed_up_left_off() -> None:
    name = f"tu{os.getpid()}"
    argv = [sys.executable, "-u", "-m", "fleetish.cli.lab", "up", "--bare", "--name", name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert "network" in up.stdout.readline()
        up.kill()
    with Lab(name, machines=3, bare=True) as lab:
        assert {str(state) for _, state in lab.status()} == {"running"}
        networks = namespaces(name)
    assert traces(name, networks) == NONE


def test_an_up_that_fails_as_a_context_leaves_nothing() -> None:
    name = f"tx{os.getpid()}"

    def stop(line: str) -> None:
        if line.startswith("node1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Lab(name, machines=1, bare=True, report=stop):
        pass
    assert traces(name) == NONE


def test_down_without_a_lab_does_nothing() -> None:
    Lab(f"tn{os.getpid()}").down()
    assert not Places(f"tn{os.getpid()}").root.exists()
