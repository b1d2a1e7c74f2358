"""Rows of the property table and the makers of the usual kinds of row.

A row says how the assignments of one directive (or of several that share a property) become D-Bus
properties, in two steps: ``read`` takes one assignment, so that an error can name its line;
``build`` takes what was read from all of them, in file order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from fleetish.units import specifiers, values
from fleetish.units.execline import simplify
from fleetish.units.name import UnitName
from fleetish.units.specifiers import Context
from fleetish.units.words import Escapes, colon_words, split


class Property(NamedTuple):
    """One property of a transient unit, as a D-Bus variant takes it: lists for arrays and structs,
    bytes for ``ay``."""

    name: str
    signature: str
    value: object


class Scope(NamedTuple):
    """Whose file is being read, and on what host."""

    name: UnitName
    context: Context

    def expand(self, text: str) -> str:
        """The text with its specifiers replaced."""
        return specifiers.expand(text, self.name, self.context) if "%" in text else text


class Given(NamedTuple):
    """One assignment on its way through a row."""

    directive: str
    text: str
    scope: Scope

    def words(self, escapes: Escapes = Escapes.DROP) -> list[str]:
        """The words of the value, each with its specifiers replaced after the splitting, so that an
        expansion with spaces stays one word (as systemd does)."""
        words = split(self.text, escapes)
        return [self.scope.expand(word) for word in words] if "%" in self.text else words

    def tuples(self) -> list[list[str]]:
        """Words of parts joined by colons, the specifiers of each part replaced."""
        rows = colon_words(self.text)
        return [[self.scope.expand(part) for part in row] for row in rows]


class Empty(Enum):
    """What an empty assignment means to a directive."""

    RESETS = auto()  # everything assigned before it is dropped
    COUNTS = auto()  # it is read like any other value
    NOTHING = auto()  # it is skipped (dependencies cannot be taken back)


Read = Callable[[Given], Any]
Build = Callable[[list[Any]], Iterable[Property]]


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """How one directive, with its older spellings, becomes properties.

    ``properties`` names what it can set (name, signature), for the generated reference.
    ``controls`` says that systemd escapes newlines of this property in its own files, so they may
    pass.
    """

    directives: tuple[str, ...]
    properties: tuple[tuple[str, str], ...]
    read: Read
    build: Build
    empty: Empty = Empty.RESETS
    controls: bool = False


Names = str | tuple[str, ...]


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def scalar(
    names: Names, signature: str, read: Callable[[str], object], prop: str = "", **more: Any
) -> Row:
    """The last assignment wins; no specifiers."""
    directives = _names(names)
    return _last(directives, prop or directives[0], signature, lambda given: read(given.text), more)


def text(names: Names, prop: str = "", check: Callable[[str], str] = str, **more: Any) -> Row:
    """A string with specifiers; the last assignment wins. ``check`` may raise or change it."""
    directives = _names(names)

    def read(given: Given) -> str:
        return check(given.scope.expand(given.text))

    return _last(directives, prop or directives[0], "s", read, more)


def _last(
    directives: tuple[str, ...], prop: str, signature: str, read: Read, more: dict[str, Any]
) -> Row:
    def build(found: list[Any]) -> tuple[Property]:
        return (Property(prop, signature, found[-1]),)

    return Row(directives, ((prop, signature),), read, build, **more)


def flag(name: str) -> Row:
    """A boolean under the same name."""
    return scalar(name, "b", values.boolean)


def only_no(name: str, problem: str) -> Row:
    """A boolean that may be said, but not be true."""

    def read(text: str) -> bool:
        if values.boolean(text):
            raise ValueError(problem)
        return False

    return scalar(name, "b", read)


def choice(names: Names, *words: str, prop: str = "") -> Row:
    """One of several words."""
    return scalar(names, "s", lambda text: one_of(text, words), prop)


def one_of(text: str, words: Sequence[str]) -> str:
    """The text if it is one of the words, else ValueError."""
    if text not in words:
        raise ValueError(f"it is none of {', '.join(words)}")
    return text


def flag_or(name: str, *words: str) -> Row:
    """A boolean or one of several words, kept as a string."""

    def read(text: str) -> str:
        if text in words:
            return text
        try:
            return "yes" if values.boolean(text) else "no"
        except ValueError:
            raise ValueError(f"it is none of yes, no, {', '.join(words)}") from None

    return scalar(name, "s", read)


def micros(names: Names, prop: str = "", read: Callable[[str], int] = values.span) -> Row:
    """A time span: RestartSec= sets RestartUSec in microseconds."""
    directives = _names(names)
    return scalar(names, "t", read, prop or directives[0].removesuffix("Sec") + "USec")


def number(names: Names, signature: str, low: int, high: int, prop: str = "") -> Row:
    """A whole number within bounds."""
    return scalar(names, signature, lambda text: values.integer(text, low, high), prop)


def coded(names: Names, signature: str, read: Callable[[list[str]], object], prop: str = "") -> Row:
    """A list of words that become one value; repeated assignments add words."""
    directives = _names(names)
    name = prop or directives[0]

    def build(found: list[list[str]]) -> tuple[Property]:
        return (Property(name, signature, read([word for words in found for word in words])),)

    def read_one(given: Given) -> list[str]:
        words = split(given.text)
        read(words)
        return words

    return Row(directives, ((name, signature),), read_one, build)


def words(
    names: Names,
    prop: str = "",
    *,
    escapes: Escapes = Escapes.DROP,
    check: Callable[[str], str] = str,
    **more: Any,
) -> Row:
    """A list of words with specifiers; repeated assignments add to it."""

    def read(given: Given) -> list[str]:
        return [check(word) for word in given.words(escapes)]

    return items(names, "as", read, prop, **more)


def items(names: Names, signature: str, read: Read, prop: str = "", **more: Any) -> Row:
    """An array to which each assignment adds the items that ``read`` gives."""
    directives = _names(names)
    name = prop or directives[0]

    def build(found: list[list[object]]) -> tuple[Property, ...]:
        joined = [item for part in found for item in part]
        return (Property(name, signature, joined),) if joined else ()

    return Row(directives, ((name, signature),), read, build, **more)


def selection(
    name: str, check: Callable[[str], str] = str, check_allowed: Callable[[str], str] = str
) -> Row:
    """Words to allow, or after ``~`` to deny: one property for each assignment, which systemd
    merges in that order as it does with lines of a file. ``check_allowed`` looks at the words that
    are not denied; one for which it gives "" is left out."""

    def read(given: Given) -> list[object]:
        inverted = given.text.startswith("~")
        found = [check(word) for word in split(given.text.removeprefix("~"))]
        if not inverted:
            found = [word for word in map(check_allowed, found) if word]
        return [not inverted, found]

    def build(found: list[list[object]]) -> tuple[Property, ...]:
        return tuple(Property(name, "(bas)", value) for value in found)

    return Row((name,), ((name, "(bas)"),), read, build)


def absolute(path: str) -> str:
    """The path without doubled slashes if it is absolute and has no ``..``, else ValueError."""
    if not path.startswith("/") or "/../" in f"{path}/":
        raise ValueError(f"{path!r} is no absolute path without ..")
    return simplify(path)


def marked_absolute(path: str) -> str:
    """The same, for a path after ``-`` (may be missing) and ``+`` (below RootDirectory=)."""
    bare = path.removeprefix("-").removeprefix("+")
    return path[: len(path) - len(bare)] + absolute(bare)
