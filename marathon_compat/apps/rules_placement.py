"""Rules of constraints, which say where instances may be."""

from __future__ import annotations

import re

from fleetish.units.constraint import MOST, Constraint, Operator, fully_matches
from marathon_compat.apps.app import App
from marathon_compat.apps.errors import Wrong

#: Characters in a regular expression, at most.
MAX_REGEX = 256

_FIELD = re.compile(r"[^\s\x00-\x1f\x7f]+")

#: Marathon's sentence for a value that an operator cannot use.
_BAD_VALUE = {
    Operator.UNIQUE: "Value specified but not used",
    Operator.GROUP_BY: "Value was specified but is not a number",
    Operator.MAX_PER: "Value was not specified or is not a number",
    Operator.IS: "Missing value",
}


def constraints(app: App) -> Wrong:
    """Each constraint has a field, a known operator, and the value that it needs."""
    if len(app.constraints) > MOST:
        yield "/constraints", f"got {len(app.constraints)}, expected {MOST} or less"
    for at, row in enumerate(app.constraints[:MOST]):
        if reason := constraint_error(row):
            yield f"/constraints({at})", reason


def constraint_error(row: tuple[str, ...]) -> str:
    """Why a constraint cannot be used; "" when it can."""
    if not 2 <= len(row) <= 3:
        return "Each constraint must have either 2 or 3 fields"
    field, word, *rest = row
    if not _FIELD.fullmatch(field):
        return "Missing field and operator"
    if word not in Operator.__members__:
        return f"Constraint operator must be one of the following {', '.join(Operator)}"
    operator, value = Operator[word], rest[0] if rest else ""
    if operator in (Operator.LIKE, Operator.UNLIKE):
        return _pattern_error(value)
    try:
        Constraint(field, operator, value)
    except ValueError as error:
        return f"{_BAD_VALUE.get(operator, 'Value cannot be used')}: {error}"
    return ""


def regex_error(text: str) -> str:
    """Why a regular expression cannot be used; "" when it can. The syntax is RE2's, which takes
    time in proportion to the text whatever the expression."""
    if len(text) > MAX_REGEX:
        return f"it is longer than {MAX_REGEX} characters"
    try:
        fully_matches(text, "")
    except ValueError as error:
        return str(error)
    return ""


def _pattern_error(value: str) -> str:
    if not value:
        return "A regular expression value must be provided"
    reason = regex_error(value)
    return f"'{value[:MAX_REGEX]}' is not a valid regular expression: {reason}" if reason else ""
