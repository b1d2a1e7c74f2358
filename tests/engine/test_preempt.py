"""Room for units with more priority."""

from __future__ import annotations

from fleetish.changes import Assign, Refresh, Release, Unassign
from fleetish.engine.plan import plan
from fleetish.model import Target, UnitState
from fleetish.testing.build import apply, assigned, machine, placed, put, unit, world
from fleetish.units.xfleet import Class
from tests.engine.rounds import NOW, A, B, homes, settled


def test_a_lesser_unit_leaves_for_one_that_fits_nowhere_else() -> None:
    small = placed(unit("small.service", cpus=1), "a")
    big = placed(unit("big.service", cpus=2, priority=1), "a")
    known = world(A, small, big, unit("top.service", cpus=2, priority=9))
    reason = "top.service has more priority and needs the room"
    decided = plan(known, NOW)
    assert decided.changes == (Release("small.service", "a", reason),)
    assert [one.unit for one in decided.unplaced] == ["top.service"]
    settled(known)
    assert homes(known) == {"big.service": "a", "top.service": "a"}


def test_while_a_lesser_unit_is_leaving_no_other_is_asked() -> None:
    small = placed(unit("small.service", cpus=2), "a")
    known = world(A, small, placed(unit("also.service", cpus=2), "a"))
    put(known, unit("top.service", cpus=2, priority=9))
    first = plan(known, NOW).changes
    assert [change.unit for change in first if isinstance(change, Release)] == ["also.service"]
    apply(known, first)
    assert plan(known, NOW).changes == ()


def test_who_was_asked_to_leave_moves_to_where_there_is_room() -> None:
    lesser = placed(unit("lesser.service", cpus=2), "a")
    known = world(machine("a", metadata={"disk": "ssd"}), B, lesser)
    put(known, unit("top.service", cpus=3, priority=9, metadata=(("disk", ("ssd",)),)))
    settled(known)
    assert homes(known) == {"lesser.service": "b", "top.service": "a"}


def test_equal_priority_exclusive_pinned_and_global_units_are_never_asked() -> None:
    others = (
        placed(unit("one.service", cpus=1, klass=Class.EXCLUSIVE), "a"),
        placed(unit("disk.service", cpus=1, klass=Class.PINNED), "a"),
        placed(unit("same.service", cpus=1, priority=9), "a"),
    )
    everywhere = unit("log.service", cpus=1, global_=True)
    known = world(A, *others, everywhere, assigned(everywhere, "a"))
    put(known, unit("top.service", cpus=1, priority=9))
    assert plan(known, NOW).changes == ()


def test_nobody_leaves_when_that_would_not_be_enough_or_room_is_not_the_matter() -> None:
    known = world(A, placed(unit("small.service", cpus=1), "a"))
    put(known, unit("huge.service", cpus=5, priority=9))
    put(known, unit("else.service", priority=9, metadata=(("zone", ("x",)),)))
    assert plan(known, NOW).changes == ()


def test_a_port_is_a_room_too() -> None:
    known = world(A, placed(unit("web.service", ports=(80,)), "a", ports=(80,)))
    put(known, unit("top.service", ports=(80,), priority=1))
    settled(known)
    assert homes(known) == {"top.service": "a"}


def test_who_makes_room_is_written_before_who_takes_it() -> None:
    gone = placed(unit("low.service", cpus=4), "a", leaving=True)
    known = world(A, gone)
    put(known, assigned(unit("low.service", cpus=4), "a", target=Target.INACTIVE))
    put(known, UnitState(unit="low.service", machine="a", active="inactive", seen=1))
    put(known, unit("top.service", cpus=4, priority=9))
    assert [type(change) for change in plan(known, NOW).changes] == [Unassign, Assign]


def test_a_unit_that_is_told_something_is_not_asked_to_leave_in_the_same_round() -> None:
    known = world(A, placed(unit("low.service", cpus=3), "a"))
    put(known, unit("low.service", cpus=3, launch=2))
    put(known, unit("top.service", cpus=3, priority=9))
    assert [type(change) for change in plan(known, NOW).changes] == [Refresh]
    settled(known)
    assert homes(known) == {"top.service": "a"}
