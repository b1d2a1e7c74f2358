"""What a cluster is for, on real hosts: spread, limits, losses, drains, priorities, ports."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from fleetish.wire import Wish
from tests.lab.auditor import all_mains, alone, homes
from tests.lab.hearing import Cluster, begun, cluster

pytestmark = pytest.mark.lab

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"
WEB = SLEEP + "MemoryMax=32M\nCPUQuota=5%\n"
THIRTY = tuple(f"web@{number}.service" for number in range(1, 31))
GIB = 1 << 30


@pytest.fixture(scope="module")
def c() -> Iterator[Cluster]:
    capacity = {"cpus": 8, "memory": "8G"}
    with cluster(f"ta{os.getpid()}", 3, machine_ttl=5, capacity=capacity) as found:
        yield found


def test_thirty_instances_are_spread_limited_and_survive_daemons_and_hosts(c: Cluster) -> None:
    c.fleet.submit([Wish(name="web@.service", text=WEB)])
    c.fleet.submit([Wish(name=unit, target="launched") for unit in THIRTY])
    try:
        c.until(lambda: c.running(THIRTY))
        assert spread(c) == {"node1": 10, "node2": 10, "node3": 10}
        for host in c.lab.hosts:
            assert limits(c, host.name) == {("MemoryMax=33554432", "CPUQuotaPerSecUSec=50ms")}
        before = all_mains(c.lab, "web@*.service")
        c.lab.exec("node1", ["systemctl", "restart", "fleetish"], check=True)
        c.until(lambda: c.running(THIRTY))
        assert all_mains(c.lab, "web@*.service") == before
        c.lab.kill("node3")
        c.until(lambda: c.running(THIRTY) and alone(homes(c.lab), THIRTY))
        assert spread(c) == {"node1": 15, "node2": 15}
        after = all_mains(c.lab, "web@*.service", ("node1", "node2"))
        for name, mains in after.items():
            assert mains.items() >= before[name].items(), "what was not lost went on as it was"
        c.lab.start("node3")
        c.until(lambda: len(c.fleet.machines()) == 3)
        assert spread(c) == {"node1": 15, "node2": 15}
    finally:
        c.lab.start("node3")
        c.until(lambda: len(c.fleet.machines()) == 3)
        c.destroy(*THIRTY, "web@.service")


def spread(c: Cluster) -> Counter[str]:
    """How many of the thirty run on each host, by their control groups."""
    found = homes(c.lab)
    return Counter(host for unit in THIRTY for host in found.get(unit, []))


def limits(c: Cluster, host: str) -> set[tuple[str, ...]]:
    """The limits of the thirty that a host's PID 1 has."""
    argv = ["systemctl", "show", "-pMemoryMax", "-pCPUQuotaPerSecUSec", "web@*.service"]
    text = c.lab.exec(host, argv, check=True).stdout
    return {tuple(sorted(block.split(), reverse=True)) for block in text.strip().split("\n\n")}


def test_the_kernel_kills_what_allocates_beyond_its_limit(c: Cluster) -> None:
    text = "[Service]\nExecStart=/usr/bin/python3 -c 'bytearray(200 << 20)'\nMemoryMax=40M\n"
    unit = "greedy.service"
    c.fleet.submit([Wish(name=unit, text=text, target="launched")])
    try:
        c.until(lambda: [one.active for one in c.views([unit])[unit].states] == ["failed"])
        (state,) = c.views([unit])[unit].states
        show = ["systemctl", "show", "-P", "Result", unit]
        said = c.lab.exec(c.home(unit), show, check=True).stdout.strip()
        assert said in ("oom-kill", "signal")  # systemd cannot tell on cgroup v1
        assert (state.result, state.exit_status) == (said, 9)
        log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
        told = [line for line in log.splitlines() if "oom-kill:" in line and unit in line]
        assert any(f"/{c.lab.name}/{c.home(unit)}/" in line for line in told)
        assert "killed" in c.views([unit])[unit].problem
    finally:
        c.destroy(unit)


def test_a_drain_empties_a_host_but_for_what_is_pinned_and_a_cordon_keeps_it(c: Cluster) -> None:
    pinned, free = "pin.service", tuple(f"free@{number}.service" for number in range(6))
    text = SLEEP + "[X-Fleet]\nClass=pinned\nMachineMetadata=host=node2\n"
    with begun(c, text, pinned), begun(c, SLEEP, *free):
        pin = all_mains(c.lab, pinned)
        assert "node2" in {c.home(unit) for unit in free}
        c.fleet.drain("node2", "test")
        try:
            c.until(lambda: c.running(free) and "node2" not in {c.home(unit) for unit in free})
            found = homes(c.lab)
            assert alone(found, free)
            assert (found[pinned], all_mains(c.lab, pinned)) == (["node2"], pin)
            c.fleet.uncordon("node2")
            c.fleet.cordon("node2", "test")
            c.start(SLEEP, "late@1.service", "late@2.service", "late@3.service")
            assert "node2" not in {c.home(f"late@{n}.service") for n in (1, 2, 3)}
            why = {row.host: row.reason for row in c.fleet.explain("late@1.service").machines}
            assert "cordoned" in why["node2"]
        finally:
            c.fleet.uncordon("node2")
            c.destroy(*(f"late@{n}.service" for n in (1, 2, 3)))


def test_what_keeps_failing_goes_to_another_host(c: Cluster) -> None:
    text = (
        "[Service]\nExecStart=/bin/sh -c 'test ! -e /var/lib/broken && exec sleep infinity'\n"
        "[X-Fleet]\nReschedule=on-failure\nRescheduleAfter=2\nBackoff=200ms\nBackoffMax=200ms\n"
    )
    unit = "picky.service"
    for host in ("node1", "node2"):
        c.lab.exec(host, ["touch", "/var/lib/broken"], check=True)
    try:
        c.fleet.submit([Wish(name=unit, text=text, target="launched")])
        c.until(lambda: homes(c.lab, [unit])[unit] == ["node3"])
        c.until(lambda: c.running((unit,)))
        assert c.home(unit) == "node3"
    finally:
        c.destroy(unit)
        for host in ("node1", "node2"):
            c.lab.exec(host, ["rm", "/var/lib/broken"], check=True)


def test_what_matters_more_gets_the_room_of_what_matters_less(c: Cluster) -> None:
    low = SLEEP + "[X-Fleet]\nMemory=5G\nPriority=-10\n"
    lows = tuple(f"low@{number}.service" for number in (1, 2, 3))
    with begun(c, low, *lows):
        with begun(c, SLEEP + "[X-Fleet]\nMemory=6G\nPriority=10\n", "high.service"):
            assert len(homes(c.lab)["high.service"]) == 1
            found = homes(c.lab)
            (loser,) = [unit for unit in lows if unit not in found]
            explained = c.fleet.explain(loser)
            assert {("memory" in row.reason, row.fits) for row in explained.machines} == {
                (True, False)
            }
        c.until(lambda: c.running(lows))


def test_a_fixed_port_is_given_once_a_host(c: Cluster) -> None:
    text = SLEEP + "[X-Fleet]\nPorts=8443\n"
    units = tuple(f"port@{number}.service" for number in (1, 2, 3))
    with begun(c, text, *units):
        assert sorted(host for unit in units for host in homes(c.lab)[unit]) == [
            "node1",
            "node2",
            "node3",
        ]
        c.fleet.submit([Wish(name="port@4.service", text=text, target="launched")])
        try:
            c.until(lambda: c.views(["port@4.service"])["port@4.service"].waiting)
            explained = c.fleet.explain("port@4.service")
            assert all("8443" in row.reason and not row.fits for row in explained.machines)
            c.destroy(units[0])
            c.until(lambda: c.running(("port@4.service",)))
        finally:
            c.destroy("port@4.service")


def test_a_global_unit_is_on_every_host_also_on_one_that_joins(c: Cluster) -> None:
    unit = "everywhere.service"
    c.lab.kill("node3")
    c.until(lambda: len(c.fleet.machines()) == 2)
    try:
        with begun(c, SLEEP + "[X-Fleet]\nGlobal=true\n", unit):
            assert homes(c.lab)[unit] == ["node1", "node2"]
            c.lab.start("node3")
            c.until(lambda: homes(c.lab)[unit] == ["node1", "node2", "node3"])
            c.until(lambda: c.running((unit,)))
        assert homes(c.lab, [unit])[unit] == []
    finally:
        c.lab.start("node3")
