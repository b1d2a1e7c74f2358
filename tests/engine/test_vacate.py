"""Who may not stay where it is, and what machines are told anew."""

from __future__ import annotations

from fleetish.changes import Assign, Move, Refresh, Release, Unassign
from fleetish.engine.plan import Plan, plan
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
from fleetish.world import Revision, World
from tests.engine.rounds import LONG_AGO, NOW, A, B, C, homes, settled


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
