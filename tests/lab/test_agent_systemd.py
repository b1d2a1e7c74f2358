"""The agent on a real systemd: its own tests, run inside a lab host."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetish.lab.cluster import Lab

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parent.parent.parent


NAMES = ["test_systemd.py", "test_beside.py", "over_dbus.py", "agent_on_systemd.py"]


@pytest.mark.parametrize("name", NAMES)
def test_inside_a_host_all_hold(bare: Lab, name: str) -> None:
    line = (
        f"cd {ROOT} && FLEETISH_REAL_SYSTEMD=1 .venv/bin/python -B -m pytest -q"
        f" -p no:cacheprovider tests/contract/{name} 2>&1"
    )
    found = bare.exec(bare.hosts[0].name, ["sh", "-c", line])
    bare.exec(bare.hosts[0].name, ["systemctl", "reset-failed"])  # others use the host after us
    assert found.returncode == 0, found.stdout
    assert "passed" in found.stdout
    assert "skipped" not in found.stdout
