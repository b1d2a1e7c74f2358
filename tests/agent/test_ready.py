"""What is planned for units that others bring up."""

from __future__ import annotations

from fleetish.agent.backoff import Progress
from fleetish.agent.base import Labels, Marker, ObservedUnit
from fleetish.agent.companions import Companions
from fleetish.agent.plan import NEVER, View, owner, plan
from fleetish.agent.report import state_of
from fleetish.agent.steps import Adopt, Define, Forget, Restart, Start, Step, Stop, Wait
from fleetish.model import Assignment, Target
from tests.agent.test_companions import wish

S, T = "web.service", "web.socket"
SOCKET = wish(T, triggers=(S,))
WAITING, STARTED = Marker("h", 1, started=False), Marker("h", 1)


def service(target: Target = Target.LOADED, *, digest: str = "h", launch: int = 1) -> Assignment:
    return Assignment(unit=S, machine="m", hash=digest, launch=launch, target=target)


def seen(active: str, digest: str = "h", launch: int = 1) -> ObservedUnit:
    return ObservedUnit(S, active=active, labels=Labels("c", S, digest, launch))


def planned(
    asked: Assignment | None,
    unit: ObservedUnit | None,
    marker: Marker | None = WAITING,
    socket: Assignment = SOCKET,
    progress: Progress | None = None,
) -> tuple[Step, ...]:
    assigned = {T: socket} | ({S: asked} if asked else {})
    listening = ObservedUnit(T, active="active", labels=Labels("c", T, "h", 1))
    view = View(
        assigned=assigned,
        observed={T: listening} | ({S: unit} if unit else {}),
        markers={T: STARTED} | ({S: marker} if marker else {}),
        progress={S: progress} if progress else {},
        companions=Companions(assigned.values()),
    )
    return plan(view, [S], 100.0)


def test_a_loaded_unit_may_run_while_its_socket_is_launched() -> None:
    for active in ("active", "activating", "failed", "inactive"):
        assert planned(service(), seen(active)) == ()


def test_a_loaded_unit_is_stopped_when_its_socket_is_launched_no_more() -> None:
    socket = wish(T, Target.LOADED, triggers=(S,))
    stop = (Stop(S, "its target is loaded"),)
    assert planned(service(), seen("active"), socket=socket) == stop


def test_a_unit_that_is_not_even_loaded_is_stopped_also_under_its_socket() -> None:
    inactive = service(Target.INACTIVE)
    assert planned(inactive, seen("active")) == (Stop(S, "its target is inactive"),)


def test_a_unit_that_was_launched_is_stopped_once_and_may_then_be_activated() -> None:
    stop = (Stop(S, "its target is loaded"),)
    assert planned(service(), seen("active"), STARTED) == stop
    assert planned(service(), seen("active"), WAITING) == ()
    finished = (Adopt(S, WAITING, "web.socket brings it up from now on"),)
    assert planned(service(), seen("inactive"), STARTED) == finished


def test_another_text_is_defined_while_the_unit_waits_and_started_anew_while_it_runs() -> None:
    changed = service(digest="h2")
    assert planned(changed, seen("inactive")) == (Define(S, changed, "its text changed"),)
    assert planned(changed, seen("active")) == (Restart(S, changed, "its text changed"),)


def test_what_systemd_read_of_a_new_text_is_not_taken_for_what_runs() -> None:
    changed = service(digest="h2")
    anew = (Restart(S, changed, "its text changed"),)
    assert planned(changed, seen("active", "h2"), WAITING) == anew
    noted = (Adopt(S, Marker("h2", 1, started=False), "web.socket brings it up from now on"),)
    assert planned(changed, seen("inactive", "h2"), WAITING) == noted
    launched = service(Target.LAUNCHED, digest="h2")
    anew = (Restart(S, launched, "its text changed"),)
    assert planned(launched, seen("active", "h2"), STARTED) == anew


def test_a_bad_text_leaves_the_definition_that_is_there() -> None:
    changed = service(digest="h2")
    blocked = Progress(("h2", 1)).blocked(changed, "line 3 is wrong", "bad-setting", NEVER)
    waiting = (Wait(S, NEVER, "line 3 is wrong"),)
    assert planned(changed, seen("inactive"), progress=blocked) == waiting


def test_a_unit_that_came_after_its_socket_is_defined() -> None:
    reason = "web.socket activates it and was started before it came"
    assert planned(service(), None, None) == (Define(S, service(), reason),)


def test_a_unit_that_runs_already_when_it_is_launched_is_taken_over() -> None:
    asked, runs = service(Target.LAUNCHED, launch=2), seen("active")
    taken = Marker("h", 2)
    assert planned(asked, runs, WAITING) == (Adopt(S, taken, "web.socket brought it up"),)
    assert planned(asked, runs, taken) == ()
    assert owner(S, runs, taken) == Labels("c", S, "h", 2)
    anew = service(Target.LAUNCHED, launch=3)
    assert planned(anew, runs, taken) == (Restart(S, anew, "launch 3 was asked for"),)


def test_a_unit_that_waits_is_started_when_it_is_launched() -> None:
    asked = service(Target.LAUNCHED)
    reason = "its last run did not begin, or was cut off"
    assert planned(asked, seen("inactive")) == (Start(S, asked, reason),)


def test_a_unit_that_is_gone_is_forgotten_in_systemd_too() -> None:
    reason = "it is not assigned to this machine"
    assert planned(None, seen("active")) == (Stop(S, reason),)
    assert planned(None, seen("inactive")) == (Forget(S, reason, kept=True),)
    socket = wish(T, Target.LOADED, triggers=(S,))
    assert planned(None, seen("inactive"), socket=socket) == (Forget(S, reason),)


def test_what_activates_others_goes_first() -> None:
    assigned = {one.unit: one for one in (wish("a.service"), wish("z.timer"))}
    view = View(assigned=assigned, companions=Companions(assigned.values()))
    assert [step.unit for step in plan(view, assigned, 0.0)] == ["z.timer", "a.service"]


def test_a_unit_that_waits_is_reported_as_loaded_with_the_end_of_its_last_run() -> None:
    ended = ObservedUnit(
        S, since=5.0, result="success", invocation="i", labels=Labels("c", S, "h", 1)
    )
    state = state_of(service(), ended, ended.labels, WAITING, Progress(), None, ready=True)
    assert (state.load, state.active, state.sub, state.launch) == ("loaded", "inactive", "dead", 0)
    assert (state.since, state.result, state.invocation, state.hash) == (5.0, "success", "i", "h")
