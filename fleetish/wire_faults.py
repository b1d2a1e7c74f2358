"""How an error of ours goes over the native API and becomes one again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fleetish import errors
from fleetish.wire import Problem, View


class Fault(View, frozen=True, kw_only=True, omit_defaults=True):
    """``code`` names the kind of error; ``units`` those that it is about."""

    code: str
    message: str
    hint: str = ""
    problems: tuple[Problem, ...] = ()
    missing: tuple[str, ...] = ()


class FaultBody(View, frozen=True, kw_only=True):
    error: Fault


class Invalid(errors.BadUnit):
    """Unit files with something wrong; ``problems`` has all of it."""

    def __init__(self, found: Sequence[Problem]) -> None:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(found[0].message + more, where=found[0].where)
        self.problems = tuple(found)


class Missing(errors.NotFound):
    """Units that do not exist, and for which no text was given; ``names`` has all of them."""

    def __init__(self, names: Sequence[str]) -> None:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        super().__init__(
            f"cannot find {shown}", hint="submit it with its text, or submit its template"
        )
        self.names = tuple(names)


class ErrorRow(NamedTuple):
    """How an error of ours goes over HTTP."""

    error: type[errors.FleetishError]
    code: str
    status: int


def _row(error: type[errors.FleetishError], status: int) -> ErrorRow:
    code = re.sub(r"(?<!^)(?=[A-Z])", "-", error.__name__).lower()
    return ErrorRow(error, code, status)


#: Error to code and status; the first row that fits is taken, so special ones come first.
ERRORS = (
    _row(Invalid, 400),
    _row(errors.BadName, 400),
    _row(errors.BadOption, 400),
    _row(errors.BadUnit, 400),
    _row(errors.BadTemplate, 400),
    _row(errors.BadConfig, 400),
    _row(errors.Refused, 400),
    _row(Missing, 404),
    _row(errors.NotFound, 404),
    _row(errors.Conflict, 409),
    _row(errors.StoreUnavailable, 503),
    _row(errors.OutcomeUnknown, 503),
    _row(errors.Unavailable, 503),
    _row(errors.SystemdError, 502),
    _row(errors.WaitTimeout, 504),
    _row(errors.FleetishError, 500),
)


def row_for(error: errors.FleetishError) -> ErrorRow:
    """The row of the table that fits an error."""
    return next(row for row in ERRORS if isinstance(error, row.error))


def error_of(fault: Fault) -> errors.FleetishError:
    """The error that a fault was made from."""
    if fault.problems:
        return Invalid(fault.problems)
    if fault.missing:
        return Missing(fault.missing)
    named = (row.error for row in ERRORS if row.code == fault.code)
    return next(named, errors.FleetishError)(fault.message, hint=fault.hint)
