"""fleetctl's verbs: what they print, when they end, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

from tests.api.cluster import SERVICE, A, Cluster
from tests.cli.conftest import Run

SHORT = f"{A[:8]}.../10.0.0.1"


def test_submit_start_stop_unload_and_destroy_say_what_came_of_it(
    cluster: Cluster, fleetish: Run
) -> None:
    assert fleetish("submit", "web@.service") == (0, "Unit web@.service inactive\n", "")
    with cluster.obeyed():
        assert fleetish("start", "web@1") == (0, f"Unit web@1.service launched on {SHORT}\n", "")
        assert fleetish("stop", "web@1") == (0, f"Unit web@1.service loaded on {SHORT}\n", "")
        assert fleetish("start", "web@1")[0] == 0
        assert fleetish("restart", "web@1")[0] == 0
        assert fleetish("unload", "web@1") == (0, "Unit web@1.service inactive\n", "")
        assert fleetish("destroy", "web@1") == (0, "Unit web@1.service destroyed\n", "")
        assert fleetish("load", "web@2") == (0, f"Unit web@2.service loaded on {SHORT}\n", "")
        assert fleetish("destroy", "web@2", "ghost", "web@.service")[0] == 0
    assert fleetish("list-unit-files", "--json") == (0, "[]\n", "")


def test_thirty_instances_are_started_by_one_request(cluster: Cluster, fleetish: Run) -> None:
    before = cluster.etcd.revision
    assert fleetish("start", "--no-block", "web@{1..30}").code == 0
    rows = json.loads(fleetish("list-unit-files", "--json").out)
    assert [row["dstate"] for row in rows] == ["launched"] * 30
    assert cluster.etcd.revision == before + 1


def test_a_template_beside_is_used_when_the_cluster_has_none(
    cluster: Cluster, fleetish: Run
) -> None:
    with cluster.obeyed():
        assert fleetish("start", "web@1").code == 0
    assert fleetish("cat", "web@1").out == SERVICE


def test_what_the_cluster_has_goes_before_a_file_here(
    cluster: Cluster, fleetish: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.service").write_text(SERVICE)
    fleetish("submit", "a.service")
    other = SERVICE.replace("60", "61")
    (tmp_path / "a.service").write_text(other)
    with cluster.obeyed():
        done = fleetish("start", "a.service")
        assert done.code == 0
        assert "a.service stays as it was submitted" in done.err
        assert fleetish("cat", "a").out == SERVICE
        assert fleetish("start", "--replace", "a.service").code == 0
    assert fleetish("cat", "a").out == other


def test_load_does_not_stop_what_runs(cluster: Cluster, fleetish: Run) -> None:
    with cluster.obeyed():
        fleetish("start", "web@1")
        assert fleetish("load", "web@1").code == 0
    assert cluster.target("web@1.service") == "launched"


def test_a_unit_that_fails_is_told_with_why_and_exit_1(cluster: Cluster, fleetish: Run) -> None:
    with cluster.obeyed(("web@1.service", "failed", "failed")):
        done = fleetish("start", "web@1", "web@2")
    assert done == (
        1,
        f"Unit web@2.service launched on {SHORT}\n",
        "cannot start web@1.service: failed on node1: exit-code, exited with 1 "
        "(see fleetish status web@1.service)\n",
    )


def test_a_oneshot_that_has_finished_counts_as_started(cluster: Cluster, fleetish: Run) -> None:
    with cluster.obeyed(("web@1.service", "inactive", "dead")):
        assert fleetish("start", "web@1").code == 0


def test_a_wait_that_takes_too_long_exits_3_and_rolls_nothing_back(
    cluster: Cluster, fleetish: Run
) -> None:
    done = fleetish("start", "web@1", "--timeout", "0.3")
    assert done.code == 3
    assert done.err.splitlines()[0] == "web@1.service waits for a machine that fits"
    assert "cannot start 1 unit in time; nothing is rolled back" in done.err
    assert cluster.target("web@1.service") == "launched"


def test_bad_files_are_told_line_by_line_and_nothing_is_stored(
    fleetish: Run, tmp_path: Path
) -> None:
    (tmp_path / "bad.service").write_text("[Service]\nExecStart=/bin/true\nNoSuch=1\nOther=2\n")
    done = fleetish("start", "bad.service", "web@1")
    assert done.code == 1
    assert [line.split(": ")[0] for line in done.err.splitlines()] == [
        "bad.service:3",
        "bad.service:4",
    ]
    assert fleetish("list-unit-files", "--no-legend").out == ""


def test_usage_errors_exit_2(fleetish: Run) -> None:
    assert fleetish("start").code == 2
    assert fleetish("start", "--no-such-flag").code == 2
    assert fleetish("no-such-command").code == 2
    assert fleetish("list-units", "--fields", "unit,colour").code == 2


def test_a_name_that_does_not_exist_exits_1(fleetish: Run) -> None:
    assert fleetish("stop", "ghost") == (
        1,
        "",
        "cannot find ghost.service (submit it with its text, or submit its template)\n",
    )
    assert fleetish("start", "ghost").code == 1
    assert fleetish("start", "gh ost").code == 1


def test_a_jinja2_template_is_rendered_here(
    cluster: Cluster, fleetish: Run, tmp_path: Path
) -> None:
    (tmp_path / "app.service.j2").write_text("[Service]\nExecStart=/bin/sleep {{ seconds }}\n")
    (tmp_path / "values.toml").write_text("seconds = 5\n")
    assert fleetish("render", "app.service.j2", "--set", "seconds=7").out == (
        "[Service]\nExecStart=/bin/sleep 7\n"
    )
    assert fleetish("submit", "app.service.j2", "--values", "values.toml").code == 0
    assert fleetish("cat", "app").out == "[Service]\nExecStart=/bin/sleep 5\n"
    done = fleetish("submit", "app.service.j2")
    assert (done.code, "seconds" in done.err) == (1, True)


def test_verify_needs_no_cluster(fleetish: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.service").write_text("[Service]\nExecStart=/bin/true\nNoSuch=1\n")
    done = fleetish("--endpoint", "http://127.0.0.1:1", "verify", "bad.service", "web@.service")
    assert done.code == 1
    assert done.err.startswith("bad.service:3: cannot")
    assert fleetish("--endpoint", "http://127.0.0.1:1", "verify", "web@.service") == (0, "", "")
