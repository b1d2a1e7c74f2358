"""Rebalancing: which moves are proposed, and that they come to an end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetish.changes import DropDocument, PutDocument, Release
from fleetish.engine.orders import Orders, Rebalance, rebalance_document, rebalance_of
from fleetish.engine.plan import plan
from fleetish.engine.rebalance import Shift, rebalance
from fleetish.engine.roster import Roster, family
from fleetish.model import Target, Unit, UnitState
from fleetish.testing.build import (
    answer,
    apply,
    drop,
    machine,
    overlay,
    placed,
    put,
    unit,
    world,
)
from fleetish.units.xfleet import Class
from fleetish.world import Touched, World

A, B, C = machine("a"), machine("b"), machine("c")


def cluster(*records: Any) -> World:
    """A world in which everything is as it is wanted."""
    known = world(*records)
    answer(known)
    return known


def crowd(on: str, count: int, **asks: Any) -> list[Any]:
    return [placed(unit(f"web@{n}.service", **asks), on) for n in range(count)]


def homes(known: World) -> dict[str, int]:
    return Counter(one.machine for one in known.placements.values())


def course(known: World, at_once: int = 1, most: int = 100) -> list[Release]:
    """Let the engine carry out a rebalance; all releases, in order."""
    put(known, rebalance_document(Rebalance(most=most, at_once=at_once)))
    released: list[Release] = []
    for _ in range(300):
        roster = Roster.of(known)
        due = Orders().look(known, Touched(everything=True), roster, 0.0, 0.0)
        changes = plan(known, 0.0).changes
        apply(known, changes)
        for change in due.errands[0].changes if due.errands and not changes else ():
            match change:
                case PutDocument(stored):
                    put(known, stored)
                case DropDocument(kind, name):
                    drop(known, "docs", kind, name)
                case Release():
                    released.append(change)
                    apply(known, (change,))
        answer(known)
        if rebalance_of(known) is None:
            return released
    raise AssertionError(released)


def test_a_machine_that_joins_gets_its_share_by_the_fewest_moves() -> None:
    known = cluster(A, B, *crowd("a", 6))
    shifts = rebalance(known, 100)
    assert {(one.source, one.machine) for one in shifts} == {("a", "b")}
    assert len(shifts) == 3
    assert shifts[0].reason == "rebalanced: a has more of web@.service than b"
    assert len(course(known)) == 3
    assert homes(known) == {"a": 3, "b": 3}


def test_an_even_cluster_is_left_alone() -> None:
    even = [placed(unit(f"web@{n}.service"), "ab"[n % 2]) for n in range(5)]
    assert rebalance(cluster(A, B, *even), 9) == ()


def test_the_fuller_machine_gives_away_what_makes_both_most_even() -> None:
    sizes = [placed(unit(f"u{n}.service", cpus=n), "a") for n in (0.5, 1, 2)]
    (shift,) = rebalance(cluster(A, B, *sizes), 9)
    reason = "rebalanced: more of a is reserved than of b"
    assert shift == Shift("u2.service", "a", "b", reason)


def test_what_hardly_helps_is_not_moved() -> None:
    big = placed(unit("big.service", cpus=2), "a")
    assert rebalance(cluster(A, B, big, placed(unit("o.service", cpus=1.9), "b")), 9) == ()
    other = placed(unit("other.service", cpus=1.8), "a")
    assert len(rebalance(cluster(A, B, big, other), 9)) == 1
    assert rebalance(cluster(A, B, big, placed(unit("tiny.service", memory=1), "b")), 9) == ()


def test_a_unit_that_would_only_take_its_load_elsewhere_is_not_moved() -> None:
    big = placed(unit("big.service", cpus=2), "a")
    pinned = placed(unit("pin.service", cpus=0.4, klass=Class.PINNED), "a")
    assert rebalance(cluster(A, B, big, pinned), 9) == ()


def test_machines_that_hardly_differ_are_even() -> None:
    pair = [placed(unit(f"u{n}.service", cpus=0.09), "a") for n in range(2)]
    assert rebalance(cluster(A, B, *pair), 9) == ()
    third = placed(unit("u3.service", cpus=0.09), "a")
    assert len(rebalance(cluster(A, B, *pair, third), 9)) == 1


def test_many_small_units_are_moved_until_their_machines_are_even() -> None:
    small = [placed(unit(f"u{n}.service", cpus=0.04), "a") for n in range(50)]
    known = cluster(A, B, *small)
    moved = len(course(known, at_once=10))
    assert 22 <= moved <= 25


def test_units_that_reserve_nothing_are_evened_out_by_number() -> None:
    known = cluster(A, B, *(placed(unit(f"u{n}.service"), "a") for n in range(5)))
    shifts = rebalance(known, 9)
    assert len(shifts) == 2
    assert shifts[0].reason == "rebalanced: a has more units than b"


def test_what_may_not_or_need_not_move_stays() -> None:
    ended = UnitState(
        unit="e.service", machine="a", hash="h", active="inactive", result="success", launch=1,
        seen=1,
    )  # fmt: skip
    known = cluster(
        A, B,
        placed(unit("pin.service", klass=Class.PINNED, cpus=1), "a"),
        placed(unit("here.service", machine_id="a", cpus=1), "a"),
        placed(unit("e.service", cpus=1), "a"),
        placed(unit("loaded.service", target=Target.LOADED, metadata=(("x", ("y",)),)), "a"),
    )  # fmt: skip
    put(known, ended)
    assert rebalance(known, 9) == ()


def test_constraints_and_closed_machines_are_respected() -> None:
    known = cluster(A, B, C, *crowd("a", 6, conflicts=("other.service",)))
    put(known, overlay("b", cordoned=True))
    for record in placed(unit("other.service"), "c"):
        put(known, record)
    answer(known)
    assert rebalance(known, 9) == ()
    drop(known, "metadata", "b")
    assert {one.machine for one in rebalance(known, 9)} == {"b"}


def test_units_that_belong_together_move_together_or_not_at_all() -> None:
    def pair(number: int, **asks: Any) -> list[Any]:
        db = unit(f"db{number}.service", cpus=0.5, **asks)
        app = unit(f"app{number}.service", machine_of=(f"db{number}.service",), cpus=0.5)
        return [placed(db, "a"), placed(app, "a")]

    known = cluster(A, B, *pair(1), *pair(2), *pair(3, klass=Class.PINNED))
    course(known)
    on = {name: one.machine for name, one in known.placements.items()}
    assert [on[f"db{n}.service"] == on[f"app{n}.service"] for n in (1, 2, 3)] == [True] * 3
    assert (homes(known)["b"], on["db3.service"]) == (2, "a")


def test_a_pattern_ties_only_what_it_means_on_the_same_machine() -> None:
    near = placed(unit("near.service", machine_of=("web@*.service",)), "a")
    web = [placed(unit(f"web@{n}.service"), "ab"[n % 2]) for n in range(6)]
    known = cluster(A, B, C, *web, near)
    shifts = rebalance(known, 100)
    assert {shift.source for shift in shifts} == {"b"}
    assert {shift.machine for shift in shifts} == {"c"}


def test_at_most_so_many_are_proposed_and_moved() -> None:
    known = cluster(A, B, *crowd("a", 20))
    assert len(rebalance(known, 3)) == 3
    assert len(course(known, at_once=2, most=5)) == 5


def test_the_next_moves_wait_until_the_last_have_arrived() -> None:
    known = cluster(A, B, *crowd("a", 8))
    put(known, rebalance_document(Rebalance(most=9, at_once=2)))
    everything = Touched(everything=True)
    due = Orders().look(known, everything, Roster.of(known), 0.0, 0.0)
    ((note, *releases),) = [errand.changes for errand in due.errands]
    assert isinstance(note, PutDocument)
    put(known, note.document)
    apply(known, tuple(releases))
    assert Orders().look(known, everything, Roster.of(known), 0.0, 0.0).errands == ()


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["web@{}.service", "db@{}.service", "u{}.service"]),
            st.sampled_from([0, 0, 0.1, 0.5, 1, 1.5]),
            st.sampled_from([0, 100, 2000]),
            st.sampled_from("abc"),
        ),
        max_size=14,
    ),
    st.integers(1, 4),
)
def test_rebalancing_comes_to_an_end_and_one_by_one_never_moves_a_unit_back(
    rows: list[tuple[str, float, int, str]], at_once: int
) -> None:
    known = cluster(A, B, machine("c"))
    for number, (name, cpus, memory, on) in enumerate(rows):
        one = unit(name.format(number), cpus=cpus, memory=memory)
        if one.requirements.resources.fits(_free(known, on)):
            for record in placed(one, on):
                put(known, record)
    answer(known)
    before = _unevenness(known)
    released = course(known, at_once)
    assert rebalance(known, 9) == ()
    assert course(known, at_once) == []
    if at_once == 1:
        assert _unevenness(known) <= before
        seen = {(one.unit, one.machine) for one in released}
        assert len(seen) == len(released), "a unit left the same machine twice"


def _free(known: World, on: str) -> Any:
    used = known.used.get(on)
    capacity = known.machines[on].capacity
    return capacity - used if used else capacity


def _unevenness(known: World) -> tuple[int, list[float], int]:
    """Written from the rules: crowding of families, then the fullest machines, then numbers."""
    kin = Counter((family(name), one.machine) for name, one in known.placements.items())
    shares = [
        known.used[m].dominant_share(known.machines[m].capacity) if m in known.used else 0.0
        for m in known.machines
    ]
    numbers = sum(len(known.assignments(m)) ** 2 for m in known.machines)
    return sum(n * n for n in kin.values()), sorted(shares, reverse=True), numbers


def test_moves_are_found_among_many_machines_too() -> None:
    hosts = [machine(f"m{n:03}") for n in range(200)]
    units: list[Unit] = [unit(f"u{n}.service", cpus=0.01 * (n % 7)) for n in range(2000)]
    known = cluster(*hosts, *(placed(one, f"m{n % 150:03}") for n, one in enumerate(units)))
    assert len(rebalance(known, 10)) == 10
