"""Units that cannot stand beside each other."""

from __future__ import annotations

from fleetish.testing.build import drop, machine, placed, put, unit, world
from tests.engine.rounds import A, B, C, homes, settled


def test_five_mutually_exclusive_units_fill_three_machines() -> None:
    units = (unit(f"conflict@{n}.service", conflicts=("conflict@*",)) for n in range(5))
    known = world(A, B, C, *units)
    settled(known)
    assert homes(known) == {f"conflict@{n}.service": m for n, m in enumerate("abc")}


def test_destroying_what_conflicts_lets_the_other_run() -> None:
    known = world(
        A, placed(unit("picky.service", conflicts=("hello*",)), "a"), unit("hello.service")
    )
    assert settled(known) == []
    drop(known, "units", "picky.service")
    settled(known)
    assert homes(known) == {"hello.service": "a"}


def test_of_two_placed_units_that_come_to_conflict_the_lesser_leaves() -> None:
    known = world(A, B, placed(unit("a.service"), "a"), placed(unit("b.service", priority=1), "a"))
    put(known, unit("a.service", conflicts=("b.*",)))
    settled(known)
    assert homes(known) == {"a.service": "b", "b.service": "a"}


def test_who_replaces_another_takes_its_machine_and_the_other_moves() -> None:
    known = world(
        A, B, C, placed(unit("old.service"), "b"), unit("new.service", replaces=("old*",))
    )
    settled(known)
    assert homes(known) == {"new.service": "b", "old.service": "a"}


def test_a_replaced_unit_moves_only_where_it_may_run_else_it_waits() -> None:
    old = unit("old.service", metadata=(("zone", ("x",)),))
    known = world(machine("a", metadata={"zone": "x"}), B, placed(old, "a"))
    put(known, unit("new.service", replaces=("old*",)))
    settled(known)
    assert homes(known) == {"new.service": "a"}


def test_of_two_units_that_replace_each_other_only_one_is_placed() -> None:
    pair = (unit("x.service", replaces=("y.service",)), unit("y.service", replaces=("x.service",)))
    known = world(A, B, C, *pair)
    settled(known)
    assert homes(known) == {"x.service": "a"}
