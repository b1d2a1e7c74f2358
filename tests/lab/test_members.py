"""The lab's hosts are members of a cluster, under the very units that a user installs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetish import wire
from fleetish.client import Client
from fleetish.lab.cluster import Lab
from fleetish.lab.image import unit_files

pytestmark = pytest.mark.lab

UNIT = "members-test.service"
TEXT = "[Service]\nExecStart=/bin/sleep infinity\nMemoryMax=40M\nCPUQuota=10%\n"


@pytest.fixture
def client(lab: Lab) -> Iterator[Client]:
    with Client(lab.endpoint) as client:
        yield client


@pytest.fixture
def home(lab: Lab, client: Client) -> Iterator[str]:
    """The host on which UNIT runs."""
    client.submit([wire.Wish(name=UNIT, text=TEXT, target="launched")])
    for _ in client.events():
        if client.unit(UNIT).settled:
            break
    machine = client.unit(UNIT).machine
    yield next(host.name for host in lab.hosts if host.machine == machine)
    client.destroy([UNIT])


def shown(lab: Lab, host: str, unit: str, *names: str) -> list[str]:
    properties = [f"-p{name}" for name in names]
    return lab.exec(host, ["systemctl", "show", unit, *properties], check=True).stdout.split()


def test_every_host_is_registered_with_its_identity_and_metadata(lab: Lab, client: Client) -> None:
    found = {m.id: (m.host, m.ip, m.metadata) for m in client.machines()}
    assert found == {
        h.machine: (h.name, h.address, {"host": h.name, "rack": h.rack}) for h in lab.hosts
    }


def test_hosts_run_the_units_of_the_host_recipe(lab: Lab) -> None:
    for host in lab.hosts:
        for name, text in unit_files().items():
            assert lab.exec(host.name, ["cat", f"/etc/systemd/system/{name}"]).stdout == text
        drop_ins = Path("/etc/systemd/system/fleetish.service.d")
        assert lab.exec(host.name, ["ls", str(drop_ins)]).returncode != 0


def test_a_units_limits_are_those_of_the_kernel(lab: Lab, home: str) -> None:
    limits = ["MemoryMax", "CPUQuotaPerSecUSec", "Slice"]
    assert shown(lab, home, UNIT, *limits) == [
        "Slice=fleetish-members\\x2dtest.slice",
        "CPUQuotaPerSecUSec=100ms",
        f"MemoryMax={40 << 20}",
    ]
    script = "cat /sys/fs/cgroup/memory$1/memory.limit_in_bytes || cat /sys/fs/cgroup$1/memory.max"
    group = shown(lab, home, UNIT, "ControlGroup")[0].removeprefix("ControlGroup=")
    limit = lab.exec(home, ["sh", "-c", f"({script}) 2>/dev/null", "sh", group]).stdout
    assert int(limit) == 40 << 20


@pytest.mark.parametrize("how", [["restart"], ["kill", "--signal=KILL"]], ids=["restart", "kill"])
def test_no_unit_notices_that_the_daemon_went_and_came(
    lab: Lab, client: Client, home: str, how: list[str]
) -> None:
    unit, daemon = (shown(lab, home, name, "MainPID") for name in (UNIT, "fleetish"))
    lab.exec(home, ["systemctl", *how, "fleetish"], check=True)
    again = "until systemctl -q is-active fleetish; do sleep 0.05; done"
    lab.exec(home, ["sh", "-c", again], check=True)
    assert shown(lab, home, "fleetish", "MainPID") != daemon
    assert shown(lab, home, UNIT, "MainPID") == unit


def test_a_host_that_had_lost_its_power_joins_again(lab: Lab, client: Client) -> None:
    host = lab.hosts[-1]
    before = client.machine(host.machine).since
    lab.kill(host.name)
    lab.start(host.name)
    for _ in client.events():  # the old registration goes before the new one comes
        if any(m.id == host.machine and m.since != before for m in client.machines()):
            break
    assert {m.id for m in client.machines()} == {h.machine for h in lab.hosts}
