"""The arithmetic of replacing instances: by example, and its laws over random histories."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marathon_compat.apps.rolling import Bounds, Counts, Turn, bounds, is_done, swaps, turn


def counts(wanted: int, old: int = 0, **fields: int) -> Counts:
    """Counts with ``old`` healthy old instances, as many as there were to be."""
    given = {"before": old, "new": 0, "ready": 0, "old_healthy": old, "old_unhealthy": 0}
    return Counts(wanted=wanted, **{**given, **fields})


@pytest.mark.parametrize(
    ("wanted", "old", "minimum", "over", "expected"),
    [
        (10, 10, 1.0, 1.0, Bounds(10, 20)),
        (10, 10, 0.5, 0.0, Bounds(5, 10)),
        (10, 10, 0.25, 0.25, Bounds(3, 12)),
        (10, 10, 1.0, 0.0, Bounds(10, 11)),
        (1, 1, 1.0, 0.0, Bounds(1, 2)),
        (1, 1, 0.0, 0.0, Bounds(0, 1)),
        (10, 2, 1.0, 0.0, Bounds(2, 10)),
        (2, 10, 1.0, 1.0, Bounds(2, 4)),
        (10, 10, 0.7, 0.1, Bounds(7, 11)),
        (5, 0, 1.0, 1.0, Bounds(0, 10)),
    ],
)
def test_bounds_are_shares_of_the_smaller_and_of_the_new_number(
    wanted: int, old: int, minimum: float, over: float, expected: Bounds
) -> None:
    assert bounds(counts(wanted, old), minimum, over) == expected


def test_room_is_used_at_once_and_nothing_is_killed_that_is_needed() -> None:
    assert turn(counts(4, 4), 1.0, 1.0) == Turn(start=4)


def test_each_new_instance_that_is_ready_sets_an_old_one_free() -> None:
    assert turn(counts(4, 4, new=4, ready=1), 1.0, 1.0) == Turn(kill_healthy=1)


def test_what_may_be_missed_is_killed_at_once_and_makes_room_when_it_is_gone() -> None:
    assert turn(counts(4, 4), 0.5, 0.0) == Turn(kill_healthy=2)
    assert turn(counts(4, 2, before=4, leaving=2), 0.5, 0.0) == Turn()
    assert turn(counts(4, 2, before=4), 0.5, 0.0) == Turn(start=2)


def test_one_more_may_be_there_when_nothing_else_would_move() -> None:
    assert turn(counts(3, 3), 1.0, 0.0) == Turn(start=1)
    assert turn(counts(3, 3, new=1, ready=1), 1.0, 0.0) == Turn(kill_healthy=1)


def test_unhealthy_old_ones_make_room_without_crossing_the_floor() -> None:
    stuck = counts(3, 2, before=3, old_unhealthy=1)
    assert turn(stuck, 1.0, 0.0) == Turn(kill_unhealthy=1)


def test_more_than_are_wanted_go_at_once() -> None:
    assert turn(counts(3, 8), 1.0, 1.0).kill_healthy == 5


def test_when_all_new_ones_are_ready_the_old_ones_go() -> None:
    assert turn(counts(2, 1, new=2, ready=2, old_unhealthy=3), 1.0, 1.0) == Turn(
        kill_healthy=1, kill_unhealthy=3
    )


def test_instances_that_cannot_move_are_replaced_one_by_one_below_the_floor() -> None:
    assert swaps(counts(1, 1), 0.5) == 1
    assert swaps(counts(4, 4), 0.5) == 2
    assert swaps(counts(4, 2, before=4, new=2, ready=0), 0.5) == 0
    assert swaps(counts(4, 2, before=4, new=2, ready=2), 0.5) == 2
    assert swaps(counts(4, 0, before=4, old_unhealthy=4), 1.0) == 4


@dataclass
class Model:
    """Instances as numbers, which come, get ready, fall ill and go by chance."""

    now: Counts
    minimum: float
    over: float

    def act(self) -> Counts:
        """Do what the turn says; kills are not over at once."""
        was, do = self.now, turn(self.now, self.minimum, self.over)
        assert do.kill_healthy <= was.old_healthy
        assert do.kill_unhealthy <= was.old_unhealthy
        killed = do.kill_healthy + do.kill_unhealthy + do.kill_new
        self.now = Counts(
            wanted=was.wanted,
            before=was.before,
            new=was.new + do.start - do.kill_new,
            ready=min(was.ready, was.new + do.start - do.kill_new),
            old_healthy=was.old_healthy - do.kill_healthy,
            old_unhealthy=was.old_unhealthy - do.kill_unhealthy,
            leaving=was.leaving + killed,
        )
        return was

    def happen(self, chance: random.Random, *, kindly: bool) -> None:
        """Something happens to the instances; kindly: only what one hopes for."""
        was = self.now
        ready, healthy, ill = was.ready, was.old_healthy, was.old_unhealthy
        if was.new > ready and (kindly or chance.random() < 0.6):
            ready += 1
        elif not kindly and healthy and chance.random() < 0.3:
            healthy, ill = healthy - 1, ill + 1
        elif not kindly and ready and chance.random() < 0.1:
            ready -= 1
        gone = chance.randint(1, was.leaving) if was.leaving else 0
        self.now = Counts(was.wanted, was.before, was.new, ready, healthy, ill, was.leaving - gone)


SHARE = st.sampled_from((0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.99, 1.0))
MODELS = st.builds(
    lambda wanted, healthy, ill, minimum, over: Model(
        Counts(wanted, healthy + ill, 0, 0, healthy, ill), minimum, over
    ),
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 4),
    SHARE,
    SHARE,
)


@settings(max_examples=400, deadline=None)
@given(MODELS, st.integers(0, 2**32))
def test_no_kill_leaves_fewer_healthy_than_the_floor(model: Model, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        was = model.act()
        floor = math.ceil(round(min(was.before, was.wanted) * model.minimum, 9))
        assert model.now.healthy >= min(floor, was.healthy)
        model.happen(chance, kindly=False)


@settings(max_examples=400, deadline=None)
@given(MODELS, st.integers(0, 2**32))
def test_no_start_leads_beyond_the_ceiling(model: Model, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        was = model.act()
        if model.now.new > was.new:
            ceiling = math.floor(round(was.wanted * (1 + model.over), 9)) + 1
            assert model.now.there <= ceiling
            assert model.now.new <= was.wanted
        model.happen(chance, kindly=False)


@settings(max_examples=400, deadline=None)
@given(MODELS, st.integers(0, 2**32), st.integers(0, 30))
def test_it_comes_to_an_end_when_new_instances_get_ready(
    model: Model, seed: int, trouble: int
) -> None:
    chance = random.Random(seed)
    for _ in range(trouble):
        model.act()
        model.happen(chance, kindly=False)
    for _ in range(200):
        model.act()
        model.happen(chance, kindly=True)
    assert is_done(model.now), model.now
