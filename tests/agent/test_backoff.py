from __future__ import annotations

from dataclasses import replace

from fleetish.agent.backoff import Progress, delay, note, recall
from fleetish.agent.base import Labels, ObservedUnit
from fleetish.model import Assignment, Target, UnitState
from fleetish.units.xfleet import Requirements

ASKED = Requirements(reschedule=True, backoff_s=1.0, backoff_max_s=8.0)
WISH = Assignment(
    unit="a.service",
    machine="m",
    hash="h",
    launch=1,
    target=Target.LAUNCHED,
    requirements=ASKED,
)
OURS = Labels("c", "a.service", "h", 1)


def failed(run: str, since: float) -> ObservedUnit:
    return ObservedUnit("a.service", active="failed", invocation=run, since=since, labels=OURS)


def test_the_wait_doubles_up_to_the_longest() -> None:
    assert [delay(failures, ASKED) for failures in (1, 2, 3, 4, 5, 5000)] == [1, 2, 4, 8, 8, 8]


def test_each_entry_into_failed_is_counted_once() -> None:
    progress = note(Progress(), failed("r1", 10.0), WISH, 100.0)
    assert (progress.failures, progress.retry_at) == (1, 101.0)
    assert note(progress, failed("r1", 10.0), WISH, 105.0) == progress
    again = note(progress, failed("r2", 20.0), WISH, 110.0)
    assert (again.failures, again.retry_at) == (2, 112.0)


def test_a_failure_counted_before_the_agent_was_restarted_is_not_counted_again() -> None:
    state = UnitState(
        unit="a.service",
        machine="m",
        hash="h",
        launch=1,
        active="failed",
        invocation="r1",
        since=10.0,
        failures=2,
    )
    progress = note(recall(state), failed("r1", 10.0), WISH, 100.0)
    assert progress.failures == 2
    assert note(progress, failed("r2", 11.0), WISH, 100.0).failures == 3


def test_a_new_launch_or_text_begins_at_none() -> None:
    progress = note(Progress(), failed("r1", 10.0), WISH, 100.0)
    anew = Assignment(unit="a.service", machine="m", hash="h", launch=2, target=Target.LAUNCHED)
    assert note(progress, failed("r1", 10.0), anew, 100.0) == Progress(("h", 2))


def test_a_long_run_makes_the_next_failure_the_first() -> None:
    ran = replace(Progress(("h", 1), failures=2), started=100.0)
    assert note(ran, failed("r3", 50.0), WISH, 150.0).failures == 3
    assert note(ran, failed("r3", 50.0), WISH, 161.0).failures == 1


def test_units_that_are_not_ours_or_do_not_fail_count_nothing() -> None:
    fresh = Progress(("h", 1))
    assert note(Progress(), None, WISH, 1.0) == fresh
    assert note(Progress(), ObservedUnit("a.service", active="active"), WISH, 1.0) == fresh
    assert note(Progress(), ObservedUnit("a.service", active="failed"), WISH, 1.0) == fresh
