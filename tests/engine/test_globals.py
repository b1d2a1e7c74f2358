"""Units that run on every machine."""

from __future__ import annotations

from fleetish.changes import Assign, Unassign
from fleetish.engine.plan import plan
from fleetish.testing.build import assigned, machine, placed, put, unit, world
from tests.engine.rounds import NOW, A, B, homes, settled


def test_global_units_are_on_every_machine_that_fits_and_on_new_ones() -> None:
    east = machine("b", metadata={"zone": "east"})
    known = world(A, east, unit("log.service", global_=True, metadata=(("zone", ("east",)),)))
    settled(known)
    assert {m: set(held) for m, held in known.assigned.items()} == {"b": {"log.service"}}
    put(known, machine("c", metadata={"zone": "east"}))
    assert plan(known, NOW).changes == (
        Assign("log.service", "c", (), "it is global and fits here"),
    )


def test_a_second_global_unit_that_conflicts_runs_nowhere() -> None:
    first, second = unit("g1.service", global_=True), unit("g2.service", global_=True,
                                                           conflicts=("g1*",))  # fmt: skip
    known = world(A, B, first, second)
    settled(known)
    assert [set(held) for held in known.assigned.values()] == [{"g1.service"}, {"g1.service"}]


def test_a_global_unit_is_kept_for_a_machine_that_may_return_and_then_forgotten() -> None:
    log = unit("log.service", global_=True)
    known = world(A, log, assigned(log, "a"), assigned(log, "b"))
    assert plan(known, 3599.0, lost_since={"b": 0.0}).changes == ()
    text = "b is lost for long"
    assert plan(known, 3601.0, lost_since={"b": 0.0}).changes == (
        Unassign("log.service", "b", text),
    )


def test_a_unit_may_become_global_and_back() -> None:
    known = world(A, B, placed(unit("x.service"), "a"))
    put(known, unit("x.service", global_=True))
    settled(known)
    assert (homes(known), set(known.assigned)) == ({}, {"a", "b"})
    put(known, unit("x.service"))
    settled(known)
    assert len(homes(known)) == 1
    assert set(known.assigned) == set(homes(known).values())
