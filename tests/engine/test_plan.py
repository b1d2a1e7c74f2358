"""What the planner decides, as whole plans."""

from __future__ import annotations

from collections import Counter

from fleetish.changes import Assign, Change, Move, Refresh, Release, Unassign
from fleetish.engine.plan import Plan, plan
from fleetish.engine.policy import Policy
from fleetish.model import Target, UnitState
from fleetish.testing.build import (
    answer,
    apply,
    assigned,
    drop,
    machine,
    overlay,
    placed,
    put,
    unit,
    world,
)
from fleetish.units.xfleet import Class
from fleetish.world import Revision, World

NOW = 1000.0
LONG_AGO = {"a": 0.0}
A, B, C = machine("a"), machine("b"), machine("c")


def homes(known: World) -> dict[str, str]:
    return {name: one.machine for name, one in sorted(known.placements.items())}


def settled(known: World, lost: dict[str, float] | None = None) -> list[Change]:
    """Plan, apply and let the machines answer until nothing changes; all changes in order."""
    done: list[Change] = []
    for _ in range(20):
        changes = plan(known, NOW, lost_since=lost or {}).changes
        if not changes:
            return done
        done += changes
        apply(known, changes)
        answer(known)
    raise AssertionError(done)


def test_a_unit_is_placed_with_a_reason() -> None:
    known = world(A, unit("web.service"))
    reason = "least reserved of 1 machine"
    assert plan(known, NOW) == Plan((Assign("web.service", "a", (), reason),))


def test_thirty_instances_come_out_ten_on_each_of_three_machines() -> None:
    known = world(A, B, C, *(unit(f"web@{i}.service", cpus=0.1) for i in range(30)))
    settled(known)
    assert Counter(homes(known).values()) == {"a": 10, "b": 10, "c": 10}


def test_instances_spread_even_when_the_other_machine_is_fuller() -> None:
    full = placed(unit("db.service", cpus=3), "a")
    known = world(A, B, full, unit("web@1.service", cpus=0.1), unit("web@2.service", cpus=0.1))
    settled(known)
    assert homes(known) == {"db.service": "a", "web@1.service": "b", "web@2.service": "a"}


def test_single_units_go_where_least_is_reserved() -> None:
    known = world(A, B, placed(unit("db.service", cpus=1), "a"), unit("x.service", cpus=0.5))
    settled(known)
    assert homes(known)["x.service"] == "b"


def test_units_that_reserve_nothing_are_spread_too() -> None:
    known = world(A, B, C, *(unit(f"u{i}.service") for i in range(9)))
    settled(known)
    assert Counter(homes(known).values()) == {"a": 3, "b": 3, "c": 3}


def test_more_priority_is_placed_first_then_the_name_decides() -> None:
    units = [unit(n, cpus=3, priority=p) for n, p in (("a.service", 0), ("b.service", 0),
                                                      ("z.service", 9))]  # fmt: skip
    decided = plan(world(A, B, *units), NOW)
    placed_units = [change.unit for change in decided.changes if isinstance(change, Assign)]
    assert placed_units == ["z.service", "a.service"]
    assert [(one.unit, len(one.rejections)) for one in decided.unplaced] == [("b.service", 2)]


def test_a_new_machine_moves_nothing() -> None:
    known = world(A, *(unit(f"web@{i}.service") for i in range(4)))
    settled(known)
    put(known, B)
    assert plan(known, NOW) == Plan(())


def test_what_is_not_wanted_is_released_and_unassigned_only_when_it_has_stopped() -> None:
    known = world(A, placed(unit("web.service"), "a"))
    answer(known)
    put(known, unit("web.service", target=Target.INACTIVE))
    released = plan(known, NOW).changes
    assert released == (Release("web.service", "a", "its target is inactive"),)
    apply(known, released)
    assert plan(known, NOW) == Plan(())
    answer(known)
    text = "it has stopped; its target is inactive"
    assert plan(known, NOW).changes == (Unassign("web.service", "a", text),)


def test_an_answer_to_an_older_wish_does_not_count() -> None:
    known = world(A, placed(unit("web.service"), "a"))
    put(known, unit("web.service", target=Target.INACTIVE))
    put(known, UnitState(unit="web.service", machine="a", active="inactive", seen=1))
    apply(known, plan(known, NOW).changes)
    assert plan(known, NOW) == Plan(())


def test_a_destroyed_unit_leaves_its_machine() -> None:
    known = world(A, placed(unit("web.service"), "a"))
    drop(known, "units", "web.service")
    assert [type(change) for change in settled(known)] == [Release, Unassign]
    assert (homes(known), known.assigned) == ({}, {})


def test_a_unit_destroyed_and_made_again_leaves_first_if_it_was_leaving() -> None:
    known = world(A, B, placed(unit("web.service"), "a"))
    drop(known, "units", "web.service")
    apply(known, plan(known, NOW).changes)
    put(known, unit("web.service", digest="k"))
    assert plan(known, NOW) == Plan(())
    settled(known)
    assert homes(known).keys() == {"web.service"}


def test_a_new_launch_text_or_target_is_told_where_the_unit_is() -> None:
    known = world(A, placed(unit("web.service"), "a"))
    put(known, unit("web.service", digest="k", launch=2, target=Target.LOADED))
    reason = "its text changed and its target is loaded and launch 2 is asked for"
    assert plan(known, NOW).changes == (Refresh("web.service", "a", reason),)
    settled(known)
    assert known.assigned["a"]["web.service"] == assigned(
        known.units["web.service"], "a", generation=2
    )


def test_a_unit_that_grew_stays_if_it_fits_and_else_leaves() -> None:
    known = world(A, B, placed(unit("db.service", cpus=3), "a"), placed(unit("w.service"), "a"))
    put(known, unit("w.service", cpus=1))
    assert plan(known, NOW).changes == (Refresh("w.service", "a", "it asks for something else"),)
    put(known, unit("w.service", cpus=2))
    assert plan(known, NOW).changes == (Release("w.service", "a", "a lacks 2 more CPUs"),)
    settled(known)
    assert homes(known) == {"db.service": "a", "w.service": "b"}


def test_other_ports_are_granted_by_leaving_and_coming_back() -> None:
    known = world(A, placed(unit("w.service", ports=(80,)), "a", ports=(80,)))
    put(known, unit("w.service", ports=(81, 0)))
    done = settled(known)
    assert [type(change) for change in done] == [Release, Unassign, Assign]
    assert known.ports == {"a": {81: "w.service", 31000: "w.service"}}


def test_metadata_that_no_longer_holds_moves_a_unit() -> None:
    wish = unit("w.service", metadata=(("zone", ("x",)),))
    known = world(machine("a", metadata={"zone": "x"}), machine("b", metadata={"zone": "x"}))
    for record in placed(wish, "a"):
        put(known, record)
    put(known, overlay("a", metadata={"zone": "y"}))
    done = settled(known)
    assert done[0] == Release("w.service", "a", "a lacks metadata zone=x")
    assert homes(known) == {"w.service": "b"}


# Machines that are lost, drained or cordoned


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


def test_records_that_cannot_be_read_stop_and_place_nothing() -> None:
    known = world(A, B, placed(unit("x.service"), "a"), placed(unit("y.service"), "a"))
    known.quarantine(("units", "x.service"), "no JSON", Revision(9, 9))
    known.quarantine(("placement", "y.service"), "no JSON", Revision(9, 9))
    assert plan(known, NOW) == Plan(())


def test_a_unit_whose_assignment_cannot_be_read_is_not_placed_a_second_time() -> None:
    known = world(A, B, unit("x.service"), unit("g.service", global_=True))
    known.quarantine(("assigned", "a", "x.service"), "no JSON", Revision(9, 9))
    known.quarantine(("assigned", "a", "g.service"), "no JSON", Revision(9, 9))
    assert [(change.unit, change.machine) for change in plan(known, NOW).changes
            if isinstance(change, Assign)] == [("g.service", "b")]  # fmt: skip


# fleet's options


def test_peers_are_placed_together_whatever_their_order() -> None:
    pair = (unit("a.service", machine_of=("z.service",), cpus=2), unit("z.service", cpus=2))
    half_full = placed(unit("x.service", cpus=1), "a")
    known = world(A, B, half_full, *pair)
    settled(known)
    assert homes(known) == {"a.service": "b", "x.service": "a", "z.service": "b"}


def test_units_that_follow_each_other_are_placed_together() -> None:
    pair = (
        unit("p.service", machine_of=("q.service",)),
        unit("q.service", machine_of=("p.service",)),
    )
    known = world(A, B, *pair)
    decided = plan(known, NOW).changes
    assert decided == (
        Assign("p.service", "a", (), "together with its peers"),
        Assign("q.service", "a", (), "together with its peers"),
    )
    settled(known)
    assert plan(known, NOW) == Plan(())


def test_a_peer_is_placed_though_its_follower_fits_nowhere() -> None:
    pair = (unit("a.service", machine_of=("z.service",), cpus=9), unit("z.service", cpus=2))
    known = world(A, B, *pair)
    settled(known)
    assert homes(known) == {"z.service": "a"}


def test_followers_move_with_their_peer_off_a_lost_machine() -> None:
    follower = unit("ping.service", machine_of=("pong.service",))
    known = world(B, C, placed(unit("pong.service"), "a"), placed(follower, "a"))
    decided = plan(known, NOW, lost_since=LONG_AGO).changes
    assert {(change.unit, change.machine) for change in decided if isinstance(change, Move)} == {
        ("ping.service", "b"),
        ("pong.service", "b"),
    }


def test_a_follower_leaves_when_its_peer_is_stopped() -> None:
    follower = unit("ping.service", machine_of=("pong.service",))
    known = world(A, placed(unit("pong.service"), "a"), placed(follower, "a"))
    put(known, unit("pong.service", target=Target.INACTIVE))
    settled(known)
    assert homes(known) == {}


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


# Preemption


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


# Ports, failure, bounds


def test_assigned_ports_are_the_lowest_free_ones() -> None:
    known = world(A, *(unit(f"w@{n}.service", ports=(0, 31001)) for n in range(2)))
    decided = plan(known, NOW)
    assert [change.ports for change in decided.changes if isinstance(change, Assign)] == [
        (31000, 31001)
    ]


def failing(known: World, name: str, failures: int = 3) -> None:
    held = known.assigned[known.placements[name].machine][name]
    put(known, UnitState(unit=name, machine=held.machine, hash="h", active="failed",
                         failures=failures, seen=held.generation))  # fmt: skip


def test_a_unit_that_keeps_failing_moves_on_and_does_not_return() -> None:
    known = world(A, B, placed(unit("x.service", reschedule=True), "a"))
    failing(known, "x.service", failures=2)
    assert plan(known, NOW) == Plan(())
    failing(known, "x.service")
    text = "it failed 3 times on a"
    assert plan(known, NOW).changes == (Release("x.service", "a", text, ("a",)),)
    settled(known)
    assert (homes(known), known.placements["x.service"].failed_on) == ({"x.service": "b"}, ("a",))
    failing(known, "x.service")
    assert plan(known, NOW) == Plan(()), "it has failed everywhere, so it stays"
    put(known, C)
    settled(known)
    assert homes(known) == {"x.service": "c"}


def test_without_opting_in_a_failed_unit_stays_failed() -> None:
    known = world(A, B, placed(unit("x.service"), "a"))
    failing(known, "x.service", failures=9)
    assert plan(known, NOW) == Plan(())


def test_where_a_unit_failed_it_may_return_when_its_machine_is_lost() -> None:
    known = world(B, placed(unit("x.service", reschedule=True), "a", failed_on=("b",)))
    assert [change.machine for change in plan(known, NOW, lost_since=LONG_AGO).changes
            if isinstance(change, Move)] == ["b"]  # fmt: skip


def test_a_round_is_bounded_and_says_that_there_is_more() -> None:
    known = world(A, *(unit(f"u{n}.service") for n in range(10)))
    decided = plan(known, NOW, Policy(most=4))
    assert (len(decided.changes), decided.more) == (4, True)
    apply(known, decided.changes)
    assert len(plan(known, NOW, Policy(most=4)).changes) == 4


def test_every_machine_says_why_a_unit_is_not_placed() -> None:
    known = world(A, machine("b", metadata={"zone": "x"}), overlay("a", cordoned=True))
    put(known, unit("big.service", cpus=64))
    (one,) = plan(known, NOW).unplaced
    assert [(r.machine, r.reason) for r in one.rejections] == [
        ("a", "is cordoned"),
        ("b", "needs 64 CPUs, 4 free"),
    ]


def test_an_empty_cluster_has_an_empty_plan() -> None:
    assert plan(world(), NOW) == Plan(())
