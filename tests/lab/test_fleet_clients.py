"""The two clients of fleet's API that are on PyPI, unmodified, against a real cluster."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetish.lab.cluster import Lab

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parent.parent.parent
DRIVER = ROOT / "tests" / "fleet_api" / "python_clients.py"
CLIENTS = ("fleet==0.1.3", "fleetpy==0.2.3", "google-api-python-client>=2,<3", "setuptools<81")


@pytest.fixture(scope="module")
def python() -> Path:
    """A Python that has both clients; kept in build/ until what it needs changes."""
    name = hashlib.sha256(" ".join(CLIENTS).encode()).hexdigest()[:12]
    folder = ROOT / "build" / f"fleet-clients-{name}"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *CLIENTS], check=True)
        (folder / "complete").touch()
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def c() -> Iterator[Lab]:
    with Lab(f"tp{os.getpid()}", machines=2) as lab:
        yield lab


def test_both_clients_do_with_units_what_they_did_with_fleet(c: Lab, python: Path) -> None:
    command = [str(python), str(DRIVER), c.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    one: dict[str, Any]
    other: dict[str, Any]
    one, other = json.loads(done.stdout)
    ids = sorted(host.machine for host in c.hosts)
    assert [machine["id"] for machine in one["machines"]] == ids
    assert one["made"]["currentState"] == "inactive"
    assert one["made"]["options"] == [
        {"section": "Unit", "name": "Description", "value": "By a client"},
        {"section": "Service", "name": "ExecStart", "value": "/bin/sleep 600"},
    ]
    assert one["state"]["machineID"] in ids
    assert one["state"]["systemdSubState"] == "running"
    assert one["instance"] == "client@a:1.service"
    made = {"client.service", "client@.service", "client@a:1.service"}
    pages = {f"page{number:03}.service" for number in range(120)}
    assert set(one["listed"]) == made | pages
    assert one["error"] == [404, "unit does not exist"]
    assert other["machines"] == ids
    assert other["full"] == [[one["state"]["machineID"], "client.service", True, "active"]]
    assert (other["stopped"], other["rows"]) == (True, 0)
    assert all(other["destroyed"])
