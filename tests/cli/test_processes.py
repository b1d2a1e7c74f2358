"""Commands that take the terminal over or run until interrupted, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.api.cluster import SERVICE, A, Cluster
from tests.cli.conftest import Run

COMMAND = (sys.executable, "-m", "fleetish.cli.main")
ROOT = Path(__file__).parent.parent.parent


def ssh(cluster: Cluster, directory: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """``fleetish ssh`` with an ssh that prints what it was called with."""
    program = directory / "ssh"
    program.write_text('#!/bin/sh\nprintf "%s|" "$@"\nexit 7\n')
    program.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{directory}:{os.environ['PATH']}",
        "FLEETISH_ENDPOINT": cluster.url,
    }
    command = [*COMMAND, "ssh", *argv]
    return subprocess.run(
        command, capture_output=True, text=True, env=environ, check=False, cwd=ROOT, timeout=30
    )


def test_ssh_goes_to_a_machine_or_to_that_of_a_unit_and_passes_the_exit_code_through(
    cluster: Cluster, fleetish: Run, tmp_path: Path
) -> None:
    fleetish("start", "--no-block", "web@1", "web@2")
    cluster.run("web@1.service")
    to_machine = ssh(cluster, tmp_path, "node1")
    assert (to_machine.returncode, to_machine.stdout) == (7, "-t|10.0.0.1|")
    assert ssh(cluster, tmp_path, A[:6], "--", "ss", "-ltn").stdout == "10.0.0.1|--|ss|-ltn|"
    assert ssh(cluster, tmp_path, "-u", "core", "web@1", "id").stdout == "core@10.0.0.1|--|id|"
    nowhere = ssh(cluster, tmp_path, "web@2")
    assert (nowhere.returncode, "it is on no one machine" in nowhere.stderr) == (1, True)
    assert ssh(cluster, tmp_path, "ghost").returncode == 1


def test_events_are_printed_as_they_happen_until_interrupted(
    cluster: Cluster, fleetish: Run
) -> None:
    environ = {**os.environ, "FLEETISH_ENDPOINT": cluster.url}
    command = [*COMMAND, "events", "--json", "web@*", "--kind", "unit", "--kind", "machine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, cwd=ROOT) as process:
        assert process.stdout is not None
        cluster.listening()
        with cluster.client() as fleet:
            from fleetish.wire import Wish

            fleet.submit([Wish(name=f"{n}.service", text=SERVICE) for n in ("other", "web@1")])
        event = json.loads(process.stdout.readline())
        assert (event["kind"], event["what"], event["unit"]) == ("unit", "created", "web@1.service")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
