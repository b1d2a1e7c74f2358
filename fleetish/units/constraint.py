"""``Constraint=FIELD OPERATOR [VALUE]``: which machines suit a unit, alone and beside its family.

    rack UNIQUE              one of the family for each rack
    rack MAX_PER 2           two for each rack at most
    rack GROUP_BY 3          spread evenly over the racks, and over three of them at least
    rack CLUSTER             all of the family in one rack
    rack CLUSTER r1, rack IS r1
    hostname LIKE web-\\d+    all of the value matches this regular expression
    rack UNLIKE r[12]        it does not

The words are Marathon's. ``hostname`` (or ``@hostname``) is the machine's name, ``@region`` and
``@zone`` are its metadata region and zone, any other field is the metadata key of that name.
Regular expressions are those of RE2, whose time is bounded by the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

import msgspec
import re2

#: Characters of a regular expression, and bytes that RE2 may use for it, at most.
LONGEST, MEMORY = 1024, 1 << 20

#: Constraints that one unit may have, at most.
MOST = 100

_HOSTNAME = ("hostname", "@hostname")
_FAULT_DOMAIN = {"@region": "region", "@zone": "zone"}
_THOUSANDTHS = Decimal("0.001")


class Operator(StrEnum):
    """What is asked of a field's value."""

    UNIQUE = "UNIQUE"
    CLUSTER = "CLUSTER"
    LIKE = "LIKE"
    UNLIKE = "UNLIKE"
    IS = "IS"
    MAX_PER = "MAX_PER"
    GROUP_BY = "GROUP_BY"


_WITH_VALUE = frozenset({Operator.LIKE, Operator.UNLIKE, Operator.IS, Operator.MAX_PER})
_PATTERN = frozenset({Operator.LIKE, Operator.UNLIKE})
#: The least number that an operator takes.
_LEAST = {Operator.MAX_PER: 0, Operator.GROUP_BY: 1}


class Constraint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One constraint; ``value`` is a number, a regular expression or a text, by ``operator``.

    Raises ValueError for a value that its operator cannot use.
    """

    field: str
    operator: Operator
    value: str = ""

    def __post_init__(self) -> None:
        if self.operator in _WITH_VALUE and not self.value:
            raise ValueError(f"{self.operator} needs a value")
        if self.operator is Operator.UNIQUE and self.value:
            raise ValueError("UNIQUE takes no value")
        if self.operator in _PATTERN:
            _compiled(self.value)
        if self.operator in _LEAST and self.value:
            _check_number(self.value, _LEAST[self.operator])

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {self.value}".rstrip()

    @property
    def number(self) -> int:
        """The value of MAX_PER or GROUP_BY; 0 where none was given."""
        return int(self.value or 0)

    def allows(self, found: str) -> bool:
        """Whether a machine with this value may be taken, as far as that hangs on it alone."""
        match self.operator:
            case Operator.LIKE:
                return fully_matches(self.value, found)
            case Operator.UNLIKE:
                return not fully_matches(self.value, found)
            case Operator.IS:
                return _same(self.value, found)
            case Operator.CLUSTER:
                return self.value in ("", found)
        return True


def read(text: str) -> Constraint:
    """One constraint as it is written. Raises ValueError saying what is wrong."""
    field, _, rest = text.strip().partition(" ")
    word, _, value = rest.strip().partition(" ")
    if not field or not word:
        raise ValueError(f"{text!r} is not FIELD OPERATOR [VALUE], such as: rack UNIQUE")
    try:
        operator = Operator(word)
    except ValueError:
        raise ValueError(f"{word!r} is none of {', '.join(Operator)}") from None
    return Constraint(field, operator, value.strip())


def read_all(rows: list[str]) -> tuple[Constraint, ...]:
    """The constraints of a unit, each once. Raises ValueError."""
    found = tuple(dict.fromkeys(read(row) for row in rows))
    if len(found) > MOST:
        raise ValueError(f"a unit may have {MOST} constraints at most")
    return found


def value_of(field: str, host: str, metadata: Mapping[str, str]) -> str | None:
    """What a machine has for a field; None where it has nothing."""
    if field in _HOSTNAME:
        return host
    return metadata.get(_FAULT_DOMAIN.get(field, field))


def fully_matches(pattern: str, text: str) -> bool:
    """Whether all of the text matches. Raises ValueError for what is no expression of RE2."""
    return _compiled(pattern).fullmatch(text) is not None


def _check_number(text: str, least: int) -> None:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or int(text) < least:
        raise ValueError(f"{text!r} is no whole number from {least} to 999999")


class _Expression(Protocol):
    def fullmatch(self, text: str) -> object | None: ...


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> _Expression:
    if len(pattern) > LONGEST:
        raise ValueError(f"a regular expression may have {LONGEST} characters at most")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    try:
        found: _Expression = re2.compile(pattern, options)
    except re2.error as error:
        told = error.args[0] if error.args else error
        why = told.decode(errors="replace") if isinstance(told, bytes) else told
        raise ValueError(f"{pattern!r} is no regular expression of RE2: {why}") from None
    return found


def _same(wanted: str, found: str) -> bool:
    """Texts that are equal, or numbers that are to three decimals."""
    if wanted == found:
        return True
    one, other = _thousandths(wanted), _thousandths(found)
    return one is not None and one == other


def _thousandths(text: str) -> Decimal | None:
    try:
        return Decimal(text).quantize(_THOUSANDTHS, ROUND_HALF_EVEN)
    except InvalidOperation:
        return None
