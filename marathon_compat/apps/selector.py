"""Label selectors, as in ``GET /v2/apps?label=tier==web,stage in (test, live),!…``.

    selectors: selector {"," selector}                     (all must hold)
    selector:  key | key "==" value | key "!=" value | key "in" set | key "notin" set
    set:       "(" [value {"," value}] ")"

Keys and values are of ``A-Za-z0-9._-``; any other character stands after a backslash. Each form
asks for the key to be there, ``!=`` and ``notin`` too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from marathon_compat.apps.errors import bad_argument

_TOKEN = re.compile(r"\s*(?:(?P<term>(?:\\.|[A-Za-z0-9._-])+)|(?P<mark>==|!=|[(),]))", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

#: Characters in a selector, at most.
MAX_LENGTH = 4096


class Term(NamedTuple):
    """One condition: the key's value is, or with ``without`` is not, among ``values``.
    ``values`` None: the key is there."""

    key: str
    values: tuple[str, ...] | None = None
    without: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when these labels fulfil the condition."""
        value = labels.get(self.key)
        if value is None or self.values is None:
            return value is not None
        return (value in self.values) != self.without


class Selector(NamedTuple):
    """Conditions that must all hold."""

    terms: tuple[Term, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when these labels fulfil every condition."""
        return all(term.matches(labels) for term in self.terms)


def parse(text: str) -> Selector:
    """The selector that is written there. Raises BadBody 422."""
    return _Reader(text).selectors()


class _Reader:
    """The tokens of a selector, read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def selectors(self) -> Selector:
        if len(self._text) > MAX_LENGTH:
            self._refuse(f"it is longer than {MAX_LENGTH} characters")
        if not self._text.strip():
            return Selector(())
        terms = [self._selector()]
        while self._takes(","):
            terms.append(self._selector())
        if self._text[self._at :].strip():
            self._refuse("a comma or the end is expected")
        return Selector(tuple(terms))

    def _selector(self) -> Term:
        key = self._term("a key")
        for mark in ("==", "!="):
            if self._takes(mark):
                return Term(key, (self._term("a value"),), without=mark == "!=")
        for word in ("in", "notin"):
            if self._takes(word):
                return Term(key, self._set(), without=word == "notin")
        return Term(key)

    def _set(self) -> tuple[str, ...]:
        if not self._takes("("):
            self._refuse("( is expected")
        if self._takes(")"):
            return ()
        values = [self._term("a value")]
        while self._takes(","):
            values.append(self._term("a value"))
        if not self._takes(")"):
            self._refuse(") is expected")
        return tuple(values)

    def _term(self, what: str) -> str:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found["term"] is None:
            self._refuse(f"{what} is expected")
        self._at = found.end()
        return _ESCAPE.sub(r"\1", found["term"])

    def _takes(self, token: str) -> bool:
        found = _TOKEN.match(self._text, self._at)
        if found is None or token not in (found["term"], found["mark"]):
            return False
        self._at = found.end()
        return True

    def _refuse(self, reason: str) -> NoReturn:
        raise bad_argument(
            f"Can not parse label selector {self._text[:200]!r}."
            f" Reason: {reason} at character {self._at + 1}"
        )
