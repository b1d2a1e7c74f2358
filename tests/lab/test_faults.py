"""Daemons that die or stand still, an etcd that goes away, records that nobody can read."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from fleetish.wire import Wish
from tests.lab.auditor import all_mains, alone, homes
from tests.lab.hearing import Cluster, begun, cluster
from tests.lab.history import (
    PREFIX,
    Write,
    decisions,
    etcd,
    get,
    history,
    put,
    revision,
    tenures,
    unled,
    wishes,
)

pytestmark = pytest.mark.lab

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"


@pytest.fixture(scope="module")
def c() -> Iterator[Cluster]:
    with cluster(f"tf{os.getpid()}", 3, machine_ttl=10, engine_ttl=3) as found:
        yield found


def names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}@{number}.service" for number in range(count))


def again(c: Cluster, host: str, before: str) -> bool:
    """True when a host's daemon runs, and is another process than before."""
    return daemon(c, host) not in ("0", before)


def daemon(c: Cluster, host: str) -> str:
    """The process of a host's daemon."""
    return c.lab.exec(host, ["systemctl", "show", "-P", "MainPID", "fleetish"]).stdout.strip()


@pytest.mark.parametrize("how", [("kill", "--signal=KILL"), ("restart",)], ids=["kill", "restart"])
def test_a_hundred_units_do_not_notice_that_their_agent_went(
    c: Cluster, how: tuple[str, ...]
) -> None:
    text = SLEEP + "[X-Fleet]\nMachineMetadata=host=node3\n"
    units = names("many", 100)
    with begun(c, text, *units):
        before = all_mains(c.lab, "many@*.service")
        assert {host: len(found) for host, found in before.items()} == {
            "node1": 0,
            "node2": 0,
            "node3": 100,
        }
        pid = daemon(c, "node3")
        c.lab.exec("node3", ["systemctl", *how, "fleetish"], check=True)
        c.until(lambda: again(c, "node3", pid))
        c.lab.exec("node3", ["systemctl", "kill", "--signal=KILL", units[7]], check=True)
        c.until(lambda: c.views([units[7]])[units[7]].states[0].active == "failed", 20)
        after = all_mains(c.lab, "many@*.service")
        del before["node3"][units[7]]
        assert after == before
        rest = c.views(units)
        shown = Counter(rest[unit].states[0].active for unit in units)
        assert shown == {"active": 99, "failed": 1}
        assert {rest[unit].states[0].main_pid for unit in units if unit != units[7]} == {
            main.pid for main in after["node3"].values()
        }


def test_an_engine_that_is_killed_in_its_plan_is_succeeded_by_one_that_ends_it(
    c: Cluster,
) -> None:
    since, units = revision(c.lab), names("kill", 200)
    led = c.until(c.leader)
    submit(c, units[:150])
    c.until(lambda: c.heard(lambda one: one.what == "placed" and one.unit.startswith("kill@")))
    c.lab.exec(led, ["systemctl", "kill", "--signal=KILL", "fleetish"], check=True)
    try:
        c.until(lambda: submit(c, units[150:]))
        c.until(lambda: c.running(units))
        placed_once(c, since, units)
        assert tenures(history(c.lab))[-1].begin > since
    finally:
        c.destroy(*units)


def submit(c: Cluster, units: tuple[str, ...]) -> bool:
    """Ask for units; asking twice does no harm."""
    rows = [Wish(name=unit, text=SLEEP, target="launched") for unit in units]
    return bool(c.fleet.submit(rows).units)


def led_elsewhere(c: Cluster) -> str:
    """Let another host lead than the one whose API is used here; its name."""
    while (led := c.until(c.leader)) == "node1":
        etcd(c.lab, "del", PREFIX + "leader")
        c.until(lambda: c.leader() and tenures(history(c.lab))[-1].end == float("inf"))
    c.anew()
    return led


def test_an_engine_that_stood_still_longer_than_its_lease_writes_nothing_more(
    c: Cluster,
) -> None:
    led, since, units = led_elsewhere(c), revision(c.lab), names("stop", 200)
    stop, go = (["systemctl", "kill", f"--signal={name}", "fleetish"] for name in ("STOP", "CONT"))
    try:
        for at in range(0, 80, 20):
            submit(c, units[at : at + 20])
        c.lab.exec(led, stop, check=True)
        for at in range(80, 120, 20):
            submit(c, units[at : at + 20])
        c.until(lambda: c.leader() not in ("", led))
        submit(c, units[120:160])
        c.lab.exec(led, go, check=True)
        submit(c, units[160:])
        c.until(lambda: c.running(units))
        placed_once(c, since, units)
        (_, *later) = [one for one in tenures(history(c.lab)) if one.end > since]
        assert led not in [one.host for one in later]
        assert len(c.fleet.machines()) == 3
    finally:
        c.lab.exec(led, go)
        c.destroy(*units)


#: Cuts a host's way to etcd but not the way back, waits until a plan is on that way, stops the
#: daemon. What was sent lies in the kernel, which sends it again once the way is open.
HOLD = """
nft add table inet late
nft add chain inet late out '{ type filter hook output priority 0; }'
nft add rule inet late out tcp dport 2379 drop
echo cut
held() { ss -Htn state established dport = :2379 | awk '{ n += $2 } END { print n + 0 }'; }
until [ $(held) -gt 4000 ]; do :; done
systemctl kill --signal=STOP fleetish
held
"""
RELEASE = """
nft delete table inet late
until [ $(ss -Htn state established dport = :2379 | awk '{ n += $2 } END { print n + 0 }') = 0 ]
do :; done
ss -Htn state established dport = :2379 | wc -l
"""


def test_a_plan_that_arrives_when_its_engine_no_longer_leads_is_refused(c: Cluster) -> None:
    """The other engines stand still too: nothing but the leader's guard is in the plan's way."""
    led, since, units = led_elsewhere(c), revision(c.lab), names("late", 20)
    others = [host.name for host in c.lab.hosts if host.name != led]
    stop, go = (["systemctl", "kill", f"--signal={name}", "fleetish"] for name in ("STOP", "CONT"))
    try:
        with subprocess.Popen(
            c.lab.command(led, ["sh", "-ec", HOLD]), stdout=subprocess.PIPE, text=True
        ) as hold:
            assert hold.stdout is not None
            assert hold.stdout.readline() == "cut\n"
            submit(c, units)
            assert int(hold.stdout.readline()) > 4000
        for host in others:
            c.lab.exec(host, stop, check=True)
        etcd(c.lab, "del", PREFIX + "leader")
        ended = revision(c.lab)
        arrived = c.lab.exec(led, ["sh", "-ec", RELEASE], check=True, timeout=10).stdout
        assert int(arrived) > 0, "the connections stood, so that all that was sent has arrived"
        assert decisions(history(c.lab, ended)) == []
        for host in (*others, led):
            c.lab.exec(host, go, check=True)
        c.until(lambda: c.running(units))
        placed_once(c, since, units)
    finally:
        for name in (led, *others):
            c.lab.exec(name, go)
        c.lab.exec(led, ["nft", "delete", "table", "inet", "late"])
        c.destroy(*units)


def placed_once(c: Cluster, since: int, units: tuple[str, ...]) -> None:
    """Each unit got one placement, all by leaders, and runs on one host: the one that it has."""
    writes = history(c.lab)
    assert unled(writes) == []
    assert {host.name: claimed(c, host.name) - led(writes, host.name) for host in c.lab.hosts} == {
        host.name: set() for host in c.lab.hosts
    }, "an engine that no longer led wrote something"
    new = [write for write in decisions(writes) if write.revision > since]
    first = Counter(w.key.split("/")[-1] for w in new if w.value and w.create == w.revision)
    assert {first[unit] for unit in units} == {2}, "one placement and one assignment for each"
    found = homes(c.lab)
    assert alone(found, units)
    assert {unit: c.host(view.machine) for unit, view in c.views(units).items()} == {
        unit: found[unit][0] for unit in units
    }


def claimed(c: Cluster, host: str) -> set[str]:
    """The units that a host's engine says it has placed, in its journal."""
    text = c.lab.exec(host, ["journalctl", "-o", "cat", "-u", "fleetish"], check=True).stdout
    return set(re.findall(r"engine\.loop: (?:assign|move) (\S+) ", text))


def led(writes: list[Write], host: str) -> set[str]:
    """The units that were placed while a host led, by etcd's history."""
    mine = [tenure for tenure in tenures(writes) if tenure.host == host]
    found = (write for write in decisions(writes) if any(t.holds(write.revision) for t in mine))
    return {write.key.split("/")[-1] for write in found}


@pytest.fixture
def ten(c: Cluster) -> Iterator[tuple[str, ...]]:
    """Ten units that run, and shall go on running."""
    with begun(c, SLEEP, *names("calm", 10)) as units:
        yield units


def as_they_were(c: Cluster, units: tuple[str, ...]) -> tuple[object, ...]:
    """The units' processes on the hosts, and when their place was last written."""
    mine = {key: mod for key, mod in wishes(c.lab).items() if key.endswith(units)}
    return all_mains(c.lab, "calm@*.service"), mine


def test_an_etcd_that_is_restarted_disturbs_no_unit(c: Cluster, ten: tuple[str, ...]) -> None:
    before, heard = as_they_were(c, ten), len(c.told)
    c.lab.kill("etcd1")
    c.lab.start("etcd1")
    c.until(lambda: submit(c, ("after@1.service",)))
    try:
        c.until(lambda: c.running(("after@1.service",)))
        assert as_they_were(c, ten) == before
        assert not c.heard(lambda event: event.what == "lost", heard)
    finally:
        c.destroy("after@1.service")


def test_a_minute_without_etcd_stops_no_unit_and_is_told(c: Cluster, ten: tuple[str, ...]) -> None:
    before, heard = as_they_were(c, ten), len(c.told)
    c.lab.kill("etcd1")
    try:
        end = time.monotonic() + 60
        c.until(lambda: staleness(c, ten) > 0)  # at first nobody can know
        stale = 0.0
        while time.monotonic() < end:
            asked = time.monotonic()
            refused = requests.put(
                f"{c.lab.endpoint}/v1/units/down.service", json={"text": SLEEP}, timeout=10
            )
            assert time.monotonic() - asked < 3  # it says 2; the machine may be busy
            assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
            last, stale = stale, staleness(c, ten)
            assert stale > last
            assert health(c)["status"] == "stale"
            assert all_mains(c.lab, "calm@*.service") == before[0]
            time.sleep(5)
    finally:
        c.lab.start("etcd1")
    try:
        c.until(lambda: submit(c, ("after@1.service",)))
        c.until(lambda: c.running(("after@1.service",)))
        assert as_they_were(c, ten) == before
        assert not c.heard(lambda event: event.what == "lost", heard)
        assert (staleness(c, ten), health(c)["status"]) == (0, "ok")
        assert unled(history(c.lab)) == []
    finally:
        c.destroy("after@1.service", "down.service")


def staleness(c: Cluster, units: tuple[str, ...]) -> float:
    """For how many seconds etcd is silent, as the API says with its listing of the units."""
    read = requests.get(f"{c.lab.endpoint}/v1/units", timeout=10)
    assert read.status_code == 200
    assert {one["name"] for one in read.json()["units"]} >= set(units)
    return float(read.headers.get("Fleetish-Stale", "0"))


def health(c: Cluster) -> dict[str, Any]:
    """What the API says of itself."""
    found: dict[str, Any] = requests.get(f"{c.lab.endpoint}/v1/health", timeout=10).json()
    return found


GARBAGE = ("{", "", "null", '{"v":99}', '{"v":1,"unit":5}', "\udcff\x01")
KINDS = ("units/{unit}", "assigned/{machine}/{unit}", "placement/{unit}", "machines/{machine}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.split("/")[0])
def test_garbage_in_a_key_is_told_and_disturbs_nothing(
    c: Cluster, ten: tuple[str, ...], kind: str
) -> None:
    unit = ten[0]
    key = kind.format(unit=unit, machine=c.fleet.unit(unit).machine)
    before, sound = all_mains(c.lab, "calm@*.service"), get(c.lab, key)
    others = {key: mod for key, mod in wishes(c.lab).items() if key.endswith(ten[1:])}
    try:
        for garbage in GARBAGE:
            put(c.lab, key, garbage)
            c.until(lambda: any(key in alarm for alarm in alarms(c)))
        put(c.lab, f"bogus/{unit}", "{")
        c.until(lambda: c.heard(lambda one: one.what == "raised" and key in one.text))
        c.until(lambda: submit(c, ("beside@1.service",)))
        c.until(lambda: c.running(("beside@1.service",)))  # everybody has looked at it all
        assert all_mains(c.lab, "calm@*.service") == before
        assert {key: mod for key, mod in wishes(c.lab).items() if key.endswith(ten[1:])} == others
    finally:
        put(c.lab, key, sound)
        c.until(lambda: not alarms(c))
        c.destroy("beside@1.service")
    c.fleet.restart([unit])
    c.until(lambda: c.running(ten))
    after = all_mains(c.lab, "calm@*.service")
    assert {u: m for found in after.values() for u, m in found.items() if u != unit} == {
        u: m for found in before.values() for u, m in found.items() if u != unit
    }


def alarms(c: Cluster) -> tuple[str, ...]:
    """What an operator is told of now."""
    return tuple(health(c)["alarms"])


def test_a_state_that_cannot_be_read_is_told_and_written_anew(
    c: Cluster, ten: tuple[str, ...]
) -> None:
    before, home = all_mains(c.lab, "calm@*.service"), c.fleet.unit(ten[0]).machine
    key = f"states/{home}/{ten[0]}"
    put(c.lab, key, "{")
    c.until(lambda: c.heard(lambda one: one.what == "raised" and key in one.text))
    c.until(lambda: not alarms(c))
    assert c.running(ten)
    assert all_mains(c.lab, "calm@*.service") == before


def test_a_text_that_cannot_be_read_stops_nothing_that_runs(
    c: Cluster, ten: tuple[str, ...]
) -> None:
    before, unit = all_mains(c.lab, "calm@*.service"), c.fleet.unit(ten[0])
    home, key = c.host(unit.machine), f"content/{unit.hash}"
    sound, pid = get(c.lab, key), daemon(c, home)
    put(c.lab, key, "{")
    try:
        c.lab.exec(home, ["systemctl", "restart", "fleetish"], check=True)
        c.until(lambda: again(c, home, pid))
        c.until(lambda: submit(c, ("beside.service",)))
        c.until(lambda: c.running(("beside.service", *ten)))
        assert all_mains(c.lab, "calm@*.service") == before
    finally:
        put(c.lab, key, sound)
        c.destroy("beside.service")
    c.fleet.restart([unit.name])
    c.until(lambda: c.running(ten))
