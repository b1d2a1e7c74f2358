"""Hosts cut off, frozen or gone: what is lost moves, and what is exclusive is never twice."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.auditor import alone, beating, homes, lives, overlap, processes
from tests.lab.hearing import Cluster, begun, cluster
from tests.lab.history import history, unled, wishes

pytestmark = pytest.mark.lab

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"
#: The host whose losses are looked at, and the only other that takes its units.
OLD, NEW = "node4", "node5"
ONLY = (f'MachineMetadata="host={OLD}" "host={NEW}"',)
#: Seconds for which an exclusive unit may be alive twice when a frozen host goes on.
THAW_S = 0.05


@pytest.fixture(scope="module")
def c() -> Iterator[Cluster]:
    with cluster(f"tl{os.getpid()}", 5, machine_ttl=5, engine_ttl=3) as found:
        yield found


@contextmanager
def at_home(c: Cluster, **units: str) -> Iterator[None]:
    """Units with their texts, which all run on OLD at the beginning."""
    names = [f"{name}.service" for name in units]
    c.fleet.cordon(NEW)
    try:
        for name, text in units.items():
            c.start(text, f"{name}.service")
        assert {c.home(name) for name in names} == {OLD}
        c.fleet.uncordon(NEW)
        yield
    finally:
        c.fleet.uncordon(NEW)
        c.destroy(*names)


def moved(c: Cluster, *units: str) -> bool:
    """True when the units are active on NEW, as the cluster says."""
    return c.running(units) and {c.home(unit) for unit in units} == {NEW}


def test_a_host_cut_from_etcd_keeps_what_is_shared_and_ends_what_is_exclusive(
    c: Cluster,
) -> None:
    shared, only = "cut-shared.service", "cut-only.service"
    units = {
        "cut-shared": beating("shared", *ONLY),
        "cut-only": beating("exclusive", "Class=exclusive", *ONLY),
    }
    with at_home(c, **units):
        pids = processes(c.lab, OLD)[shared]
        c.lab.partition(OLD, "etcd")
        try:
            c.until(lambda: moved(c, shared, only))
            assert homes(c.lab, [shared, only]) == {shared: [OLD, NEW], only: [NEW]}
            assert processes(c.lab, OLD)[shared] == pids
        finally:
            c.lab.heal(OLD)
        c.until(lambda: alone(homes(c.lab), (shared, only)))
        assert homes(c.lab, [shared, only]) == {shared: [NEW], only: [NEW]}
        before, after = lives(c.lab, OLD, only), lives(c.lab, NEW, only)
        assert len(before) == len(after) == 1
        assert before[0].end < after[0].begin, "dead here before it was alive there"
        assert len(lives(c.lab, OLD, shared)) == 1, "what is shared never stopped"
        c.until(lambda: len(c.fleet.machines()) == 5)
    assert unled(history(c.lab)) == []


def test_a_host_that_stood_still_ends_what_is_exclusive_as_it_goes_on(c: Cluster) -> None:
    unit = "ice.service"
    with at_home(c, ice=beating("exclusive", "Class=exclusive", *ONLY)):
        c.lab.freeze(OLD)
        try:
            c.until(lambda: moved(c, unit))
            c.until(lambda: lives(c.lab, NEW, unit))
        finally:
            c.lab.thaw(OLD)
        c.until(lambda: len(c.fleet.machines()) == 5)
        c.until(lambda: homes(c.lab, [unit]) == {unit: [NEW]})
        old, new = lives(c.lab, OLD, unit), lives(c.lab, NEW, unit)
        assert old[0].end < new[0].begin, "frozen before it was alive there"
        assert overlap(old, new) <= THAW_S


def test_when_most_hosts_vanish_at_once_nothing_moves(c: Cluster) -> None:
    units = tuple(f"brake@{number}.service" for number in range(9))
    left, gone = ("node1", "node2"), ("node3", "node4", "node5")
    for host in left:
        c.fleet.cordon(host)
    try:
        with begun(c, SLEEP, *units):
            for host in left:
                c.fleet.uncordon(host)
            before, heard = placed(c, units), len(c.told)
            vanish(c, gone)
            try:
                c.until(lambda: told(c, "raised", heard))
                time.sleep(3)  # units of a single lost host would have moved after one second
                c.start(SLEEP, "brake.service")  # the engine goes on with the rest
                assert c.home("brake.service") in left
                assert placed(c, units) == before
            finally:
                for host in gone:
                    c.lab.heal(host)
                c.destroy("brake.service")
            c.until(lambda: told(c, "cleared", heard))
            c.until(lambda: len(c.fleet.machines()) == 5 and c.running(units))
            assert placed(c, units) == before, "nor when the first of them was back"
            found = homes(c.lab)
            assert {unit: found[unit] for unit in units} == {u: [c.home(u)] for u in units}
    finally:
        for host in left:
            c.fleet.uncordon(host)


def vanish(c: Cluster, hosts: tuple[str, ...]) -> None:
    """Cut hosts off; their leases end by themselves, up to a quarter of the TTL apart."""
    for host in hosts:
        c.lab.partition(host, "etcd")


def told(c: Cluster, what: str, since: int) -> bool:
    """True when the alarm of the mass-loss brake was raised or cleared."""
    text = "3 of 5 machines are lost"
    return c.heard(lambda one: (one.kind, one.what) == ("alarm", what) and text in one.text, since)


def placed(c: Cluster, units: tuple[str, ...]) -> dict[str, int]:
    """When the places of units were last written."""
    return {key: mod for key, mod in wishes(c.lab).items() if key.endswith(units)}
