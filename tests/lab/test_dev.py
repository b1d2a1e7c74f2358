"""``fleetish dev`` on a machine whose PID 1 is systemd: one command, and units run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleetish.lab.cluster import Lab

pytestmark = pytest.mark.lab

# A bare host sees the checkout, but has no fleetish of its own.
FLEETISH = Path(sys.prefix, "bin", "fleetish")
UNIT = "[Service]\nExecStart=/bin/sleep 1000\nMemoryMax=32M\n"


def sh(lab: Lab, text: str) -> subprocess.CompletedProcess[str]:
    return lab.exec("node1", ["sh", "-c", text])


def begin(lab: Lab) -> None:
    """Run it as a service would be, and wait until this machine is registered."""
    started = sh(
        lab, f"systemd-run -q --unit fleetish-dev --property=KillMode=mixed {FLEETISH} dev"
    )
    assert started.returncode == 0, started.stderr
    end = time.monotonic() + 30
    while not sh(lab, f"{FLEETISH} list-machines --no-legend").stdout:
        assert time.monotonic() < end, sh(lab, "journalctl -u fleetish-dev").stdout
        time.sleep(0.1)


def pid(lab: Lab) -> str:
    return sh(lab, "systemctl show --property=MainPID --value a.service").stdout.strip()


def test_dev_is_a_whole_cluster_and_its_units_outlive_it(bare: Lab) -> None:
    begin(bare)
    try:
        done = sh(bare, f"cd /tmp && printf '{UNIT}' > a.service && {FLEETISH} start a.service")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Unit a.service launched on ")
        before = pid(bare)
        assert before != "0"
        assert sh(bare, "systemctl stop fleetish-dev; pgrep -x etcd").stdout == ""
        assert pid(bare) == before
        begin(bare)
        listed = sh(bare, f"{FLEETISH} list-units --no-legend --fields unit,active").stdout
        assert listed == "a.service\tactive\n"
        assert pid(bare) == before
        assert sh(bare, f"{FLEETISH} destroy a.service").returncode == 0
        assert pid(bare) == "0"
    finally:
        sh(bare, "systemctl stop fleetish-dev; rm -rf /var/lib/fleetish-dev")
