"""What the checks of a unit say of it as a whole: pure."""

from __future__ import annotations

import pytest

from fleetish.health import Health, cause, health, lacks
from fleetish.model import CheckState, UnitState
from fleetish.units.health import HealthCheck, Readiness
from fleetish.units.xfleet import Requirements

NEW = CheckState()
GOOD = CheckState(alive=True, first_success=5.0, last_success=5.0)
SHAKY = CheckState(alive=False, failures=2, first_success=5.0, cause="HTTP status 500")
BAD = CheckState(alive=False, failures=3, first_success=5.0, cause="HTTP status 503")
NEVER = CheckState(alive=False, failures=2, cause="no answer within 5 s")

CHECK = HealthCheck(failures=3)


def state(*rows: CheckState, active: str = "active", ready: bool = False) -> UnitState:
    return UnitState(unit="a.service", machine="m", active=active, health=rows, ready=ready)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ((), Health.UNCHECKED),
        ((NEW,), Health.UNKNOWN),
        ((NEVER,), Health.UNKNOWN),
        ((GOOD,), Health.HEALTHY),
        ((SHAKY,), Health.HEALTHY),
        ((BAD,), Health.UNHEALTHY),
        ((GOOD, NEW), Health.UNKNOWN),
        ((GOOD, NEW, BAD), Health.UNHEALTHY),
        ((GOOD, GOOD), Health.HEALTHY),
    ],
)
def test_a_unit_is_as_the_worst_of_its_checks(rows: tuple[CheckState, ...], says: Health) -> None:
    asked = Requirements(health=(CHECK,) * len(rows))
    assert health(asked, state(*rows)) is says
    assert health(asked, state(*rows, active="reloading")) is says
    assert health(asked, state(*rows, active="failed")) is Health.UNCHECKED


def test_nothing_is_known_until_the_machine_has_told() -> None:
    assert health(Requirements(health=(CHECK,)), state()) is Health.UNKNOWN


def test_where_no_failure_is_allowed_for_the_first_one_counts() -> None:
    strict = Requirements(health=(HealthCheck(failures=0),))
    assert health(strict, state(GOOD)) is Health.HEALTHY
    assert health(strict, state(CheckState(alive=False, failures=1))) is Health.UNHEALTHY


def test_a_unit_lacks_health_before_readiness() -> None:
    asked = Requirements(health=(CHECK,), readiness=Readiness())
    assert lacks(asked, state(NEW)) == "healthy"
    assert lacks(asked, state(BAD, ready=True)) == "healthy"
    assert lacks(asked, state(GOOD)) == "ready"
    assert lacks(asked, state(GOOD, ready=True)) == ""
    assert lacks(asked, state(active="inactive")) == ""
    assert lacks(Requirements(), state()) == ""


def test_the_cause_is_that_of_what_fails_now() -> None:
    healed = CheckState(alive=True, first_success=5.0, last_failure=4.0, cause="HTTP status 500")
    assert cause(state(healed, BAD)) == "HTTP status 503"
    assert cause(state(healed)) == ""


def test_what_an_advisory_check_says_is_nothing_of_the_unit() -> None:
    asked = Requirements(health=(HealthCheck(advisory=True),))
    assert health(asked, state(BAD)) is Health.UNCHECKED
    both = Requirements(health=(HealthCheck(), HealthCheck(advisory=True)))
    assert health(both, state(GOOD, BAD)) is Health.HEALTHY
