"""Calendar expressions, the values of ``OnCalendar=``: grammar and normal form (systemd.time(7)).

    Mon..Fri 2030-*-1/7 08,18:30 Europe/Berlin
    weekdays year-month-day hour:minute:second zone

``parse`` gives a value of parts from which due times can be computed; ``normal`` writes it as
``systemd-analyze calendar`` does, which is the oracle of the tests. systemd also takes the short
names of its host's own time zone (``CET``, ``CEST``), which mean something else on another host:
here a zone is UTC or a name of the tz database.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Iterator
from typing import NamedTuple

_SECOND = 1_000_000
_YEARS = (1970, 2199)
_LAST_SECOND = 7_258_118_399  # of 2199, counted from 1970

#: Numbers in one list, at most (systemd's CALENDARSPEC_COMPONENTS_MAX and the first).
MOST_NUMBERS = 241

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_NUMBERS = {
    **{name: at for at, name in enumerate(_LONG_DAYS)},
    **{name.lower(): at for at, name in enumerate(WEEKDAYS)},
}

#: Names for whole expressions.
SHORTHANDS = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    **dict.fromkeys(("yearly", "annually", "anually"), "*-01-01 00:00:00"),
    **dict.fromkeys(
        ("biannually", "bi-annually", "semiannually", "semi-annually"), "*-01,07-01 00:00:00"
    ),
}

_WEEKDAY = re.compile(r"([a-z]+)(?:(?:\.\.|-)([a-z]+))?(?:,|\Z)", re.ASCII)
_NUMBER = r"\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER})(?:\.\.({_NUMBER}))?(?:/({_NUMBER}))?", re.ASCII)
_DATE = re.compile(r"(?:([^-~ ]+)-)?([^-~ ]+)([-~])([^-~ ]+)", re.ASCII)
_TIME = re.compile(r"([^: ]+):([^: ]+)(?::([^: ]+))?", re.ASCII)
_EPOCH = re.compile(r"@[ \t]*\+?0*(\d{1,12})", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", re.ASCII)


class Range(NamedTuple):
    """``start``, ``start/repeat``, ``start..stop`` or ``start..stop/repeat``; ``repeat`` is 0 for a
    single value. Without ``stop`` the repetition goes on to the end of the field."""

    start: int
    stop: int | None = None
    repeat: int = 0


Chain = tuple[Range, ...]


class Calendar(NamedTuple):
    """When a timer is due. An empty chain, and no weekdays, stand for any value.

    ``weekdays`` counts from 0 for Monday. ``seconds`` are in microseconds. ``from_end`` counts
    ``day`` back from the last of the month, which is 1. ``zone`` is "" for that of the host.
    """

    weekdays: frozenset[int] = frozenset()
    year: Chain = ()
    month: Chain = ()
    day: Chain = ()
    hour: Chain = ()
    minute: Chain = ()
    seconds: Chain = ()
    from_end: bool = False
    zone: str = ""


_AT_START = Calendar(hour=(Range(0),), minute=(Range(0),), seconds=(Range(0),))


def parse(text: str) -> Calendar:
    """The calendar expression, its ranges in normal form.

    Raises ValueError, whose message completes the sentence "cannot use ``text``: …".
    """
    rest, zone = _split_zone(text)
    if not rest:
        raise _bad()
    rest = SHORTHANDS.get(rest.lower(), rest)
    weekdays, rest = _split_weekdays(rest)
    found = _parse_epoch(rest) if rest.startswith("@") else _parse_date_and_time(rest)
    year, month, day, hour, minute, seconds = map(_in_order, found[1:7])
    found = Calendar(
        weekdays, year, month, day, hour, minute, seconds, found.from_end, found.zone or zone
    )
    _check(found)
    return found


def _bad(text: str = "") -> ValueError:
    what = repr(text) if text else "it"
    return ValueError(f"{what} is no calendar expression such as Mon..Fri *-*-* 08:00")


def _split_zone(text: str) -> tuple[str, str]:
    """The expression and its time zone. Only a zone has letters after a space."""
    head, space, last = text.rpartition(" ")
    if not space or not last[:1].isalpha():
        return text, ""
    if last.lower() == "utc":
        return head, "UTC"
    if not _ZONE.fullmatch(last) or not _is_known(last):
        raise ValueError(f"{last!r} is no time zone such as UTC or Europe/Berlin")
    return head, last


def _is_known(zone: str) -> bool:
    try:
        zoneinfo.ZoneInfo(zone)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


def _split_weekdays(text: str) -> tuple[frozenset[int], str]:
    """The weekdays at the beginning, if any, and what follows."""
    if not text[:1].isalpha():
        return frozenset(), text
    word, _, rest = text.partition(" ")
    found: set[int] = set()
    at = 0
    while at < len(word):
        piece = _WEEKDAY.match(word.lower(), at)
        if piece is None or not {piece[1], piece[2] or piece[1]} <= _DAY_NUMBERS.keys():
            raise _bad(word)
        first, last = _DAY_NUMBERS[piece[1]], _DAY_NUMBERS[piece[2] or piece[1]]
        if first > last:
            raise ValueError(f"the weekdays {piece[0]!r} are not in order")
        found.update(range(first, last + 1))
        at = piece.end()
    return frozenset(found) if len(found) < len(WEEKDAYS) else frozenset(), rest.lstrip(" ")


def _parse_epoch(text: str) -> Calendar:
    """``@seconds`` since 1970, which is one moment of UTC."""
    found = _EPOCH.fullmatch(text)
    if found is None or int(found[1]) > _LAST_SECOND:
        raise _bad(text)
    when = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(found[1]))
    return Calendar(
        year=(Range(when.year),),
        month=(Range(when.month),),
        day=(Range(when.day),),
        hour=(Range(when.hour),),
        minute=(Range(when.minute),),
        seconds=(Range(when.second * _SECOND),),
        zone="UTC",
    )


def _parse_date_and_time(text: str) -> Calendar:
    """``date``, ``time``, ``date time`` or nothing (after weekdays); no time means midnight."""
    date, _, time = text.partition(" ")
    if ":" in date:
        date, time = "", text
    found = _with_date(_AT_START, date) if date else _AT_START
    time = time.lstrip(" ")
    return _with_time(found, time) if time else found


def _with_date(calendar: Calendar, text: str) -> Calendar:
    found = _DATE.fullmatch(text)
    if found is None:
        raise _bad(text)
    day = _chain(found[4])
    return calendar._replace(
        year=tuple(map(_with_century, _chain(found[1] or "*"))),
        month=_chain(found[2]),
        day=day,
        from_end=found[3] == "~" and bool(day),
    )


def _with_time(calendar: Calendar, text: str) -> Calendar:
    found = _TIME.fullmatch(text)
    if found is None:
        raise _bad(text)
    return calendar._replace(
        hour=_chain(found[1]),
        minute=_chain(found[2]),
        seconds=_chain(found[3] or "0", _SECOND),
    )


def _chain(text: str, unit: int = 1) -> Chain:
    """The ranges of a field; a ``*`` for the seconds repeats each whole second."""
    if text == "*":
        return () if unit == 1 else (Range(0, None, unit),)
    words = text.split(",")
    if len(words) > MOST_NUMBERS:
        raise ValueError(f"a list in it has more than {MOST_NUMBERS} numbers")
    return tuple(_range(word, unit) for word in words)


def _range(text: str, unit: int) -> Range:
    found = _RANGE.fullmatch(text)
    if found is None:
        raise _bad(text)
    start, stop, repeat = (_number(part, unit) if part else None for part in found.groups())
    assert start is not None
    if repeat == 0:
        raise ValueError(f"{text!r} repeats nothing")
    if stop is not None and repeat is None and start + unit > stop and unit > 1:
        raise ValueError(f"{text!r} is shorter than a second")
    return Range(start, stop, repeat if repeat is not None else unit if stop is not None else 0)


def _number(text: str, unit: int) -> int:
    """A number in its unit; seconds have six decimals, the last one rounded."""
    whole, point, decimals = text.partition(".")
    if not point:
        return int(whole) * unit
    if unit == 1:
        raise ValueError(f"{text!r} has decimals, which only seconds may have")
    part = int(decimals[:6].ljust(6, "0")) + (decimals[6:7] >= "5")
    return int(whole) * unit + part


def _with_century(one: Range) -> Range:
    """Years of two digits: 70 … 99 are of the last century."""
    stop = None if one.stop is None else _year(one.stop)
    return one._replace(start=_year(one.start), stop=stop)


def _year(number: int) -> int:
    return number if number >= 100 else number + (1900 if number >= 70 else 2000)


def _in_order(chain: Chain) -> Chain:
    """The ranges in order, each once, and none longer than its last repetition."""
    return tuple(
        sorted({_shortest(one) for one in chain}, key=lambda one: (one[0], one[1] or -1, one[2]))
    )


def _shortest(one: Range) -> Range:
    start, stop, repeat = one
    if stop is None or stop < start:
        return one
    stop -= (stop - start) % repeat
    return Range(start) if stop == start else Range(start, stop, repeat)


def _check(calendar: Calendar) -> None:
    """Raises ValueError when a field has a number that no date or time has."""
    fields = (
        ("year", calendar.year, *_YEARS),
        ("month", calendar.month, 1, 12),
        ("hour", calendar.hour, 0, 23),
        ("minute", calendar.minute, 0, 59),
        ("second", calendar.seconds, 0, 60 * _SECOND - 1),
    )
    wrong = [what for what, chain, low, high in fields if not _fits(chain, low, high)]
    # systemd counts no further back than to the 28th last day, and for each further number three
    # days less (chain_valid in its calendarspec.c).
    highs = [28 - 3 * at if calendar.from_end else 31 for at in range(len(calendar.day))]
    days = zip(calendar.day, highs, strict=True)
    if not all(_fits((one,), 1, high, calendar.from_end) for one, high in days):
        wrong.append("day")
    if wrong:
        raise ValueError(f"there is no such {wrong[0]}")


def _fits(chain: Chain, low: int, high: int, backwards: bool = False) -> bool:
    return all(
        low <= start <= high
        and repeat <= high - low
        and (
            start + repeat <= stop <= high
            if stop is not None
            else start - repeat >= low
            if backwards
            else start + repeat <= high
        )
        for start, stop, repeat in chain
    )


def normal(calendar: Calendar) -> str:
    """The expression as systemd shows it, ``Mon..Fri *-*-* 08:00:00 UTC``."""
    date = (
        f"{_shown(calendar.year, 4)}-{_shown(calendar.month)}"
        f"{'~' if calendar.from_end else '-'}{_shown(calendar.day)}"
    )
    time = f"{_shown(calendar.hour)}:{_shown(calendar.minute)}:{_shown_seconds(calendar.seconds)}"
    days = ",".join(_shown_days(calendar.weekdays))
    return " ".join(part for part in (days, date, time, calendar.zone) if part)


def _shown_days(days: frozenset[int]) -> Iterator[str]:
    """Names of days; three or more in a row as a range."""
    first = 0
    for day in range(len(WEEKDAYS) + 1):
        if day in days:
            continue
        run = WEEKDAYS[first:day]
        yield from (f"{run[0]}..{run[-1]}",) if len(run) > 2 else run
        first = day + 1


def _shown(chain: Chain, width: int = 2) -> str:
    if not chain:
        return "*"
    return ",".join(_shown_range(one, 1, width) for one in chain)


def _shown_seconds(chain: Chain) -> str:
    if Range(0, None, _SECOND) in chain:
        return "*"
    return ",".join(_shown_range(one, _SECOND, 2) for one in chain)


def _shown_range(one: Range, unit: int, width: int) -> str:
    start, stop, repeat = one
    text = _decimal(start, unit, width)
    if stop is not None:
        text += f"..{_decimal(stop, unit, width)}"
    if repeat and not (stop is not None and repeat == unit):
        text += f"/{_decimal(repeat, unit, 1)}"
    return text


def _decimal(number: int, unit: int, width: int) -> str:
    whole, rest = divmod(number, unit)
    return f"{whole:0{width}}" + (f".{rest:06}" if rest else "")
