from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.agent.guard import ANSWER, NAME, bound, guard_unit, limits
from fleetish.errors import BadConfig, BadUnit
from fleetish.units.properties import Property, TransientUnit


def unit(**more: object) -> TransientUnit:
    return TransientUnit(
        "db.service", tuple(Property(name, "?", value) for name, value in more.items())
    )


def stop_of(found: tuple[Property, ...]) -> object:
    return next(one.value for one in found if one.name == "TimeoutStopUSec")


@given(st.floats(5.0, 3600.0))
def test_whatever_the_ttl_all_are_dead_before_the_lease_is_gone(ttl: float) -> None:
    found = limits(ttl)
    assert found.watchdog + found.stop + ANSWER + 0.01 * ttl < ttl
    assert found.watchdog >= 2 * ttl / 4, "one renewal of four may be missed"
    assert found.stop > 1.0


def test_a_ttl_that_leaves_no_time_to_stop_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"machine_ttl = 4\.9"):
        limits(4.9)


def test_an_exclusive_unit_is_bound_to_the_guard_and_stops_in_time() -> None:
    assert bound(unit(), limits(10.0)) == (
        Property("BindsTo", "as", [NAME]),
        Property("After", "as", [NAME]),
        Property("TimeoutStopUSec", "t", 3_800_000),
    )


def test_only_a_service_can_be_exclusive() -> None:
    with pytest.raises(BadUnit, match=r"cannot run a\.timer as exclusive: only a service can be"):
        bound(TransientUnit("a.timer", ()), limits(10.0))


def test_a_stop_timeout_that_fits_is_kept_and_a_longer_one_refused() -> None:
    found = bound(unit(TimeoutStopUSec=1_000_000), limits(10.0))
    assert [one.name for one in found] == ["BindsTo", "After"]
    with pytest.raises(BadUnit, match=r"TimeoutStopSec= is longer than 3\.8 s"):
        bound(unit(TimeoutStopUSec=3_900_000), limits(10.0))


def test_each_command_of_a_stop_takes_its_share_of_the_time() -> None:
    two = unit(ExecStop=["a"], ExecStopPost=["b"])
    assert stop_of(bound(two, limits(10.0))) == 3_800_000 // 4
    assert stop_of(bound(unit(ExecStopEx=["a"]), limits(10.0))) == 3_800_000 // 2


@pytest.mark.parametrize("more", [{"SendSIGKILL": False}, {"KillMode": "none"}])
def test_a_unit_that_may_outlive_its_stop_cannot_be_exclusive(more: dict[str, object]) -> None:
    with pytest.raises(BadUnit, match="it may outlive its stop"):
        bound(unit(**more), limits(10.0))


def test_the_guard_has_the_watchdog_and_is_killed_by_it() -> None:
    found = {one.name: one.value for one in guard_unit(limits(10.0)).properties}
    assert (found["WatchdogUSec"], found["WatchdogSignal"], found["NotifyAccess"]) == (
        5_000_000,
        9,
        "main",
    )
