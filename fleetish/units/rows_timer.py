"""The [Timer] section (systemd.timer(5))."""

from __future__ import annotations

from fleetish.units import calendar, values
from fleetish.units.rows import Given, Property, Row, flag, micros, only_default

_MONOTONIC = ("OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec")


def _elapses() -> Row:
    """All times at which the timer elapses: spans in microseconds, and calendar expressions as they
    are written. An empty line of any kind drops all before it."""

    def read(given: Given) -> list[object]:
        text = given.scope.expand(given.text)
        if given.directive != "OnCalendar":
            return [given.directive, values.span(text)]
        calendar.parse(text)
        return [given.directive, text]

    def build(found: list[list[object]]) -> tuple[Property, ...]:
        spans = [one for one in found if one[0] != "OnCalendar"]
        calendars = [one for one in found if one[0] == "OnCalendar"]
        both = (
            Property("TimersMonotonic", "a(st)", spans),
            Property("TimersCalendar", "a(ss)", calendars),
        )
        return tuple(prop for prop in both if prop.value)

    properties = (("TimersMonotonic", "a(st)"), ("TimersCalendar", "a(ss)"))
    return Row(("OnCalendar", *_MONOTONIC), properties, read, build)


TIMER = (
    _elapses(),
    micros("AccuracySec"),
    micros("RandomizedDelaySec"),
    flag("FixedRandomDelay"),
    flag("OnClockChange"),
    flag("OnTimezoneChange"),
    flag("Persistent"),
    flag("WakeSystem"),
    flag("RemainAfterElapse"),
    only_default("Unit", "service"),
)
