"""How long tasks wait: longer with each that ends, anew with each launch, and not for ever."""

from __future__ import annotations

from marathon_compat.apps.backoff import NO_WAIT, Wait, effective, failed, launched, longer, of_run
from marathon_compat.apps.records import Delay, Failure
from tests.marathon.field import app

WEB = app("/web", backoff_seconds=2, backoff_factor=3.0, max_launch_delay_seconds=60)


def test_it_grows_by_the_factor_up_to_the_most() -> None:
    delay, seen = None, []
    for _ in range(5):
        delay = longer(delay, WEB, "v1", 100.0)
        seen.append(effective(delay, WEB, "v1", 100.0))
    assert seen == [
        Wait(2.0, 102.0), Wait(6.0, 106.0), Wait(18.0, 118.0), Wait(54.0, 154.0), Wait(60.0, 160.0)
    ]  # fmt: skip


def test_another_definition_begins_without() -> None:
    delay = longer(longer(None, WEB, "v1", 100.0), WEB, "v1", 100.0)
    assert effective(delay, WEB, "v2", 100.0) == NO_WAIT
    assert effective(longer(delay, WEB, "v2", 100.0), WEB, "v2", 100.0) == Wait(2.0, 102.0)


def test_each_launch_begins_it_anew() -> None:
    delay = longer(None, WEB, "v1", 100.0)
    assert launched(delay, WEB, "v1", 130.0) == Delay(
        app="/web", config="v1", seconds=2.0, until=132.0
    )
    assert launched(None, WEB, "v1", 130.0) is None


def test_it_is_forgotten_when_nothing_happens_for_as_long_as_the_most() -> None:
    delay = longer(longer(None, WEB, "v1", 100.0), WEB, "v1", 100.0)
    assert effective(delay, WEB, "v1", 160.0) == Wait(6.0, 106.0)
    assert effective(delay, WEB, "v1", 160.1) == NO_WAIT
    assert longer(delay, WEB, "v1", 161.0).seconds == 2.0


def test_no_back_off_is_no_wait() -> None:
    hasty = app("/web", backoff_seconds=0)
    assert effective(longer(None, hasty, "v1", 1.0), hasty, "v1", 1.0) == NO_WAIT


def test_a_failure_is_remembered_beside_it() -> None:
    last = Failure(task="t", state="TASK_FAILED", message="m", host="h", machine="m", version="v",
                   at=1.0)  # fmt: skip
    delay = failed(longer(None, WEB, "v1", 100.0), "/web", last)
    assert (delay.seconds, delay.failure) == (2.0, last)
    assert failed(None, "/web", last) == Delay(app="/web", failure=last)


def test_a_run_of_a_former_definition_waits_by_its_own_failures() -> None:
    assert [of_run(WEB, n) for n in (0, 1, 2, 3, 9, 10_000)] == [2, 2, 6, 18, 60, 60]
