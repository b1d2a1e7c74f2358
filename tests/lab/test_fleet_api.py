"""fleet's own functional scenarios, over fleet's API, on real hosts.

What they take for granted: rows of three columns that are never empty, a row for what is loaded and
none for what is only submitted, and no unit that is active twice at any moment.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleetish.lab.cluster import Lab
from tests.fleet_api.speak import OTHER, SLEEP, Fleet, fleet_options

pytestmark = pytest.mark.lab

Rows = dict[str, list[str]]


@pytest.fixture(scope="module")
def c() -> Iterator[Lab]:
    with Lab(f"tf{os.getpid()}", machines=3, settings={"machine_ttl": 5}) as lab:
        yield lab


class Members(Fleet):
    """The cluster as fleet's test harness saw it."""

    def active(self) -> Rows:
        """The machines on which each unit is active; no unit is active twice on one."""
        found: Rows = {}
        for row in self.listed("state"):
            columns = [row["name"], row["machineID"], row["systemdActiveState"]]
            assert all(column and " " not in column for column in columns)
            if row["systemdActiveState"] == "active":
                found.setdefault(row["name"], []).append(row["machineID"])
        return found

    def known(self) -> set[str]:
        """Units with a row."""
        return {row["name"] for row in self.listed("state")}

    def sees(self, fits: Callable[[Rows], bool]) -> Rows:
        """Wait until the active units are so; until then none that is not global runs twice."""
        found: Rows = {}

        def look(_: Any) -> bool:
            found.clear()
            found.update(self.active())
            assert all(
                len(machines) == 1 for name, machines in found.items() if "global" not in name
            ), found
            return fits(found)

        self.until("/machines", look)
        return found

    def runs(self, *names: str) -> Rows:
        """Wait until exactly these units are active."""
        return self.sees(lambda rows: rows.keys() == set(names))

    def machines(self) -> list[str]:
        return [one["id"] for one in self.listed("machines")]

    def gone(self, *names: str) -> None:
        """Destroy units and wait until no row of them is left."""
        for name in names:
            self.destroy(name)
        self.until("/machines", lambda _: not self.known() & set(names))


@pytest.fixture
def fleet(c: Lab) -> Iterator[Members]:
    """An empty cluster; what a test leaves is destroyed."""
    with Members(c.endpoint) as members:
        members.until("/machines", lambda page: len(page.get("machines", ())) == 3)
        yield members
        members.gone(*(unit["name"] for unit in members.listed("units")))


def instances(count: int, stem: str = "hello") -> list[str]:
    return [f"{stem}@{number}.service" for number in range(1, count + 1)]


def test_a_unit_that_is_started_is_active_once(fleet: Members) -> None:
    fleet.submit("hello.service", state="launched")
    fleet.reaches("hello.service", "launched")
    assert len(fleet.runs("hello.service")["hello.service"]) == 1


def test_units_are_submitted_listed_and_destroyed_and_that_again(fleet: Members) -> None:
    for _ in range(2):
        for name in instances(9):
            fleet.submit(name)
        assert [unit["name"] for unit in fleet.listed("units")] == instances(9)
        assert fleet.known() == set()
        for name in instances(9):
            fleet.destroy(name)
        assert fleet.listed("units") == []


def test_units_that_are_loaded_have_rows_until_they_are_unloaded_and_that_again(
    fleet: Members,
) -> None:
    for name in instances(6):
        fleet.submit(name)
    for _ in range(2):
        for name in instances(6):
            fleet.want(name, "loaded")
        fleet.until("/state", lambda _: fleet.known() == set(instances(6)))
        for name in instances(6):
            row = fleet.get(f"/state/{name}")
            assert (row["systemdLoadState"], row["systemdActiveState"]) == ("loaded", "inactive")
            fleet.want(name, "inactive")
        fleet.until("/state", lambda _: fleet.known() == set())


def test_units_are_started_and_stopped_and_that_again(fleet: Members) -> None:
    for name in instances(3):
        fleet.submit(name)
    for _ in range(2):
        for name in instances(3):
            fleet.want(name, "launched")
        fleet.runs(*instances(3))
        for name in instances(3):
            fleet.want(name, "loaded")
        fleet.runs()
        assert fleet.known() == set(instances(3))


@pytest.mark.parametrize("state", ["inactive", "loaded", "launched"])
def test_a_unit_with_new_options_goes_back_to_inactive_and_on_with_them(
    fleet: Members, state: str
) -> None:
    fleet.submit("hello.service", state=state)
    fleet.reaches("hello.service", state)
    fleet.submit("hello.service", OTHER)
    fleet.reaches("hello.service", "inactive")
    assert fleet.known() == set()
    if state != "inactive":
        fleet.want("hello.service", state)
    unit = fleet.reaches("hello.service", state)
    assert unit["options"] == OTHER


def test_units_that_are_restarted_as_fleetctl_does_are_all_active_again(fleet: Members) -> None:
    for name in instances(3):
        fleet.submit(name, state="launched")
    fleet.runs(*instances(3))
    for name in instances(3):
        fleet.want(name, "loaded")
    for name in instances(3):
        fleet.reaches(name, "launched")
        fleet.want(name, "launched")
    fleet.runs(*instances(3))


def test_units_are_listed_in_order(fleet: Members) -> None:
    for name in reversed(instances(20)):
        fleet.submit(name)
    listed = [unit["name"] for unit in fleet.listed("units")]
    assert listed == sorted(instances(20))


def test_metadata_is_added_changed_and_taken_away(fleet: Members) -> None:
    machine = fleet.machines()[0]

    def patched(op: str, key: str, value: str = "") -> dict[str, str]:
        step = {"op": op, "path": f"/{machine}/metadata/{key}", "value": {"value": value}}
        answer = fleet.ask("PATCH", "/machines", json=[step])
        assert (answer.status_code, answer.headers["Content-Type"]) == (204, "application/json")
        rows = {one["id"]: one["metadata"] for one in fleet.listed("machines")}
        return dict(rows[machine])

    before = patched("remove", "foo")
    assert patched("add", "foo", "bar") == {**before, "foo": "bar"}
    assert patched("replace", "foo", "baz") == {**before, "foo": "baz"}
    assert patched("remove", "foo") == before
    assert "host" in before
    assert patched("remove", "host") == {k: v for k, v in before.items() if k != "host"}
    assert patched("add", "host", before["host"]) == before


def test_a_conflict_that_the_other_unit_declares_holds_until_that_is_destroyed(
    fleet: Members,
) -> None:
    for number in range(3):
        options = fleet_options(("Conflicts", "*"))
        fleet.submit(f"conflict.{number}.service", options, "launched")
    fleet.sees(lambda rows: len(rows) == 3)
    fleet.submit("hello.service", state="launched")
    fleet.reaches("hello.service", "inactive")
    fleet.destroy("conflict.0.service")
    fleet.sees(lambda rows: "hello.service" in rows)


def test_of_five_units_that_exclude_each_other_three_run_on_three_machines(
    fleet: Members,
) -> None:
    options = fleet_options(("Conflicts", "conflict.*.service"))
    for number in range(5):
        fleet.submit(f"conflict.{number}.service", options, "launched")
    rows = fleet.sees(lambda rows: len(rows) == 3)
    assert sorted(machines[0] for machines in rows.values()) == fleet.machines()


def test_peers_run_together(fleet: Members) -> None:
    for number in range(3):
        peer = fleet_options(("MachineOf", f"ping.{number}.service"))
        fleet.submit(f"ping.{number}.service", state="launched")
        fleet.submit(f"pong.{number}.service", peer, "launched")
    rows = fleet.sees(lambda rows: len(rows) == 6)
    for number in range(3):
        assert rows[f"ping.{number}.service"] == rows[f"pong.{number}.service"]


def test_a_unit_that_replaces_another_takes_its_machine(fleet: Members) -> None:
    for number in range(3):
        options = fleet_options(("Conflicts", "replace.*.service"))
        name = f"replace.{number}.service"
        fleet.submit(name, SLEEP if number == 0 else options, "launched")
    rows = fleet.sees(lambda rows: len(rows) == 3)
    (machine,) = rows["replace.0.service"]
    kicker = fleet_options(("Replaces", "replace.0.service"), ("MachineMetadata", "kick=yes"))
    step = {"op": "add", "path": f"/{machine}/metadata/kick", "value": {"value": "yes"}}
    assert fleet.ask("PATCH", "/machines", json=[step]).status_code == 204
    fleet.submit("kicker.service", kicker, "launched")
    fleet.reaches("kicker.service", "launched")
    assert fleet.get("/units/kicker.service")["machineID"] == machine


def test_pinned_units_land_where_they_are_pinned(fleet: Members) -> None:
    wanted = {f"pinned.{n}.service": machine for n, machine in enumerate(fleet.machines())}
    for number, (name, machine) in enumerate(wanted.items()):
        given = machine if number else machine[:8]
        fleet.submit(name, fleet_options(("MachineID", given)), "launched")
    rows = fleet.runs(*wanted)
    assert {name: machines[0] for name, machines in rows.items()} == wanted


def test_a_global_unit_runs_on_each_machine_beside_others(fleet: Members) -> None:
    fleet.submit("global.service", fleet_options(("Global", "true")), "launched")
    for name in instances(2):
        fleet.submit(name, state="launched")
    rows = fleet.sees(lambda rows: len(rows.get("global.service", ())) == 3 and len(rows) == 3)
    assert sorted(rows["global.service"]) == fleet.machines()
    unit = fleet.get("/units/global.service")
    assert unit.keys() == {"name", "options", "desiredState"}
    conflicting = fleet_options(("Global", "true"), ("Conflicts", "global.service"))
    fleet.submit("zglobal.service", conflicting, "launched")
    for name in instances(2):
        fleet.gone(name)
    assert fleet.sees(lambda rows: len(rows) == 1).keys() == {"global.service"}


def test_an_instance_is_made_by_the_server_and_lands_where_its_name_says(fleet: Members) -> None:
    fleet.submit("metadata@.service", fleet_options(("MachineMetadata", "host=%i")))
    hosts = {one["metadata"]["host"]: one["id"] for one in fleet.listed("machines")}
    for host in hosts:
        assert fleet.put(f"metadata@{host}.service", state="launched").status_code == 201
    assert fleet.put("metadata@nowhere.service", state="launched").status_code == 201
    rows = fleet.runs(*(f"metadata@{host}.service" for host in hosts))
    assert rows == {f"metadata@{host}.service": [machine] for host, machine in hosts.items()}
    assert fleet.get("/units/metadata@nowhere.service")["currentState"] == "inactive"


def test_a_machine_without_etcd_says_so_and_stops_nothing(c: Lab, fleet: Members) -> None:
    fleet.submit("global.service", fleet_options(("Global", "true")), "launched")
    fleet.sees(lambda rows: len(rows.get("global.service", ())) == 3)
    show = ["systemctl", "show", "-P", "InvocationID", "-P", "ActiveState", "global.service"]
    before = c.exec("node2", show, check=True).stdout
    asked = "curl -s http://127.0.0.1:7100/fleet/v1/machines"
    text = "fleet server unable to communicate with etcd"
    wait = ["sh", "-c", f"until {asked} | grep '{text}'; do sleep 0.2; done"]
    c.partition("node2", "etcd")
    try:
        told = c.exec("node2", wait, check=True, timeout=40).stdout
        assert told == f'{{"error":{{"code":503,"message":"{text}"}}}}\n'
        assert c.exec("node2", show, check=True).stdout == before
    finally:
        c.heal("node2")
    fleet.until("/machines", lambda page: len(page["machines"]) == 3, patience=40)
    assert c.exec("node2", show, check=True).stdout == before
    assert "active" in before


def test_units_of_a_lost_machine_are_seen_once_while_they_move(c: Lab, fleet: Members) -> None:
    for name in instances(3):
        fleet.submit(name, state="launched")
    rows = fleet.runs(*instances(3))
    lost = c.record.host("node3").machine
    moved = [name for name, machines in rows.items() if machines == [lost]]
    assert len(moved) == 1
    c.kill("node3")
    try:
        fleet.until("/machines", lambda page: len(page["machines"]) == 2)
        after = fleet.runs(*instances(3))
        assert Counter(machine for (machine,) in after.values())[lost] == 0
        for name in set(rows) - set(moved):
            assert after[name] == rows[name]
    finally:
        c.start("node3")
        fleet.until("/machines", lambda page: len(page["machines"]) == 3, patience=40)
