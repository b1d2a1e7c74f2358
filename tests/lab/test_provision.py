"""vagrant/provision.sh, the very script that provisions Vagrant's machines, on fresh lab hosts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fleetish.client import Client
from fleetish.lab.cluster import Lab
from fleetish.lab.registration import await_machines

ROOT = Path(__file__).parent.parent.parent
PROVISION = ROOT / "vagrant" / "provision.sh"


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([], "cannot do without NAME NODE=ADDRESS[,NODE=ADDRESS…] MEMBERS"),
        (["a", "b", "1"], "cannot use 'b' for a node: it must be NAME=ADDRESS"),
        (["a", "a=1.2.3.4", "one"], "cannot use 'one' for MEMBERS: it must be a number"),
        (["a", "b=1.2.3.4", "1"], "cannot find a in b=1.2.3.4"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_done(argv: Sequence[str], reason: str) -> None:
    before = Path("/etc/hosts").read_text()
    done = subprocess.run(["sh", PROVISION, *argv], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"provision: {reason}\n")
    assert Path("/etc/hosts").read_text() == before


@pytest.fixture(scope="module")
def fresh() -> Iterator[Lab]:
    """Two hosts as Debian leaves them. The lab's etcd member is there, but nobody uses it."""
    with Lab(f"tp{os.getpid()}", machines=2, bare=True) as lab:
        yield lab


def provision(lab: Lab, name: str, wheels: Path) -> str:
    """Run the script on a host as the Vagrantfile does; what it printed."""
    nodes = ",".join(f"{host.name}={host.address}" for host in lab.hosts)
    argv = ["sh", str(PROVISION), name, nodes, "1", "--wheels", str(wheels)]
    return lab.exec(name, argv, check=True).stdout


@pytest.mark.lab
def test_fresh_hosts_become_a_cluster_with_an_etcd_of_its_own(fresh: Lab, wheels: Path) -> None:
    first, second = fresh.hosts
    fresh.exec("node1", ["sh", "-c", "echo 127.0.1.1 node1 >>/etc/hosts"], check=True)
    for host in fresh.hosts:
        assert provision(fresh, host.name, wheels).endswith(
            "install: done; see systemctl status fleetish\n"
        )
    await_machines(fresh.endpoint, fresh.hosts, 30, lambda line: None)
    with Client(fresh.endpoint) as fleet:
        seen = {machine.host: (machine.ip, machine.metadata) for machine in fleet.machines()}
    assert seen == {
        "node1": (first.address, {"host": "node1", "rack": "r1"}),
        "node2": (second.address, {"host": "node2", "rack": "r2"}),
    }
    members = fresh.exec("node2", ["etcdctl", "--endpoints=http://node1:2379", "member", "list"])
    assert members.stdout.split(", ")[1:3] == ["started", "node1"]
    for host in fresh.hosts:
        names = fresh.exec(host.name, ["getent", "ahostsv4", "node1"], check=True).stdout
        assert {line.split()[0] for line in names.splitlines()} == {first.address}


@pytest.mark.lab
def test_a_second_run_changes_nothing(fresh: Lab, wheels: Path) -> None:
    provision(fresh, "node1", wheels)
    seen = ["sh", "-c", "cat /etc/hosts; systemctl show -p MainPID fleetish etcd"]
    before = fresh.exec("node1", seen, check=True).stdout
    assert provision(fresh, "node1", wheels) == "install: done; see systemctl status fleetish\n"
    assert fresh.exec("node1", seen, check=True).stdout == before
