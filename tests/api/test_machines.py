"""Machines over the API: how they are named, cordoned, drained and described."""

from __future__ import annotations

import pytest

from fleetish.client import Client
from fleetish.errors import NotFound, Refused
from fleetish.wire import Wish
from tests.api.cluster import SERVICE, A, B, Cluster, machine


@pytest.fixture(autouse=True)
def two_machines(cluster: Cluster) -> None:
    cluster.register(machine(A, "node1", rack="r1"))
    cluster.register(machine(B, "node2", rack="r2"))


def test_machines_are_listed_by_id_with_what_they_hold(cluster: Cluster, fleet: Client) -> None:
    text = SERVICE + "[X-Fleet]\nCPUs=0.5\nMemory=512M\n"
    fleet.submit([Wish(name="a.service", text=text, target="launched")])
    cluster.place("a.service", B)
    one, two = fleet.machines()
    assert (one.host, one.ip, one.metadata, one.units) == (
        "node1",
        "10.0.0.1",
        {"host": "node1", "rack": "r1"},
        0,
    )
    assert (two.units, two.used.millicpus, two.used.memory >> 20) == (1, 500, 512)


@pytest.mark.parametrize("which", [A, "aaaa", "node1", "10.0.0.1"])
def test_a_machine_goes_by_id_beginning_host_and_address(fleet: Client, which: str) -> None:
    assert fleet.machine(which).id == A


def test_a_beginning_of_two_ids_is_refused_and_an_unknown_one_not_found(
    cluster: Cluster, fleet: Client
) -> None:
    cluster.register(machine("a" * 31 + "b", "node3"))
    with pytest.raises(Refused, match="cannot tell which machine 'aaa' is"):
        fleet.machine("aaa")
    with pytest.raises(NotFound, match="cannot find machine 'node9'"):
        fleet.machine("node9")


def test_cordon_drain_and_uncordon_change_only_what_they_are_for(fleet: Client) -> None:
    fleet.set_metadata("node1", {"disk": "ssd"})
    fleet.cordon("node1", "new disk")
    assert (fleet.machine(A).state, fleet.machine(A).reason) == ("cordoned", "new disk")
    fleet.drain("node1", "kernel")
    assert fleet.machine(A).state == "draining"
    fleet.uncordon("node1")
    assert (fleet.machine(A).state, fleet.machine(A).metadata["disk"]) == ("ready", "ssd")


def test_patched_metadata_wins_and_null_removes(fleet: Client) -> None:
    fleet.set_metadata("node1", {"rack": "r9", "zone": "z"})
    fleet.set_metadata("node1", {"host": None})
    assert fleet.machine(A).metadata == {"rack": "r9", "zone": "z"}
    with pytest.raises(Refused, match="as a metadata key"):
        fleet.set_metadata("node1", {"a b": "x"})


def test_a_lost_machine_is_listed_only_when_asked_for(cluster: Cluster, fleet: Client) -> None:
    fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
    cluster.run("a.service", B)
    cluster.lose(B)
    assert [one.id for one in fleet.machines()] == [A]
    assert [(one.id, one.state) for one in fleet.machines(lost=True)] == [(A, "ready"), (B, "lost")]
    fleet.drain(B)
    assert fleet.machine(B).state == "lost"
