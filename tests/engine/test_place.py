"""Which machine a unit gets, and what is said when it gets none."""

from __future__ import annotations

from collections import Counter

from fleetish.changes import Assign
from fleetish.engine.plan import Plan, plan
from fleetish.engine.policy import Policy
from fleetish.testing.build import apply, machine, overlay, placed, put, unit, world
from tests.engine.rounds import NOW, A, B, C, homes, settled


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


def test_assigned_ports_are_the_lowest_free_ones() -> None:
    known = world(A, *(unit(f"w@{n}.service", ports=(0, 31001)) for n in range(2)))
    decided = plan(known, NOW)
    assert [change.ports for change in decided.changes if isinstance(change, Assign)] == [
        (31000, 31001)
    ]


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
