"""What fleet's clients are told of a unit's state, as a function of the cluster and the time."""

from __future__ import annotations

from typing import Any

import pytest

from fleetish.api.fleet import schema
from fleetish.api.fleet.paging import Start
from fleetish.api.fleet.states import HOLD, Lately, current_state, one_state, state_rows
from fleetish.model import Target, Unit, UnitState
from fleetish.testing.build import assigned, drop, machine, placed, put, unit, world
from fleetish.world import Touched, World

A, B, HASH = "machine-a", "machine-b", "f" * 40


def web(target: Target = Target.LAUNCHED, launch: int = 1, **asks: Any) -> Unit:
    return unit("web.service", target, launch, HASH, **asks)


def state(on: str = A, active: str = "active", launch: int = 1, **more: Any) -> UnitState:
    fields = {"load": "loaded", "sub": "running", "hash": HASH, **more}
    return UnitState(unit="web.service", machine=on, active=active, launch=launch, **fields)


def running() -> World:
    return world(machine(A), placed(web(), A), state())


def stopped() -> World:
    known = running()
    put(known, web(Target.LOADED))
    put(known, assigned(web(Target.LOADED), A, generation=2))
    put(known, state(active="inactive", sub="dead", seen=2))
    return known


def told(known: World, lately: Lately, now: float) -> str:
    return str(current_state(known, known.units["web.service"], lately, now))


@pytest.mark.parametrize(
    ("known", "word"),
    [
        (world(web(Target.INACTIVE)), "inactive"),
        (world(machine(A), web()), "inactive"),
        (world(machine(A), placed(web(), A)), "inactive"),
        (world(machine(A), placed(web(), A), state(launch=0, active="inactive")), "loaded"),
        (running(), "launched"),
        (world(machine(A), placed(web(), A), state(active="failed")), "launched"),
        (stopped(), "loaded"),
    ],
    ids=["submitted", "unplaced", "not taken in", "not started", "runs", "failed", "stopped"],
)
def test_the_word_for_how_far_a_unit_has_come(known: World, word: str) -> None:
    assert told(known, Lately(), 0.0) == word


def test_a_unit_that_has_left_launched_for_loaded_is_called_launched_for_a_while() -> None:
    known, lately = running(), Lately()
    assert told(known, lately, 10.0) == "launched"
    after = stopped()
    assert told(after, lately, 11.0) == "launched"
    assert told(after, lately, 11.0 + HOLD - 0.01) == "launched"
    assert told(after, lately, 11.0 + HOLD + 0.01) == "loaded"
    assert told(after, lately, 100.0) == "loaded"


def test_the_while_begins_anew_when_loaded_is_asked_for_once_more() -> None:
    lately = Lately()
    lately.look(running(), Touched(everything=True), 10.0)
    lately.look(stopped(), Touched(everything=True), 11.0)
    assert told(stopped(), lately, 11.0 + HOLD - 0.01) == "launched"
    lately.renew("web.service", 11.0 + HOLD + 0.05)
    assert told(stopped(), lately, 11.0 + HOLD + 0.3) == "launched"
    assert told(stopped(), lately, 11.0 + 2 * HOLD + 0.06) == "loaded"
    lately.renew("web.service", 100.0)
    assert told(stopped(), lately, 100.0) == "loaded"


def test_the_while_begins_when_the_server_sees_it_though_nobody_asks() -> None:
    lately, touched = Lately(), Touched(units={"web.service"})
    lately.look(running(), touched, 10.0)
    lately.look(stopped(), touched, 11.0)
    assert told(stopped(), lately, 12.0) == "launched"
    assert told(stopped(), lately, 12.3) == "loaded"


def test_a_whole_new_view_of_the_cluster_is_looked_at_as_well() -> None:
    lately, everything = Lately(), Touched(everything=True)
    lately.look(running(), everything, 10.0)
    lately.look(stopped(), everything, 11.0)
    assert told(stopped(), lately, 11.5) == "launched"


def test_a_unit_that_was_never_launched_is_loaded_at_once() -> None:
    lately = Lately()
    lately.look(stopped(), Touched(everything=True), 10.0)
    assert told(stopped(), lately, 10.0) == "loaded"


def test_inactive_is_told_at_once() -> None:
    known, lately = running(), Lately()
    assert told(known, lately, 10.0) == "launched"
    put(known, web(Target.INACTIVE))
    for where in ("assigned", "states"):
        drop(known, where, A, "web.service")
    drop(known, "placement", "web.service")
    assert told(known, lately, 10.1) == "inactive"


def test_a_unit_of_that_name_that_is_made_anew_has_no_past() -> None:
    lately = Lately()
    lately.look(running(), Touched(everything=True), 10.0)
    lately.look(world(machine(A)), Touched(units={"web.service"}), 11.0)
    assert told(stopped(), lately, 11.1) == "loaded"


def test_a_unit_that_is_only_kept_ready_for_another_counts_as_inactive() -> None:
    known = stopped()
    put(known, web(Target.INACTIVE))
    put(known, unit("web.socket", triggers=("web.service",)))
    assert known.target("web.service") is Target.LOADED
    assert told(known, Lately(), 0.0) == "inactive"


def test_nothing_is_known_of_a_global_unit() -> None:
    known = world(machine(A), web(global_=True), assigned(web(global_=True), A), state())
    assert told(known, Lately(), 0.0) == "inactive"


def rows(known: World, **asked: str) -> list[tuple[str, str]]:
    found = state_rows(known, sorted(known.states), Start(), **asked)
    return [(row.name, row.machine_id) for _, row in found]


def test_a_row_is_in_systemds_words_and_no_column_is_empty() -> None:
    assert one_state(running(), "web.service") == schema.UnitState(
        name="web.service",
        hash=HASH,
        machine_id=A,
        systemd_load_state="loaded",
        systemd_active_state="active",
        systemd_sub_state="running",
    )
    bare = world(machine(A), placed(web(), A), state(load="", active="", sub="", hash="abc"))
    assert one_state(bare, "web.service") == schema.UnitState(
        name="web.service",
        machine_id=A,
        systemd_load_state="not-found",
        systemd_active_state="inactive",
        systemd_sub_state="dead",
    )


def test_a_lost_machine_has_no_rows_so_that_a_moved_unit_is_not_seen_twice() -> None:
    known = world(machine(B), placed(web(), B), assigned(web(), A), state(A), state(B))
    assert rows(known) == [("web.service", B)]
    found = one_state(known, "web.service")
    assert found is not None
    assert found.machine_id == B


def test_a_state_that_no_assignment_stands_for_has_no_row() -> None:
    assert rows(world(machine(A), web(), state())) == []


def test_rows_are_chosen_by_unit_and_machine_and_continued_between_two_machines() -> None:
    both = [assigned(web(), on) for on in (A, B)]
    known = world(machine(A), machine(B), web(global_=True), *both, state(A), state(B))
    assert rows(known) == [("web.service", A), ("web.service", B)]
    assert rows(known, unit="web.service", machine=B) == [("web.service", B)]
    assert rows(known, unit="other.service") == []
    start = Start(2, f"web.service/{A}")
    rest = [key for key, _ in state_rows(known, ["web.service"], start)]
    assert rest == [f"web.service/{B}"]


def test_a_unit_without_a_row_has_a_state_that_says_nothing() -> None:
    known = world(web(Target.INACTIVE))
    assert one_state(known, "web.service") == schema.UnitState(name="web.service")
    assert one_state(known, "other.service") is None
