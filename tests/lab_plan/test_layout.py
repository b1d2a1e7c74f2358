"""The lab's plan: names, addresses, identities, faults, and the texts made from them."""

from __future__ import annotations

import tomllib
import uuid
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.errors import LabError, NotFound
from fleetish.lab.image import bound, host_files, host_settings
from fleetish.lab.image import environment as virtual_environment
from fleetish.lab.layout import (
    Fault,
    Host,
    Member,
    check_name,
    choose_subnet,
    environment,
    grow,
    machine_id,
    names_file,
    plan_lab,
)
from fleetish.lab.prerequisites import obstacle

SUBNET = IPv4Network("10.1.2.0/24")
NODE1 = Host("node1", machine_id("t1", "node1"), "10.1.2.11", "r1")
NODE2 = Host("node2", machine_id("t1", "node2"), "10.1.2.12", "r2")
ETCD1 = Member("etcd1", "10.1.2.2")


def test_a_lab_has_its_hosts_and_members_at_fixed_addresses() -> None:
    record = plan_lab("t1", SUBNET, 2, 1)
    assert record.parts == (ETCD1, NODE1, NODE2)
    assert record.subnet == "10.1.2.0/24"


def test_growing_keeps_what_is_there_and_never_shrinks() -> None:
    record = plan_lab("t1", SUBNET, 1, 1)
    assert grow(record, 2, 1).hosts == (NODE1, NODE2)
    assert grow(grow(record, 2, 1), 1, 1).hosts == (NODE1, NODE2)


def test_etcd_members_of_a_lab_cannot_change() -> None:
    with pytest.raises(LabError, match="cannot change lab t1 from 1 etcd members to 3"):
        grow(plan_lab("t1", SUBNET, 1, 1), 1, 3)


@pytest.mark.parametrize(("machines", "etcd"), [(0, 1), (201, 1), (3, 2), (3, 0)])
def test_sizes_that_cannot_be_are_refused(machines: int, etcd: int) -> None:
    with pytest.raises(LabError, match="cannot make"):
        plan_lab("t1", SUBNET, machines, etcd)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a" * 25, "é", "a\n"])
def test_names_that_cannot_be_a_labs_are_refused(name: str) -> None:
    with pytest.raises(LabError, match="cannot name a lab"):
        check_name(name)


@given(st.text(min_size=1), st.text(min_size=1))
def test_machine_ids_are_stable_and_valid(lab: str, host: str) -> None:
    found = machine_id(lab, host)
    assert found == machine_id(lab, host)
    assert uuid.UUID(found).version == 4
    assert found == uuid.UUID(found).hex


def test_machine_ids_differ_between_hosts_and_between_labs() -> None:
    ids = {machine_id(lab, host) for lab in ("a", "b") for host in ("node1", "node2")}
    assert len(ids) == 4


@given(st.sets(st.integers(0, (1 << 16) - 1), max_size=50), st.sampled_from(["a", "b", "c"]))
def test_a_chosen_network_overlaps_nothing_taken(indices: set[int], name: str) -> None:
    taken = [IPv4Network((0x0A000000 + (i << 8), 24)) for i in indices]
    free = choose_subnet(name, taken)
    assert free.subnet_of(IPv4Network("10.0.0.0/8"))
    assert not any(free.overlaps(other) for other in taken)


def test_no_network_is_left_when_all_are_taken() -> None:
    with pytest.raises(LabError, match="cannot find a free network"):
        choose_subnet("a", [IPv4Network("10.0.0.0/8")])


def test_faults_add_up_and_go_one_by_one() -> None:
    record = plan_lab("t1", SUBNET, 1, 1)
    cut = record.with_fault("node1", Fault.CUT_ALL).with_fault("node1", Fault.FROZEN)
    assert cut.faults == {"node1": (Fault.CUT_ALL, Fault.FROZEN)}
    assert cut.without_fault("node1", Fault.CUT_ALL).faults == {"node1": (Fault.FROZEN,)}
    assert cut.without_fault("node1", Fault.CUT_ALL, Fault.FROZEN) == record


def test_an_unknown_host_is_named_with_those_that_exist() -> None:
    with pytest.raises(NotFound, match=r"cannot find host node9 .*etcd1, node1"):
        plan_lab("t1", SUBNET, 1, 1).part("node9")


def test_hosts_know_each_other_by_name() -> None:
    assert names_file(plan_lab("t1", SUBNET, 2, 1)).splitlines() == [
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        "10.1.2.2 etcd1",
        "10.1.2.11 node1",
        "10.1.2.12 node2",
    ]


def test_settings_of_a_host_are_toml_and_extra_ones_are_merged() -> None:
    record = plan_lab("t1", SUBNET, 2, 3)
    extra = {"machine_ttl": 4, "metadata": {"zone": 'a "b"'}, "capacity": {"cpus": "8"}}
    with_extra = type(record)(record.name, record.subnet, record.hosts, record.etcd, settings=extra)
    assert tomllib.loads(host_settings(with_extra, record.hosts[1])) == {
        "cluster": "t1",
        "etcd": ["http://10.1.2.2:2379", "http://10.1.2.3:2379", "http://10.1.2.4:2379"],
        "address": "10.1.2.12",
        "machine_ttl": 4,
        "metadata": {"host": "node2", "rack": "r2", "zone": 'a "b"'},
        "capacity": {"cpus": "8"},
    }


def test_a_bare_host_has_an_identity_but_no_fleetish() -> None:
    record = plan_lab("t1", SUBNET, 1, 1)
    bare = type(record)(record.name, record.subnet, record.hosts, record.etcd, bare=True)
    units = {"fleetish.service": "[Service]\n"}
    assert sorted(host_files(bare, NODE1, units)) == [
        "etc/fstab",
        "etc/hostname",
        "etc/hosts",
        "etc/machine-id",
    ]
    more = sorted({*host_files(record, NODE1, units)} - {*host_files(bare, NODE1, units)})
    assert more == ["etc/fleetish/fleetish.toml", "etc/systemd/system/fleetish.service"]


def test_a_virtual_environment_elsewhere_is_bound_as_well() -> None:
    tree = bound(Path("/nowhere/venv"))[0]
    assert bound(tree / ".venv") == (tree,)
    assert bound(Path("/nowhere/venv")) == (tree, Path("/nowhere/venv"))


def test_the_environment_names_every_face() -> None:
    ports = {"api": 7100, "marathon": 8080, "chronos": 4401, "mesos": 5050}
    assert environment(ports) == (
        "export FLEETISH_ENDPOINT=http://127.0.0.1:7100",
        "export MARATHON_URL=http://127.0.0.1:8080",
        "export CHRONOS_URL=http://127.0.0.1:4401",
        "export MESOS_MASTER=127.0.0.1:5050",
    )


def venv(folder: Path, home: str) -> Path:
    (folder / "pyvenv.cfg").write_text(f"home = {home}\nversion = 3.11.2\n")
    return folder


def test_an_environment_made_from_debians_python_is_taken(tmp_path: Path) -> None:
    assert virtual_environment(venv(tmp_path, "/usr/bin")) == tmp_path


def test_an_environment_whose_python_a_host_does_not_see_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"cannot use /proc/\d+: .*/usr/bin/python3 -m venv"):
        virtual_environment(venv(tmp_path, "/proc/self"))


def test_a_python_without_an_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot use a Python outside a virtual environment"):
        virtual_environment(tmp_path)


@pytest.mark.parametrize(
    ("platform", "user", "absent", "said"),
    [
        ("linux", 0, [], ""),
        ("darwin", 0, [], "cannot run a lab on another kernel than Linux"),
        ("linux", 1000, [], "cannot run a lab without root (try sudo)"),
        (
            "linux",
            0,
            ["systemd-nspawn", "etcd"],
            "cannot run a lab without systemd-nspawn, etcd"
            " (apt-get install etcd-server systemd-container)",
        ),
    ],
)
def test_what_stands_against_a_lab_is_said_with_the_way_out(
    platform: str, user: int, absent: list[str], said: str
) -> None:
    assert obstacle(platform, user, absent) == said
