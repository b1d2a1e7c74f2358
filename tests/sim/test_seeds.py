"""The whole cluster on a seed: every invariant holds, and a broken rule is noticed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetish.engine import draft, place
from fleetish.engine.loop import Term
from fleetish.sim import host
from fleetish.sim.cluster import simulate
from fleetish.store import txn
from fleetish.store.live import LiveStore

SEEDS = 200
LOT = 10


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of warnings about faults that are meant to be there."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(1, SEEDS, LOT))
def test_every_invariant_holds_and_what_is_wanted_comes_true(first: int) -> None:
    outcomes = [simulate(seed) for seed in range(first, first + LOT)]
    assert {one.seed: one.problem for one in outcomes if one.problem} == {}
    assert sum(one.terms for one in outcomes) > LOT


@pytest.mark.parametrize("first", range(1, 101, 10))
def test_every_invariant_holds_with_the_real_agent_too(first: int, tmp_path: Path) -> None:
    outcomes = [simulate(seed, directory=tmp_path) for seed in range(first, first + LOT)]
    assert {one.seed: one.problem for one in outcomes if one.problem} == {}


def test_the_same_seed_takes_the_same_course() -> None:
    assert simulate(4242) == simulate(4242)


def broken(seeds: range) -> str:
    """The first problem that one of the seeds shows; "" when none does."""
    return next((one.problem for one in map(simulate, seeds) if one.problem), "")


def test_writing_without_the_leaders_guard_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Term.run

    async def unguarded(self: Term) -> None:
        self.guard = None  # type: ignore[assignment]
        await begin(self)

    monkeypatch.setattr(Term, "run", unguarded)
    assert "I1" in broken(range(1, 5))


def test_planning_past_what_a_machine_has_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft, "left", lambda capacity, used: capacity)
    assert "I4" in broken(range(1, 60))


def test_a_fence_that_is_too_slow_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "DRIFT", -30.0)
    assert "I2" in broken(range(1, 200))


def test_taking_a_unit_off_a_machine_that_has_not_stopped_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert txn._STOPPED == ("inactive", "failed")
    monkeypatch.setattr(txn.Compiler, "_answered", lambda self, held, step: None)
    monkeypatch.setattr("fleetish.engine.vacate.acknowledged", lambda held, state: True)
    assert "I2" in broken(range(1, 150))


def test_giving_up_on_waiting_units_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.Placer, "serve", lambda self: None)
    assert "never came true" in broken(range(1, 5))


def test_states_written_without_the_registration_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = LiveStore.commit

    async def unguarded(self: LiveStore, changes, world, guard=None):  # type: ignore[no-untyped-def]
        lease = guard is not None and guard.lost == "lease"
        return await commit(self, changes, world, None if lease else guard)

    monkeypatch.setattr(LiveStore, "commit", unguarded)
    assert "I5" in broken(range(1, 5))
