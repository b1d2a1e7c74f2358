from __future__ import annotations

from fleetish.agent.backoff import Progress
from fleetish.agent.base import Labels, Marker, ObservedUnit
from fleetish.agent.plan import NEVER, View, plan
from fleetish.agent.steps import Adopt, Forget, Restart, Start, Step, Stop, Wait
from fleetish.model import Assignment, Target
from fleetish.units.xfleet import Class, Requirements

WEB = "web.service"


def wish(
    *,
    digest: str = "h1",
    launch: int = 1,
    target: Target = Target.LAUNCHED,
    requirements: Requirements = Requirements(),  # noqa: B008 - frozen
) -> Assignment:
    return Assignment(
        unit=WEB,
        machine="m",
        hash=digest,
        launch=launch,
        target=target,
        requirements=requirements,
    )


def seen(active: str, *, digest: str = "h1", launch: int = 1, ours: bool = True) -> ObservedUnit:
    labels = Labels("c", WEB, digest, launch) if ours else None
    return ObservedUnit(WEB, active=active, labels=labels)


def planned(
    assignment: Assignment | None = None,
    unit: ObservedUnit | None = None,
    marker: Marker | None = None,
    progress: Progress | None = None,
    *,
    now: float = 100.0,
    fenced: float = NEVER,
    quarantined: bool = False,
) -> tuple[Step, ...]:
    view = View(
        assigned={WEB: assignment} if assignment else {},
        observed={WEB: unit} if unit else {},
        markers={WEB: marker} if marker else {},
        progress={WEB: progress} if progress else {},
        quarantined={WEB} if quarantined else set(),
        fenced=fenced,
    )
    return plan(view, [WEB], now)


MARK = Marker("h1", 1)
RETRY = Requirements(reschedule=True, reschedule_after=3)


def test_an_assigned_unit_that_was_never_started_is_started() -> None:
    assert planned(wish()) == (Start(WEB, wish(), "it is assigned to this machine"),)


def test_a_running_unit_with_this_text_and_launch_is_left_alone() -> None:
    assert planned(wish(), seen("active"), MARK) == ()


def test_a_running_unit_without_a_marker_is_adopted() -> None:
    assert planned(wish(), seen("active")) == (Adopt(WEB, MARK, "it runs as assigned"),)


def test_a_unit_whose_text_changed_is_restarted() -> None:
    changed = wish(digest="h2")
    expected = (Restart(WEB, changed, "its text changed"),)
    assert planned(changed, seen("active"), MARK) == expected


def test_a_unit_that_is_launched_anew_is_restarted() -> None:
    anew = wish(launch=2)
    expected = (Restart(WEB, anew, "launch 2 was asked for"),)
    assert planned(anew, seen("active"), MARK) == expected


def test_a_unit_that_had_its_run_in_this_boot_is_not_started_again() -> None:
    assert planned(wish(), None, MARK) == ()
    assert planned(wish(), seen("inactive"), MARK) == ()


def test_a_finished_unit_is_started_when_it_is_launched_anew() -> None:
    anew = wish(launch=2)
    assert planned(anew, None, MARK) == (Start(WEB, anew, "launch 2 was asked for"),)


def test_a_start_that_was_never_answered_is_repeated_when_the_unit_is_not_there() -> None:
    unanswered = Marker("h1", 1, started=False)
    expected = (Start(WEB, wish(), "its last run did not begin, or was cut off"),)
    assert planned(wish(), None, unanswered) == expected
    assert planned(wish(), seen("active"), unanswered) == (Adopt(WEB, MARK, "it runs as assigned"),)


def test_a_unit_whose_target_is_not_launched_is_stopped() -> None:
    for target in (Target.INACTIVE, Target.LOADED):
        asked = wish(target=target)
        assert planned(asked, seen("active"), MARK) == (Stop(WEB, f"its target is {target}"),)
        assert planned(asked, seen("deactivating"), MARK) == ()
        assert planned(asked, seen("failed"), MARK) == ()
        assert planned(asked, None, MARK) == ()


def test_a_unit_of_ours_that_is_not_assigned_is_stopped_then_forgotten() -> None:
    reason = "it is not assigned to this machine"
    assert planned(None, seen("active"), MARK) == (Stop(WEB, reason),)
    assert planned(None, seen("failed"), MARK) == (Forget(WEB, reason, failed=True),)
    assert planned(None, seen("inactive"), MARK) == (Forget(WEB, reason),)
    assert planned(None, None, MARK) == (Forget(WEB, reason),)


def test_a_unit_that_is_not_ours_is_never_touched() -> None:
    for active in ("active", "failed", "inactive"):
        assert planned(None, seen(active, ours=False)) == ()
    assert planned(wish(), seen("active", ours=False)) == ()
    assert planned(wish(target=Target.INACTIVE), seen("active", ours=False), MARK) == ()


def test_a_unit_of_a_type_without_labels_is_ours_by_its_marker() -> None:
    timer = ObservedUnit("a.timer", active="active")
    view = View(observed={"a.timer": timer}, markers={"a.timer": MARK})
    assert plan(view, ["a.timer"], 0.0) == (Stop("a.timer", "it is not assigned to this machine"),)
    assert plan(View(observed={"a.timer": timer}), ["a.timer"], 0.0) == ()


def test_a_unit_whose_assignment_cannot_be_read_is_left_alone() -> None:
    assert planned(None, seen("active"), MARK, quarantined=True) == ()
    assert planned(None, seen("failed"), MARK, quarantined=True) == ()


def test_a_failed_unit_stays_failed_unless_it_asks_for_more() -> None:
    assert planned(wish(), seen("failed"), MARK, Progress(("h1", 1), failures=1)) == ()


def test_a_failed_unit_that_asks_for_it_is_started_again_after_its_back_off() -> None:
    asked = wish(requirements=RETRY)
    failed = Progress(("h1", 1), failures=1, retry_at=101.0)
    waiting = (Wait(WEB, 101.0, "it failed once and backs off"),)
    assert planned(asked, seen("failed"), MARK, failed, now=100.9) == waiting
    reason = "it failed once; the back-off is over"
    again = (Start(WEB, asked, reason, failed=True),)
    assert planned(asked, seen("failed"), MARK, failed, now=101.0) == again


def test_a_unit_that_failed_too_often_here_waits_for_the_engine() -> None:
    asked = wish(requirements=RETRY)
    failed = Progress(("h1", 1), failures=3, retry_at=1.0)
    assert planned(asked, seen("failed"), MARK, failed) == ()


def test_a_failed_unit_is_started_when_it_is_launched_anew_or_its_text_changed() -> None:
    for asked in (wish(launch=2), wish(digest="h2")):
        (step,) = planned(asked, seen("failed"), MARK)
        assert isinstance(step, Start)
        assert step.failed


def test_what_could_not_be_started_is_not_tried_before_its_time() -> None:
    blocked = Progress(("h1", 1)).blocked(wish(), "the name is taken", "error", 130.0)
    assert planned(wish(), None, None, blocked) == (Wait(WEB, 130.0, "the name is taken"),)
    (step,) = planned(wish(), None, None, blocked, now=130.0)
    assert isinstance(step, Start)


def test_a_bad_new_text_leaves_the_old_unit_running() -> None:
    changed = wish(digest="h2")
    blocked = Progress(("h2", 1)).blocked(changed, "line 3 is wrong", "bad-setting", NEVER)
    assert planned(changed, seen("active"), MARK, blocked) == (Wait(WEB, NEVER, "line 3 is wrong"),)


def test_an_exclusive_unit_waits_for_the_lease_and_a_shared_one_does_not() -> None:
    exclusive = wish(requirements=Requirements(klass=Class.EXCLUSIVE))
    (step,) = planned(exclusive, now=100.0, fenced=100.0)
    reason = "it is exclusive and the machine's lease is not renewed"
    assert step == Wait(WEB, NEVER, reason)
    (step,) = planned(exclusive, now=99.9, fenced=100.0)
    assert isinstance(step, Start)
    (step,) = planned(wish(), now=100.0, fenced=100.0)
    assert isinstance(step, Start)


def test_an_exclusive_unit_may_always_be_stopped() -> None:
    exclusive = wish(target=Target.INACTIVE, requirements=Requirements(klass=Class.EXCLUSIVE))
    (step,) = planned(exclusive, seen("active"), MARK, fenced=0.0)
    assert isinstance(step, Stop)


def test_what_ends_goes_before_what_begins() -> None:
    assigned = {"a": Assignment(unit="a", machine="m", hash="h", target=Target.LAUNCHED)}
    running = ObservedUnit("z", active="active", labels=Labels("c", "z", "h", 1))
    view = View(assigned=assigned, observed={"z": running})
    assert [type(step) for step in plan(view, ["a", "z"], 0.0)] == [Stop, Start]
