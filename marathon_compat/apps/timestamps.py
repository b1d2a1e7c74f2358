"""Marathon's timestamps, which are also its versions: ``2026-03-01T09:30:00.000Z``.

Always UTC, always milliseconds; so their order as text is their order in time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from marathon_compat.apps.errors import bad_argument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)


def text(seconds: float) -> str:
    """Seconds since the epoch as a timestamp; what is below a millisecond is rounded."""
    return _text(round(seconds * 1000))


def seconds(timestamp: str) -> float:
    """A timestamp as seconds since the epoch. Any ISO 8601 date and time is read; without a zone it
    is UTC. Raises BadBody 422."""
    return _millis(timestamp) / 1000


def normal(timestamp: str) -> str:
    """A timestamp in Marathon's one form. Raises BadBody 422."""
    return _text(_millis(timestamp))


def after(now: float, *versions: str) -> str:
    """The version for a change that is made now: later than each of ``versions``, even when the
    clock is not. Empty versions count for nothing. Raises BadBody 422."""
    newest = max((_millis(version) for version in versions if version), default=0)
    return _text(max(round(now * 1000), newest + 1))


def _text(millis: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=millis)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _millis(timestamp: str) -> int:
    moment = None
    if len(timestamp) <= 40 and _FORM.fullmatch(timestamp):
        try:
            moment = datetime.fromisoformat(timestamp)
        except ValueError:
            moment = None
    if moment is None:
        raise bad_argument(
            f"Invalid timestamp {timestamp[:80]!r}. It must look like 2026-03-01T09:30:00.000Z"
        )
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)
