"""Constraint=: where the units of a family may be, and what is said of the other machines."""

from __future__ import annotations

from typing import Any

import pytest

from fleetish.engine.constraints import reject
from fleetish.engine.draft import Draft
from fleetish.engine.explain import explain
from fleetish.engine.plan import plan
from fleetish.engine.roster import Roster
from fleetish.model import Record, Unit
from fleetish.testing.build import answer, apply, drop, machine, overlay, placed, put, unit, world
from fleetish.units.constraint import read
from fleetish.world import World
from tests.engine.rounds import homes, settled

A, B, C = (machine(name, metadata={"rack": rack}) for name, rack in zip("abc", "rrs", strict=True))
PLAIN = machine("d")


def web(at: int | str, *constraints: str, **asks: Any) -> Unit:
    return unit(f"web@{at}.service", constraints=tuple(map(read, constraints)), **asks)


def said(one: Unit, *records: Record | tuple[Record, ...]) -> dict[str, str]:
    """What each of the machines says against a unit."""
    known = world(A, B, C, PLAIN, one, *records)
    draft = Draft(known, Roster.of(known))
    found = {name: reject(draft.room(name), one, draft) for name in known.machines}
    return {name: one.reason if one else "" for name, one in found.items()}


def family(known: World) -> list[str]:
    return [machine for name, machine in homes(known).items() if name.startswith("web@")]


ONE_OF = "Constraint={}: web@.service is at 1 of"
LACKS = "has no rack, which Constraint={} asks about"


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("rack IS r", ["", "", "has rack s, against Constraint=rack IS r", LACKS]),
        ("rack CLUSTER s", ["has rack r, against Constraint=rack CLUSTER s"] * 2 + ["", LACKS]),
        ("rack LIKE [s-z]", ["has rack r, against Constraint=rack LIKE [s-z]"] * 2 + ["", LACKS]),
        ("rack UNLIKE s", ["", "", "has rack s, against Constraint=rack UNLIKE s", ""]),
        ("rack UNIQUE", ["", "", "", LACKS]),
        ("rack MAX_PER 1", ["", "", "", LACKS]),
        ("rack GROUP_BY", ["", "", "", LACKS]),
        ("rack CLUSTER", ["", "", "", LACKS]),
    ],
)
def test_a_machine_is_judged_by_its_own_value(constraint: str, expected: list[str]) -> None:
    told = [text.format(constraint) for text in expected]
    assert list(said(web(1, constraint)).values()) == told


@pytest.mark.parametrize(
    ("constraint", "reason", "machines"),
    [
        ("rack UNIQUE", "rack r, against Constraint={}: 1 of web@.service there", "ab"),
        ("hostname UNIQUE", "hostname a, against Constraint={}: 1 of web@.service there", "a"),
        ("rack CLUSTER", "rack s, against Constraint={}: web@.service is at r", "c"),
        ("rack GROUP_BY", f"rack r, against {ONE_OF} 2 values", "ab"),
        ("rack GROUP_BY 1", "", ""),
        (
            "rack GROUP_BY 3",
            "rack r, against Constraint={}: web@.service is at 1 of 3 values",
            "ab",
        ),
        ("rack MAX_PER 2", "", ""),
    ],
)
def test_a_machine_is_judged_beside_the_others_of_the_family(
    constraint: str, reason: str, machines: str
) -> None:
    others = said(web(9, constraint), placed(web(1), "a"), placed(unit("db@1.service"), "c"))
    found = {name: text for name, text in others.items() if text and name != "d"}
    assert found == dict.fromkeys(machines, f"has {reason.format(constraint)}")


def test_a_unit_is_not_in_its_own_way() -> None:
    known = world(A, B, C, placed(web(1, "rack UNIQUE"), "a"), placed(web(2, "rack UNIQUE"), "c"))
    rows = {row.machine: row.reason for row in explain(known, "web@1.service").machines}
    assert rows["b"] == "would take it"
    assert rows["c"].endswith("Constraint=rack UNIQUE: 1 of web@.service there")


def test_units_on_lost_machines_do_not_count() -> None:
    known = world(A, placed(web(1, "hostname UNIQUE"), "gone"), web(2, "hostname UNIQUE"))
    apply(known, plan(known, 0.0).changes)
    assert known.placements["web@2.service"].machine == "a"


def test_unique_gives_each_value_to_one_unit_and_the_others_wait() -> None:
    known = world(A, B, C, *(web(at, "rack UNIQUE") for at in range(4)))
    settled(known)
    assert sorted(known.machines[on].metadata["rack"] for on in family(known)) == ["r", "s"]
    drop(known, "units", "web@0.service")
    settled(known)
    assert len(family(known)) == 2


def test_group_by_spreads_evenly_however_many_machines_a_group_has() -> None:
    known = world(A, B, C, *(web(at, "rack GROUP_BY") for at in range(6)))
    settled(known)
    assert sorted(family(known)) == ["a", "a", "b", "c", "c", "c"]


def test_group_by_counts_only_groups_whose_machines_may_ever_take_the_unit() -> None:
    asked = ("hostname GROUP_BY", "rack LIKE r")
    known = world(A, B, C, PLAIN, *(web(at, *asked) for at in range(4)))
    settled(known)
    assert sorted(family(known)) == ["a", "a", "b", "b"]
    closed = world(A, B, C, overlay("c", cordoned=True), *(web(at, "rack GROUP_BY") for at in "xy"))
    settled(closed)
    assert sorted(family(closed)) == ["a", "b"]


def test_cluster_keeps_a_family_together() -> None:
    known = world(A, B, C, *(web(at, "rack CLUSTER") for at in range(5)))
    settled(known)
    assert len({known.machines[on].metadata["rack"] for on in family(known)}) == 1


def test_a_unit_that_waited_for_another_group_to_fill_up_is_tried_when_it_has() -> None:
    full = placed(unit("db.service", cpus=3), "c")
    big = [web(at, "rack GROUP_BY", cpus=2) for at in (1, 2)]
    known = world(A, B, C, full, *big)
    settled(known)
    assert len(family(known)) == 1
    roster = Roster.of(known)
    touched = put(known, web(3, "rack GROUP_BY", cpus=1))
    while touched:
        roster.update(known, touched.units)
        touched = apply(known, plan(known, 0.0, touched=touched, roster=roster).changes)
        touched.units |= answer(known).units
    assert len(family(known)) == 3


def test_metadata_that_changes_moves_nobody_but_a_new_constraint_does() -> None:
    known = world(A, B, C, placed(web(1, "rack IS r"), "a"))
    settled(known)
    put(known, overlay("a", metadata={"rack": "elsewhere"}))
    assert settled(known) == []
    put(known, web(1, "rack IS s", digest="new"))
    settled(known)
    assert family(known) == ["c"]


def test_a_text_that_asks_for_the_same_constraint_leaves_the_unit_where_it_is() -> None:
    known = world(A, B, placed(web(1, "rack UNIQUE"), "a"), placed(web(2, "rack UNIQUE"), "b"))
    settled(known)
    put(known, web(1, "rack UNIQUE", digest="new"))
    settled(known)
    assert family(known) == ["a", "b"]


def test_a_global_unit_may_be_one_for_each_rack() -> None:
    one = unit("log.service", global_=True, constraints=(read("rack UNIQUE"),))
    known = world(A, B, C, PLAIN, one)
    settled(known)
    assert [on for on in sorted(known.assigned) if known.assignments(on)] == ["a", "c"]
