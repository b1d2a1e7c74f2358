"""When a unit is probed, and what its answers come to: pure."""

from __future__ import annotations

from itertools import pairwise
from signal import SIGABRT, SIGKILL
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.agent.base import Labels, ObservedUnit
from fleetish.agent.probe_unit import check_unit, check_unit_name
from fleetish.agent.probing import (
    READINESS,
    Answer,
    Place,
    Run,
    after,
    begun,
    due,
    goes_on,
    noted,
    place,
    strike,
)
from fleetish.health import Health, check_health
from fleetish.model import Assignment, CheckState, Target, UnitState
from fleetish.units.file import parse
from fleetish.units.health import CheckKind, HealthCheck, OnUnhealthy, Readiness
from fleetish.units.properties import translate
from fleetish.units.specifiers import Context
from fleetish.units.xfleet import Requirements

WEB = "web.service"
GOOD, BAD, MUTE = Answer(True), Answer(False, "HTTP status 500"), Answer(None)
CHECK = HealthCheck(interval=10.0, grace=60.0, failures=2)
READY = Readiness(path="/ready")


def wish(*checks: HealthCheck, **fields: Any) -> Assignment:
    ports = fields.pop("ports", (31005, 31006))
    asked = Requirements(health=checks, **fields)
    return Assignment(
        unit=WEB,
        machine="m",
        hash="h",
        target=Target.LAUNCHED,
        ports=ports,
        requirements=asked,
    )


def unit(active: str = "active", invocation: str = "i1", digest: str = "h") -> ObservedUnit:
    labels = Labels("c", WEB, digest, 1)
    return ObservedUnit(WEB, active=active, invocation=invocation, since=1000.0, labels=labels)


def run(*checks: HealthCheck, began: float = 0.0, **fields: Any) -> Run:
    return Run(wish(*checks, **fields), "i1", began, (CheckState(),) * len(checks))


def told(first: Run, *answers: tuple[float, Answer]) -> list[Run]:
    """The run after each answer; given as (seconds since its start, answer)."""
    found = [first]
    for at, answer in answers:
        found.append(noted(found[-1], 0, answer, first.began + at, 1000.0 + at))
    return found[1:]


def test_a_unit_is_probed_from_its_start_on_also_when_it_is_seen_late() -> None:
    found = begun(wish(CHECK), unit(), None, now=50.0, date=1010.0)
    assert found == Run(wish(CHECK), "i1", 40.0, (CheckState(),))


@pytest.mark.parametrize(
    "seen",
    [None, unit("activating"), unit("failed"), unit(digest="older"), unit(invocation="")],
)
def test_what_does_not_run_as_assigned_is_not_probed(seen: ObservedUnit | None) -> None:
    assert begun(wish(CHECK), seen, None, 0.0, 1000.0) is None


def test_a_unit_without_checks_is_not_probed() -> None:
    assert begun(wish(), unit(), None, 0.0, 1000.0) is None


def test_an_agent_that_was_restarted_goes_on_with_what_was_published_of_the_run() -> None:
    good = CheckState(alive=True, first_success=900.0, last_success=900.0)
    before = UnitState(unit=WEB, machine="m", hash="h", invocation="i1", health=(good,), ready=True)
    found = begun(wish(CHECK, readiness=READY), unit(), before, 0.0, 1000.0)
    assert found is not None
    assert (found.health, found.ready, found.numbers) == ((good,), True, (0,))
    other = begun(wish(CHECK, readiness=READY), unit(invocation="i2"), before, 0.0, 1000.0)
    assert other is not None
    assert (other.health, other.ready, other.numbers) == ((CheckState(),), False, (0, READINESS))


def test_a_run_goes_on_until_it_ends_or_another_begins() -> None:
    held = run(CHECK)
    assert goes_on(held, unit())
    assert goes_on(held, unit("reloading"))
    assert goes_on(held, unit(digest="older"))
    assert not goes_on(held, unit("deactivating"))
    assert not goes_on(held, unit(invocation="i2"))
    assert not goes_on(held, None)


@pytest.mark.parametrize(
    ("check", "first"),
    [
        (HealthCheck(interval=60.0), 5.0),
        (HealthCheck(interval=2.0), 2.0),
        (HealthCheck(interval=60.0, delay=15.0), 15.0),
        (HealthCheck(delay=0.0), 0.0),
    ],
)
def test_the_first_probe_waits_for_its_delay(check: HealthCheck, first: float) -> None:
    held = run(check, began=100.0)
    assert 100.0 + first <= due(held, 0, 100.0) <= 100.0 + first + min(1.0, check.interval / 10)
    assert due(held, 0, 500.0) >= 500.0


def test_readiness_is_asked_for_at_once() -> None:
    assert 100.0 <= due(run(readiness=READY, began=100.0), READINESS, 100.0) <= 101.0


def test_probes_of_many_units_are_spread() -> None:
    found = []
    for number in range(500):
        asked = msgspec.structs.replace(wish(CHECK), unit=f"web@{number}.service")
        found.append(due(Run(asked, "i", 0.0, (CheckState(),)), 0, 0.0))
    busiest = max(sum(at <= one < at + 0.1 for one in found) for at in found)
    assert busiest < 100
    assert max(found) - min(found) < 1.0


def test_a_unit_whose_health_is_known_is_asked_again_within_an_interval() -> None:
    good = CheckState(alive=True, first_success=900.0)
    held = Run(wish(CHECK), "i1", 0.0, (good,))
    assert 100.0 <= due(held, 0, 100.0) < 110.0


def test_questions_keep_their_beat_but_never_overlap() -> None:
    assert after(CHECK, 100.0, 100.1) == 110.0
    assert after(CHECK, 100.0, 125.0) == 125.0


@pytest.mark.parametrize(
    ("check", "machine", "expected"),
    [
        (HealthCheck(), "10.0.0.7", Place("10.0.0.7", 31005)),
        (HealthCheck(index=1), "10.0.0.7", Place("10.0.0.7", 31006)),
        (HealthCheck(index=2), "10.0.0.7", None),
        (HealthCheck(port=80, index=2), "10.0.0.7", Place("10.0.0.7", 80)),
        (HealthCheck(), "", Place("127.0.0.1", 31005)),
        (HealthCheck(loopback=True), "10.0.0.7", Place("127.0.0.1", 31005)),
        (HealthCheck(loopback=True, ipv6=True), "10.0.0.7", Place("::1", 31005)),
        (HealthCheck(ipv6=True), "10.0.0.7", Place("::1", 31005)),
        (HealthCheck(), "fd00::7", Place("fd00::7", 31005)),
    ],
)
def test_a_probe_asks_where_others_would(
    check: HealthCheck, machine: str, expected: Place | None
) -> None:
    assert place(run(check), 0, machine) == expected


def test_failures_before_the_first_success_do_not_count_within_the_grace() -> None:
    states = told(run(CHECK), (5, BAD), (59, BAD), (61, BAD))
    assert [one.health[0].failures for one in states] == [0, 0, 1]
    assert states[2].health == (
        CheckState(alive=False, failures=1, last_failure=1061.0, cause="HTTP status 500"),
    )


def test_after_the_first_success_failures_count_at_once() -> None:
    states = told(run(CHECK), (5, GOOD), (15, BAD))
    assert states[1].health == (
        CheckState(
            alive=False,
            failures=1,
            first_success=1005.0,
            last_success=1005.0,
            last_failure=1015.0,
            cause="HTTP status 500",
        ),
    )


def test_a_success_makes_good_at_once() -> None:
    last = told(run(CHECK), (5, GOOD), (15, BAD), (25, BAD), (35, GOOD))[-1].health[0]
    assert (last.alive, last.failures) == (True, 0)
    assert (last.first_success, last.last_success, last.last_failure) == (1005.0, 1035.0, 1025.0)


def test_only_what_is_new_is_written() -> None:
    answers = [(float(at), GOOD) for at in range(5, 100, 10)]
    answers += [(float(at), BAD) for at in range(105, 300, 10)]
    held = run(CHECK)
    states = [held, *told(held, *answers)]
    written = [b for a, b in pairwise(states) if a is not b]
    assert [one.health[0].failures for one in written] == [0, 1, 2, 3]


@given(st.lists(st.sampled_from([GOOD, BAD, MUTE]), max_size=60), st.integers(0, 5))
def test_however_long_a_unit_fails_the_writes_are_few(answers: list[Answer], most: int) -> None:
    held = run(HealthCheck(failures=most, grace=0.0))
    writes = flips = 0
    last = None
    for at, answer in enumerate(answers, 1):
        now = noted(held, 0, answer, float(at), 1000.0 + at)
        writes += now is not held
        if answer.good is not None:
            flips += answer.good != last
            last = answer.good
        held = now
        assert held.health[0].failures <= most + 1
    assert writes <= flips * (most + 1)


def test_an_answer_that_says_nothing_changes_nothing() -> None:
    held = run(CHECK)
    assert noted(held, 0, MUTE, 500.0, 1500.0) is held


def test_a_cause_is_one_short_line() -> None:
    answer = Answer(False, "a\x1b\nb" + "c" * 1000)
    found = noted(run(CHECK), 0, answer, 500.0, 1500.0).health[0].cause
    assert found.startswith("a  bccc")
    assert len(found) == 200


def test_a_unit_is_ready_from_its_first_good_answer_on() -> None:
    held = run(CHECK, readiness=READY)
    assert noted(held, READINESS, BAD, 5.0, 1005.0) is held
    ready = noted(held, READINESS, GOOD, 6.0, 1006.0)
    assert ready.ready
    assert ready.numbers == (0,)


def test_a_state_of_another_run_or_of_a_unit_that_is_not_active_has_no_health() -> None:
    held = told(run(CHECK), (5, GOOD))[0]

    def shown(active: str, invocation: str = "i1") -> tuple[CheckState, ...]:
        state = UnitState(unit=WEB, machine="m", active=active, invocation=invocation)
        return held.told(state).health

    assert shown("active") == shown("reloading") == held.health
    assert shown("inactive") == shown("failed") == shown("deactivating") == ()
    assert shown("active", "i2") == ()


def test_an_unhealthy_unit_gets_a_signal_only_if_it_asks_for_that() -> None:
    failing = ((5.0, GOOD), (15.0, BAD), (25.0, BAD), (35.0, BAD), (45.0, BAD))
    for policy, expected in (
        (OnUnhealthy.NONE, [0, 0, 0, 0, 0]),
        (OnUnhealthy.RESTART, [0, 0, SIGABRT, SIGKILL, SIGKILL]),
    ):
        states = told(run(CHECK, on_unhealthy=policy), *failing)
        answers = [answer for _, answer in failing]
        assert [strike(one, 0, a) for one, a in zip(states, answers, strict=True)] == expected


def test_with_no_failures_allowed_for_a_unit_is_never_killed() -> None:
    never = HealthCheck(failures=0, grace=0.0)
    state = told(run(never, on_unhealthy=OnUnhealthy.RESTART), (5, BAD))[0]
    assert strike(state, 0, BAD) == 0
    assert check_health(never, state.health[0]) is Health.UNHEALTHY


SECURE = """[Service]
Type=notify
ExecStart=/usr/bin/server
User=www-data
Environment=A=b
RuntimeDirectory=web
StandardOutput=file:/tmp/x
PrivateTmp=yes
Restart=always
Slice=fleetish-web.slice
MemoryMax=64M
"""


def test_a_command_runs_as_its_unit_does_but_apart_from_it() -> None:
    checked = translate(parse(SECURE, WEB), WEB, Context())
    check = HealthCheck(kind=CheckKind.COMMAND, command="true $PORT0", timeout=2.0)
    found = check_unit(checked, 1, check)
    given = {one.name: one.value for one in found.properties}
    assert found.name == check_unit_name(WEB, 1)
    assert len(found.properties) == len(given)
    assert given == {
        "User": "www-data",
        "Environment": ["A=b"],
        "PrivateTmp": True,
        "Slice": "fleetish-web.slice",
        "MemoryMax": 64 * 1024 * 1024,
        "JoinsNamespaceOf": [WEB],
        "Description": "Health check 1 of web.service",
        "Type": "oneshot",
        "ExecStartEx": [["/bin/sh", ["/bin/sh", "-c", "true $PORT0"], ["no-env-expand"]]],
        "CollectMode": "inactive-or-failed",
        "TimeoutStartUSec": 2_000_000,
        "TimeoutStopUSec": 1_000_000,
        "KillSignal": 9,
        "StandardOutput": "null",
        "StandardError": "null",
        "LogLevelMax": 1,
    }


def test_each_new_answer_of_an_advisory_check_is_told_and_earns_no_signal() -> None:
    first = run(HealthCheck(advisory=True, grace=60.0), on_unhealthy=OnUnhealthy.RESTART)
    missing = Answer(False, "HTTP status 404", 404)
    found = told(first, (1, missing), (2, missing), (3, Answer(True, "", 200)))
    assert found[0] is found[1]
    assert [(row.alive, row.code, row.failures) for one in found for row in one.health] == [
        (False, 404, 0), (False, 404, 0), (True, 200, 0),
    ]  # fmt: skip
    assert strike(found[0], 0, missing) == 0
