"""Rolling updates, a rebalance, a drain and followed journals on real hosts."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator

import pytest

from fleetish.wire_orders import ReplaceBody
from tests.lab.hearing import Cluster, begun, cluster
from tests.lab.history import history, revision, tenures
from tests.lab.test_command_line import FLEETISH

pytestmark = pytest.mark.lab

OLD = "[Service]\nExecStart=/bin/sh -c 'echo old; exec sleep 1000'\n"
NEW = OLD.replace("old", "new")
BAD = "[Service]\nExecStart=/bin/sh -c 'sleep 0.3; exit 3'\n"
GLOBAL = "[X-Fleet]\nGlobal=true\n"
WEB = tuple(f"roll@{n}.service" for n in range(1, 7))


@pytest.fixture(scope="module")
def c() -> Iterator[Cluster]:
    with cluster(f"tz{os.getpid()}", 3, machine_ttl=6, engine_ttl=3) as found:
        yield found


def most_down(c: Cluster, since: int, units: tuple[str, ...]) -> int:
    """How many of some units, active at first, were not active at the same time, at most: from the
    write that tells a machine something new until its state answers that."""
    told: dict[str, int] = {}
    down: set[str] = set()
    worst = 0
    for write in history(c.lab, since):
        kind, _, where = write.key.partition("/")
        if where.rpartition("/")[2] not in units or write.value is None:
            continue
        if kind == "assigned":
            told[where] = write.value.get("generation", 1)
            down.add(where)
        elif kind == "states":
            same = write.value.get("seen") == told.get(where, write.value.get("seen"))
            down = down - {where} if same and write.value["active"] == "active" else down | {where}
        worst = max(worst, len(down))
    return worst


def ended(c: Cluster, name: str) -> str:
    """Wait until a rollout has ended; how."""
    c.until(lambda: not c.fleet.rollout(name).going, 120)
    return c.fleet.rollout(name).stage


def fleetish(c: Cluster, *argv: str) -> str:
    """What a command prints on node1."""
    return c.lab.exec("node1", [FLEETISH, *argv], check=True).stdout


def shown(c: Cluster, unit: str, host: str) -> str:
    return c.lab.exec(host, ["systemctl", "show", "-P", "ExecStart", unit]).stdout


def test_a_template_is_replaced_and_the_death_of_the_leader_does_not_matter(c: Cluster) -> None:
    with begun(c, OLD, *WEB):
        since = revision(c.lab)
        body = ReplaceBody(units=WEB, texts={"roll@.service": NEW}, max_unavailable="2")
        name = c.fleet.replace(body).id
        c.until(lambda: c.fleet.rollout(name).done >= 1)
        led = c.until(c.leader)
        c.lab.exec(led, ["systemctl", "kill", "--signal=KILL", "fleetish"], check=True)
        assert ended(c, name) == "done"
        assert most_down(c, since, WEB) == 2
        assert len([one for one in tenures(history(c.lab)) if one.end > since]) == 2
        for unit in WEB:
            assert "echo new" in shown(c, unit, c.home(unit))


def test_a_global_unit_that_dies_soon_after_its_start_is_rolled_back(c: Cluster) -> None:
    unit = "rollall.service"
    with begun(c, OLD + GLOBAL, unit):
        c.until(lambda: len(c.fleet.states(unit)) == 3)
        before = {
            host.name: c.lab.exec(host.name, ["systemctl", "show", "-P", "MainPID", unit]).stdout
            for host in c.lab.hosts
        }
        body = ReplaceBody(
            units=(unit,), texts={unit: BAD + GLOBAL}, on_failure="rollback", settle=2
        )
        name = c.fleet.replace(body).id
        assert ended(c, name) == "undone"
        assert (
            "rollall.service failed (exit-code, status 3) on node1" in c.fleet.rollout(name).reason
        )
        c.until(lambda: c.running((unit,)))
        after = {
            host.name: c.lab.exec(host.name, ["systemctl", "show", "-P", "MainPID", unit]).stdout
            for host in c.lab.hosts
        }
        assert after["node1"] != before["node1"]
        assert (after["node2"], after["node3"]) == (before["node2"], before["node3"])


def test_a_host_that_comes_back_gets_its_share_and_gives_it_up_when_drained(c: Cluster) -> None:
    c.lab.kill("node3")
    c.until(lambda: len(c.fleet.machines()) == 2)
    try:
        with begun(c, OLD, *WEB):
            c.lab.start("node3")
            c.until(lambda: len(c.fleet.machines()) == 3)
            planned = fleetish(c, "rebalance", "--dry-run")
            assert planned.count(" to node3 (rebalanced: ") == 2, planned
            done = fleetish(c, "rebalance", "--json")
            assert json.loads(done.splitlines()[-1]) == {"rebalance": "done", "moved": 2}
            homes = [c.home(unit) for unit in WEB]
            assert {host: homes.count(host) for host in homes} == {
                "node1": 2, "node2": 2, "node3": 2,
            }  # fmt: skip
            drained = fleetish(c, "drain", "node3", "--json")
            told = [json.loads(line) for line in drained.splitlines()]
            assert [row["event"] for row in told] == ["draining", "left", "left", "drained"]
            c.fleet.uncordon("node3")
    finally:
        c.lab.start("node3")


def test_journals_of_one_template_are_followed_on_all_of_their_machines(c: Cluster) -> None:
    text = "[Service]\nExecStart=/bin/sh -c 'while :; do echo I am %n; sleep 1; done'\n"
    units = tuple(f"say@{n}.service" for n in range(1, 4))
    with begun(c, text, *units):
        heard: dict[str, list[str]] = {}

        def listen(unit: str) -> None:
            entries = c.fleet.again().journal(unit, 0, follow=True)
            heard[unit] = [(e := next(entries))["_HOSTNAME"] + " " + e["MESSAGE"] for _ in range(3)]

        threads = [threading.Thread(target=listen, args=(unit,), daemon=True) for unit in units]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert heard == {unit: [f"{c.home(unit)} I am {unit}"] * 3 for unit in units}
        assert len({c.home(unit) for unit in units}) == 3
