"""Machines that are lost, drained or cordoned; and the brake."""

from __future__ import annotations

from fleetish.changes import Move, Release, Unassign
from fleetish.engine.plan import Plan, plan
from fleetish.engine.policy import Policy
from fleetish.model import Target
from fleetish.testing.build import machine, overlay, placed, put, unit, world
from fleetish.units.xfleet import Class
from fleetish.world import Revision, World
from tests.engine.rounds import LONG_AGO, NOW, A, B, C, homes, settled


def test_units_of_a_lost_machine_move_after_it_has_settled() -> None:
    known = world(B, C, placed(unit("web.service"), "a"))
    assert plan(known, 0.5, lost_since=LONG_AGO) == Plan((), wake=1.0)
    reason = "a is lost; least reserved of 2 machines"
    assert plan(known, 1.0, lost_since=LONG_AGO).changes == (
        Move("web.service", "a", "b", (), reason),
    )


def test_a_machine_that_nobody_has_missed_yet_is_not_lost() -> None:
    known = world(B, placed(unit("web.service"), "a"))
    assert plan(known, NOW) == Plan(())


def test_where_the_brake_could_hold_others_that_died_too_are_waited_for() -> None:
    policy = Policy(settle=1.0, spread=3.0)
    four = world(B, C, machine("d"), placed(unit("web.service"), "a"))
    assert plan(four, 2.0, policy, LONG_AGO) == Plan((), wake=3.0)
    assert len(plan(four, 3.0, policy, LONG_AGO).changes) == 1
    three = world(B, C, placed(unit("web.service"), "a"))
    assert len(plan(three, 1.0, policy, LONG_AGO).changes) == 1


def test_exclusive_units_wait_longer_than_shared_ones() -> None:
    policy = Policy(settle=1.0, exclusive_settle=11.0)
    known = world(
        B,
        placed(unit("one.service", klass=Class.EXCLUSIVE), "a"),
        placed(unit("web.service"), "a"),
    )
    early = plan(known, 5.0, policy, LONG_AGO)
    assert [(change.unit, early.wake) for change in early.changes] == [("web.service", 11.0)]  # type: ignore[union-attr]
    late = plan(known, 11.0, policy, LONG_AGO)
    assert {change.unit for change in late.changes} == {"one.service", "web.service"}  # type: ignore[union-attr]


def test_an_exclusive_unit_that_is_not_wanted_is_not_forgotten_early_either() -> None:
    policy = Policy(exclusive_settle=11.0)
    gone = placed(unit("one.service", target=Target.INACTIVE, klass=Class.EXCLUSIVE), "a")
    known = world(B, gone)
    assert plan(known, 5.0, policy, LONG_AGO).changes == ()
    text = "its target is inactive; a is lost"
    assert plan(known, 11.0, policy, LONG_AGO).changes == (Unassign("one.service", "a", text),)


def test_a_pinned_unit_stays_with_its_lost_or_draining_machine() -> None:
    one = placed(unit("disk.service", klass=Class.PINNED), "a")
    assert plan(world(B, one), NOW, lost_since=LONG_AGO).changes == ()
    assert plan(world(A, B, one, overlay("a", draining=True)), NOW).changes == ()


def test_a_unit_of_a_lost_machine_that_fits_nowhere_stays_placed_there() -> None:
    known = world(
        B, placed(unit("big.service", cpus=3), "a"), placed(unit("x.service", cpus=2), "b")
    )
    decided = plan(known, NOW, lost_since=LONG_AGO)
    assert decided.changes == ()
    assert [one.unit for one in decided.unplaced] == ["big.service"]


def many(count: int, lost: int) -> World:
    names = [f"m{n}" for n in range(count)]
    units = [placed(unit(f"web@{n}.service"), name) for n, name in enumerate(names)]
    return world(*units, *(machine(name) for name in names[lost:]))


def test_when_most_machines_vanish_at_once_nothing_moves_and_it_is_said() -> None:
    known = many(5, lost=3)
    since = {f"m{n}": 0.0 for n in range(3)}
    decided = plan(known, NOW, lost_since=since)
    assert decided.changes == ()
    assert decided.alarms == (
        "3 of 5 machines are lost at once: no unit is moved off them "
        "(drain a machine to move its units all the same)",
    )


def test_the_brake_does_not_hold_for_two_of_three_nor_for_half() -> None:
    two = plan(many(3, lost=2), NOW, lost_since={"m0": 0.0, "m1": 0.0})
    half = plan(many(6, lost=3), NOW, lost_since={f"m{n}": 0.0 for n in range(3)})
    assert (len(two.changes), two.alarms, len(half.changes), half.alarms) == (2, (), 3, ())


def test_an_operators_drain_exempts_a_lost_machine_from_the_brake_and_no_other() -> None:
    known = many(5, lost=3)
    since = {f"m{n}": 0.0 for n in range(3)}
    put(known, overlay("m0", draining=True))
    decided = plan(known, NOW, lost_since=since)
    assert [change.source for change in decided.changes if isinstance(change, Move)] == ["m0"]
    assert len(decided.alarms) == 1


def test_a_drained_machine_is_emptied_and_a_cordoned_one_is_left_as_it_is() -> None:
    ones = (placed(unit("x.service"), "a"), placed(unit("y.service"), "b"))
    known = world(A, B, C, *ones, overlay("a", draining=True), overlay("b", cordoned=True))
    done = settled(known)
    assert done[0] == Release("x.service", "a", "a is draining")
    assert homes(known) == {"x.service": "c", "y.service": "b"}


def test_a_machine_that_cannot_be_read_is_neither_lost_nor_used() -> None:
    known = world(B, placed(unit("x.service"), "a"))
    known.quarantine(("machines", "a"), "no JSON", Revision(9, 9))
    assert plan(known, NOW, lost_since=LONG_AGO) == Plan(())
