"""systemd's value grammars for single numbers: booleans, time spans, sizes, percentages, modes.

Every reader takes the text of a value and returns what a D-Bus property holds: microseconds, bytes,
plain integers. A text outside the grammar raises ValueError, whose message completes the sentence
"cannot use ``text``: …"; the caller, who knows file, line and directive, makes it a BadUnit.
"""

from __future__ import annotations

import re

#: "No limit" in every 64-bit unsigned property (USEC_INFINITY, CGROUP_LIMIT_MAX, RLIM_INFINITY).
INFINITY = 2**64 - 1

_TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})
_FALSE = frozenset({"0", "no", "n", "false", "f", "off"})

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

#: Unit words of systemd.time(7) in microseconds; a month is 30.44 days, a year 365.25.
_UNITS = {
    "seconds": _SECOND,
    "second": _SECOND,
    "sec": _SECOND,
    "s": _SECOND,
    "minutes": _MINUTE,
    "minute": _MINUTE,
    "min": _MINUTE,
    "months": 2_629_800 * _SECOND,
    "month": 2_629_800 * _SECOND,
    "M": 2_629_800 * _SECOND,
    "msec": 1000,
    "ms": 1000,
    "m": _MINUTE,
    "hours": _HOUR,
    "hour": _HOUR,
    "hr": _HOUR,
    "h": _HOUR,
    "days": _DAY,
    "day": _DAY,
    "d": _DAY,
    "weeks": 7 * _DAY,
    "week": 7 * _DAY,
    "w": 7 * _DAY,
    "years": 31_557_600 * _SECOND,
    "year": 31_557_600 * _SECOND,
    "y": 31_557_600 * _SECOND,
    "usec": 1,
    "us": 1,
    "μs": 1,
    "µs": 1,
}
_SPAN = re.compile(
    rf"[ \t]*(?:\+?(\d+)(?:\.(\d+))?|\.(\d+))[ \t]*({'|'.join(_UNITS)})?[ \t]*", re.ASCII
)
_SPACED_NUMBERS = re.compile(r"\d[ \t]+[\d.+]|\d[ \t]*\Z", re.ASCII)
_SIZE = re.compile(r"[ \t]*\+?(\d+)(?:\.(\d*))?[ \t]*([EPTGMKB]?)[ \t]*", re.ASCII)
_SIZE_ORDER = "EPTGMKB"
_PERCENT = re.compile(r"(\d+)(?:\.(\d{1,2}))?%|(\d+)(?:\.(\d))?‰|(\d+)‱", re.ASCII)
_INTEGER = re.compile(r"[+-]?(?:0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+|\d+)", re.ASCII)


def boolean(text: str) -> bool:
    """``1 yes y true t on`` and ``0 no n false f off``, in any case."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("it is neither yes nor no")


def span(text: str, default: int = _SECOND) -> int:
    """A time span of systemd.time(7) in microseconds; a bare number counts ``default`` units.

    ``infinity`` gives INFINITY.
    """
    if text.strip(" \t") == "infinity":
        return INFINITY
    total, at = 0, 0
    while at < len(text) or not at:
        found = _SPAN.match(text, at)
        if found is None or found.end() == at:
            raise ValueError("it is no time span such as 90, 1min 30s or infinity")
        unit = _UNITS[found[4]] if found[4] else default
        total += int(found[1] or 0) * unit + _fraction(found[2] or found[3] or "", unit)
        at = found.end()
        if at < len(text) and not found[4] and found[0][-1] not in " \t":
            raise ValueError("a number in it has neither a unit nor a space behind it")
    if total >= INFINITY:
        raise ValueError("the time span is too long")
    return total


def _fraction(digits: str, unit: int) -> int:
    """The digits after the point, as systemd adds them: each rounded down by itself."""
    total = 0
    for digit in digits:
        unit //= 10
        total += int(digit) * unit
    return total


def span_or_never(text: str) -> int:
    """A time span of which 0 means never, as the timeouts of starting and stopping have it."""
    return span(text) or INFINITY


def seconds(text: str) -> float:
    """A time span in seconds; ``inf`` for infinity."""
    micros = span(text)
    return float("inf") if micros == INFINITY else micros / _SECOND


def nanoseconds(text: str) -> int:
    """A time span in nanoseconds; a bare number counts them, as does ``ns`` or ``nsec``."""
    found = re.fullmatch(r"[ \t]*(\d+)[ \t]*(?:ns|nsec)?[ \t]*", text, re.ASCII)
    if not found and _SPACED_NUMBERS.search(text):
        raise ValueError("a number in it has no unit behind it")
    micros = 0 if found else span(text)
    total = int(found[1]) if found else INFINITY if micros == INFINITY else micros * 1000
    if total > INFINITY:
        raise ValueError("the time span is too long")
    return total


def size(text: str, base: int = 1024) -> int:
    """A size in bytes with suffixes K M G T P E, also ``1G 512M`` and ``1.5G``.

    The base is 1024 for memory and disk, 1000 for bandwidths.
    """
    total, at, last = 0, 0, -1
    while at < len(text) or not at:
        found = _SIZE.match(text, at)
        rank = _SIZE_ORDER.find(found[3]) if found and found[3] else len(_SIZE_ORDER)
        if found is None or rank <= last:
            raise ValueError("it is no size such as 512M, 1.5G or 1048576")
        factor = base ** max(0, 6 - rank)
        total += int(found[1]) * factor
        total += int(float(f"0.{found[2]}") * factor) if found[2] else 0
        at, last = found.end(), rank
    if total >= INFINITY:
        raise ValueError("the size is too large")
    return total


def is_relative(text: str) -> bool:
    """True for a value in %, ‰ or ‱."""
    return text[-1:] in ("%", "‰", "‱")


def permyriad(text: str, *, bounded: bool = True) -> int:
    """``50%``, ``12.5%``, ``125‰`` or ``1250‱`` as parts of ten thousand; bounded: up to 10000."""
    found = _PERCENT.fullmatch(text)
    if found is None:
        raise ValueError("it is no percentage such as 50% or 12.5%")
    if found[1]:
        parts = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
    elif found[3]:
        parts = int(found[3]) * 10 + int(found[4] or 0)
    else:
        parts = int(found[5])
    if bounded and parts > 10_000:
        raise ValueError("it is more than 100%")
    if parts > 2**31 - 1:
        raise ValueError("the percentage is too large")
    return parts


def scale(text: str) -> int:
    """A percentage as systemd's ``…Scale`` properties hold it: 0 … 2³² − 1."""
    return (permyriad(text) * 0xFFFFFFFF + 5000) // 10_000


def integer(text: str, low: int = 0, high: int = INFINITY) -> int:
    """A whole number, decimal or with 0x, 0o, 0b (and 0 for octal), within bounds."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("it is no whole number")
    body = text.lstrip("+-")
    base = 8 if len(body) > 1 and body[0] == "0" and body.isdecimal() else 0
    try:
        number = int(text, base)
    except ValueError:
        raise ValueError("it is no whole number") from None
    if not low <= number <= high:
        raise ValueError(f"it is not within {low} … {high}")
    return number


def mode(text: str) -> int:
    """File permissions in octal, ``0755``."""
    if not re.fullmatch(r"[0-7]{1,5}", text, re.ASCII) or int(text, 8) > 0o7777:
        raise ValueError("it is no octal mode such as 0755")
    return int(text, 8)
