"""replace, rollouts, rebalance and the progress of drain on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetish.cli.bar import bar
from fleetish.cli.wait import Watch
from tests.api.cluster import SERVICE, A, B, Cluster, machine
from tests.api.engine import engine
from tests.cli.conftest import Run

NEW = SERVICE.replace("60", "61")


@pytest.fixture
def running(cluster: Cluster, fleetish: Run) -> Iterator[None]:
    """Two machines, an engine, and three instances that are active; "bad" texts fail."""
    cluster.register(machine(B, "node2"))

    def ends(digest: str) -> str:
        item = cluster.etcd.current(cluster.keys.key(("content", digest)))
        return "exit-code" if item is not None and b"bad" in item.value else ""

    with engine(cluster, lambda held: ends(held.hash)):
        assert fleetish("submit", "web@.service").code == 0
        assert fleetish("start", "web@{1..3}").code == 0
        yield


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("running")
def test_replace_tells_each_unit_and_ends_when_all_are_active_with_the_new_text(
    fleetish: Run, tmp_path: Path
) -> None:
    (tmp_path / "web@.service").write_text(NEW)
    done = fleetish("replace", "web@.service", "--settle", "0")
    first, *told, last = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert first.endswith(": 4 units, 1 at a time")
    assert [line.split(" on ")[0] for line in told] == [
        "web@.service done", "web@1.service done", "web@2.service done", "web@3.service done",
    ]  # fmt: skip
    assert last.endswith(" done (4 of 4)")
    assert fleetish("cat", "web@2").out == NEW


@pytest.mark.usefixtures("running")
def test_replace_as_json_is_a_line_for_each_thing_that_happens(
    fleetish: Run, tmp_path: Path
) -> None:
    (tmp_path / "two.service").write_text(NEW)
    asked = ("web@1", "web@2", "--file", "two.service", "--max-unavailable", "50%")
    done = fleetish("replace", *asked, "--settle", "0", "--json")
    told = rows(done.out)
    name = told[0]["rollout"]
    assert told[0] == {"rollout": name, "stage": "replacing", "total": 2}
    last = {"rollout": name, "stage": "done", "reason": "", "done": 2, "total": 2}
    assert told[-1] == last
    ends = {row["unit"]: row["stands"] for row in told[1:-1]}
    assert ends == {"web@1.service": "done", "web@2.service": "done"}


@pytest.mark.usefixtures("running")
def test_a_failure_is_told_with_exit_1_and_can_be_undone(fleetish: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.service").write_text(SERVICE.replace("60", "bad"))
    done = fleetish("replace", "web@{1..3}", "-f", "bad.service", "--settle", "0")
    assert done.code == 1
    *_, failed, last = done.err.splitlines()
    assert failed.startswith("web@1.service failed (exit-code) on node")
    assert "stopped (0 of 3): web@1.service failed (exit-code) on node" in last
    name = last.split()[1]
    assert fleetish("rollouts", "--json").out.startswith(f'[{{"id":"{name}","stage":"stopped"')
    shown = fleetish("rollouts", name).out
    assert [line.split()[2] for line in shown.splitlines()[2:]] == ["failed", "kept", "kept"]
    undone = fleetish("rollouts", name, "--undo")
    assert (undone.code, undone.out.endswith(" undone (3 of 3): asked for\n")) == (0, True)
    assert fleetish("cat", "web@1").out == SERVICE


def test_replace_without_an_engine_goes_on_when_the_command_gives_up(
    fleetish: Run, tmp_path: Path
) -> None:
    fleetish("start", "web@1", "--no-block")
    (tmp_path / "web@1.service").write_text(NEW)
    done = fleetish("replace", "web@1", "--timeout", "0.3")
    assert (done.code, "it goes on" in done.err) == (3, True)
    name = done.out.split()[1].rstrip(":")
    assert fleetish("rollouts", name, "--cancel").out == f"Rollout {name} cancelled\n"
    listed = fleetish("rollouts").out.splitlines()[1].split()
    assert listed[:3] == [name, "cancelled", "0/1"]
    assert fleetish("rollouts", "--undo").code == 2
    assert fleetish("rollouts", "ghost").code == 1


@pytest.mark.usefixtures("running")
def test_rebalance_says_what_it_would_move_then_moves_it(cluster: Cluster, fleetish: Run) -> None:
    assert fleetish("start", "web@{4..6}").code == 0
    assert fleetish("rebalance").out == "The machines are even: nothing to move\n"
    cluster.register(machine("c" * 32, "node3"))
    planned = fleetish("rebalance", "--dry-run")
    assert len(planned.out.splitlines()) == 2
    assert "to node3 (rebalanced: node" in planned.out
    done = fleetish("rebalance", "--json", "--at-once", "1")
    *moves, last = rows(done.out)
    assert (done.code, last) == (0, {"rebalance": "done", "moved": 2})
    assert [row["host"] for row in moves] == ["node3", "node3"]
    assert fleetish("rebalance", "--status").out == "No rebalance goes on\n"
    assert fleetish("rebalance", "--dry-run", "--cancel").code == 2


@pytest.mark.usefixtures("running")
def test_drain_as_json_tells_each_unit_that_has_left(cluster: Cluster, fleetish: Run) -> None:
    with cluster.client() as fleet:
        here = [view.name for view in fleet.units() if view.machine == A]
    done = fleetish("drain", "node1", "--json")
    first, *left, last = rows(done.out)
    assert (done.code, first["event"], last["event"]) == (0, "draining", "drained")
    assert sorted(row["unit"] for row in left) == sorted(here)
    assert [(row["event"], row["left"], row["total"]) for row in left] == [
        ("left", len(here) - 1 - n, len(here)) for n in range(len(here))
    ]


@pytest.mark.usefixtures("running")
def test_drain_waits_for_global_units_too(cluster: Cluster, fleetish: Run, tmp_path: Path) -> None:
    (tmp_path / "log.service").write_text(SERVICE + "[X-Fleet]\nGlobal=true\n")
    assert fleetish("start", "log.service").code == 0
    with cluster.client() as fleet:
        watch = Watch(fleet)
        while len(fleet.states("log.service")) < 2:
            assert watch.next(20)
    assert fleetish("drain", "node1").code == 0
    with cluster.client() as fleet:
        assert [state.machine for state in fleet.states("log.service")] == [B]


def test_a_bar_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with bar("drain node1") as tell:
        tell(1, 3, ["web@1.service is still there"])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with bar("drain node1") as tell:
        tell(1, 3, [f"web@{n}.service [b]is still there" for n in range(10)])
    shown = capsys.readouterr().err
    assert "drain node1" in shown
    assert "1/3" in shown
    assert "web@7.service [b]is still there" in shown
    assert "and 2 more" in shown
