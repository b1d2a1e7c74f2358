"""Looking at one unit and at machines through the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetish.cli.journal_text import line
from fleetish.cli.look import health_lines
from fleetish.wire import CheckView, MachineView, StateView, UnitView
from tests.api.cluster import SERVICE, A, B, Cluster, machine, running
from tests.api.test_http import LOCAL
from tests.cli.conftest import Done, Run, call


@pytest.fixture
def relaying() -> Iterator[Cluster]:
    """A cluster whose one machine answers for itself at the API's own address."""
    with running(LOCAL) as cluster:
        cluster.register(machine(A, "node1", endpoint=cluster.url))
        with cluster.client() as fleet:
            from fleetish.wire import Wish

            fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
        cluster.run("a.service")
        yield cluster


def test_status_tells_the_placement_and_what_systemctl_says(relaying: Cluster) -> None:
    assert call(relaying.url, "status", "a") == Done(
        0,
        "a.service: wanted launched, on node1: least loaded of 1 that fit\n● a.service\n",
        "",
    )
    assert call(relaying.url, "status", "ghost").code == 1


def test_journal_prints_lines_from_the_units_machine(relaying: Cluster) -> None:
    assert call(relaying.url, "journal", "a", "-n", "3", "-o", "cat").out == "0\n1\n2\n"
    assert call(relaying.url, "journal", "a", "-n", "1", "-o", "json").out == '{"MESSAGE": "0"}\n'


def test_an_entry_is_printed_as_journalctl_does(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {
        "__REALTIME_TIMESTAMP": "1700000000000000",
        "_HOSTNAME": "node1",
        "SYSLOG_IDENTIFIER": "sh",
        "_PID": "42",
        "MESSAGE": [104, 105, 255],
    }
    assert line(entry, "short").endswith(" node1 sh[42]: hi\ufffd")
    assert line(entry, "cat") == "hi\ufffd"
    assert line({"MESSAGE": None}, "cat") == "[too long]"


def test_top_once_prints_each_units_use(relaying: Cluster) -> None:
    done = call(relaying.url, "top", "--once")
    assert done.out.splitlines()[1].split() == ["a.service", "node1", "active", "0.0%", "0.0M"]
    (row,) = json.loads(call(relaying.url, "top", "--json").out)
    assert (row["unit"], row["machine"], row["memory"], row["cpu_seconds"]) == (
        "a.service",
        A,
        1024,
        1.5,
    )


def test_status_has_a_line_for_each_check() -> None:
    good = CheckView(check="http path=/ping", health="healthy", alive=True)
    bad = CheckView(check="tcp", health="unhealthy", failures=3, cause="Connection refused")
    state = StateView(unit="a.service", machine=A, checks=(good, bad))
    unit = UnitView(name="a.service", hash="h", target="launched", states=(state,))
    assert health_lines(unit, {A: MachineView(id=A, host="node1")}) == [
        "  healthy on node1: http path=/ping",
        "  unhealthy on node1: tcp: Connection refused (3 in a row)",
    ]


def test_machines_are_cordoned_and_used_again(cluster: Cluster, fleetish: Run) -> None:
    fields = ("list-machines", "--no-legend", "--fields", "host,state,reason")
    assert fleetish("cordon", "node1", "--reason", "disk") == (0, "Machine node1 cordoned\n", "")
    assert fleetish(*fields).out == "node1\tcordoned\tdisk\n"
    assert fleetish("uncordon", A[:4]).code == 0
    assert fleetish(*fields).out == "node1\tready\t-\n"
    assert fleetish("cordon", "node9").code == 1


def test_drain_ends_when_the_machine_is_empty_and_names_what_stays(
    cluster: Cluster, fleetish: Run, tmp_path: Path
) -> None:
    cluster.register(machine(B, "node2"))
    (tmp_path / "pin.service").write_text(SERVICE + "[X-Fleet]\nClass=pinned\n")
    fleetish("start", "--no-block", "web@1", "pin.service")
    cluster.run("web@1.service", B)
    cluster.run("pin.service", B)
    slow = fleetish("drain", "node2", "--timeout", "0.3")
    assert slow.code == 3
    assert "in time: 1 left: web@1.service" in slow.err
    cluster.release("web@1.service", B)
    cluster.publish("web@1.service", "inactive", "dead", machine=B)
    cluster.unassign("web@1.service", B)
    assert fleetish("drain", "node2") == (
        0,
        "Machine node2 draining\nMachine node2 drained\n",
        "pin.service stays: it is pinned\n",
    )


def test_completion_scripts_are_printed_and_complete_units(
    cluster: Cluster, fleetish: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "_FLEETISH_COMPLETE=bash_complete" in fleetish("completion", "bash").out
    fleetish("start", "--no-block", "web@1", "web@2")

    from click.shell_completion import ShellComplete

    from fleetish.cli.main import cli

    monkeypatch.setenv("FLEETISH_ENDPOINT", cluster.url)
    complete = ShellComplete(cli, {}, "fleetish", "_FLEETISH_COMPLETE")
    words = [item.value for item in complete.get_completions(["stop"], "web@")]
    assert words[:2] == ["web@1.service", "web@2.service"]
    assert [item.value for item in complete.get_completions(["drain"], "no")] == ["node1"]
    assert "list-units" in [item.value for item in complete.get_completions([], "list")]


def test_every_command_has_help_with_an_example(fleetish: Run) -> None:
    from fleetish.cli.main import COMMANDS

    for name in set(COMMANDS) - {"lab"}:  # a group of its own
        done = fleetish(name, "--help")
        assert done.code == 0, name
        assert f"fleetish {name}" in done.out.split("\n", 1)[1], name
