"""Which links are cut, whom the forwarder tries, and what is read from the kernel's tables."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from fleetish.lab.cgroups import Mount, hierarchies
from fleetish.lab.forward import candidates
from fleetish.lab.guest import leader_of
from fleetish.lab.layout import Fault, plan_lab
from fleetish.lab.network import ruleset
from fleetish.lab.removal import mounts_below

RECORD = plan_lab("t1", IPv4Network("10.1.2.0/24"), 3, 3)


def drops(rules: str) -> list[str]:
    start = "add rule bridge cuts "
    return [line.removeprefix(start) for line in rules.splitlines() if line.startswith(start)]


def test_a_whole_network_has_no_cuts_and_forgets_earlier_ones() -> None:
    assert drops(ruleset(RECORD)) == []
    assert "flush table bridge cuts" in ruleset(RECORD).splitlines()


def test_a_host_without_power_or_cut_from_all_is_silent_in_every_direction() -> None:
    silent = [
        'input iifname "node2" drop',
        'output oifname "node2" drop',
        'forward iifname "node2" drop',
        'forward oifname "node2" drop',
    ]
    assert drops(ruleset(RECORD.with_fault("node2", Fault.CUT_ALL))) == silent
    assert drops(ruleset(RECORD.with_fault("node2", Fault.POWER))) == silent
    assert drops(ruleset(RECORD.with_fault("node2", Fault.POWER, Fault.CUT_ALL))) == silent


def test_a_host_cut_from_etcd_still_reaches_the_other_hosts() -> None:
    assert drops(ruleset(RECORD.with_fault("node1", Fault.CUT_ETCD))) == [
        'forward iifname "node1" oifname "etcd1" drop',
        'forward iifname "etcd1" oifname "node1" drop',
        'forward iifname "node1" oifname "etcd2" drop',
        'forward iifname "etcd2" oifname "node1" drop',
        'forward iifname "node1" oifname "etcd3" drop',
        'forward iifname "etcd3" oifname "node1" drop',
    ]


def test_a_member_cut_from_etcd_loses_its_peers_only() -> None:
    cut = drops(ruleset(RECORD.with_fault("etcd1", Fault.CUT_ETCD)))
    assert [line for line in cut if '"node' in line] == []
    assert len(cut) == 4


def test_a_frozen_host_is_not_cut() -> None:
    assert drops(ruleset(RECORD.with_fault("node1", Fault.FROZEN))) == []


def test_the_forwarder_tries_hosts_without_faults_first() -> None:
    record = RECORD.with_fault("node1", Fault.CUT_ETCD)
    assert candidates(record, ()) == ("10.1.2.12", "10.1.2.13", "10.1.2.11")


def test_the_forwarder_leaves_out_hosts_that_cannot_answer() -> None:
    record = (
        RECORD.with_fault("node1", Fault.POWER)
        .with_fault("node2", Fault.FROZEN)
        .with_fault("node3", Fault.CUT_ALL)
    )
    assert candidates(record, ()) == ()
    assert candidates(record.without_fault("node3", Fault.CUT_ALL), ()) == ("10.1.2.13",)


def test_the_forwarder_tries_hosts_last_that_failed_lately() -> None:
    assert candidates(RECORD, ["10.1.2.11"]) == ("10.1.2.12", "10.1.2.13", "10.1.2.11")


HYBRID = """\
proc /proc proc rw,relatime 0 0
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,xattr,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""


def test_hierarchies_are_read_from_the_mount_table() -> None:
    assert hierarchies(HYBRID) == (
        Mount(Path("/sys/fs/cgroup/cpu,cpuacct"), ("cpu", "cpuacct")),
        Mount(Path("/sys/fs/cgroup/memory"), ("memory",)),
        Mount(Path("/sys/fs/cgroup/systemd"), ("systemd",)),
        Mount(Path("/sys/fs/cgroup/unified"), ()),
    )


def test_mounts_of_another_lab_with_a_longer_name_are_not_ours() -> None:
    mounts = "t /run/l/a tmpfs rw 0 0\no /run/l/ab overlay rw 0 0\no /run/l/a/n1/root o rw 0 0\n"
    assert mounts_below(Path("/run/l/a"), mounts) == ("/run/l/a", "/run/l/a/n1/root")


def test_the_leader_is_read_from_the_notification() -> None:
    assert leader_of(b"STATUS=Container running.\nX_NSPAWN_LEADER_PID=6274") == 6274
    assert leader_of(b"READY=1\n") is None
