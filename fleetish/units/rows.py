"""Rows of the property table and the makers of the usual kinds of row.

A row says how the assignments of one directive (or of several that share a property) become D-Bus
properties, in two steps: ``read`` takes one assignment, so that an error can name its line;
``build`` takes what was read from all of them, in file order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, NamedTuple

from fleetish.errors import BadUnit
from fleetish.units import specifiers, values
from fleetish.units.execline import simplify
from fleetish.units.name import UnitName
from fleetish.units.specifiers import Context
from fleetish.units.words import Escapes, bare_words, check_escapes, colon_words, split

_BACKSLASH = re.compile(r"\\(?!:)")


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
        expansion with spaces stays one word (as systemd does). An unknown C-style escape is a
        ValueError: systemd drops such a line."""
        if escapes is Escapes.C:
            check_escapes(self.text)
        words = split(self.text, escapes)
        return [self.scope.expand(word) for word in words] if "%" in self.text else words

    def tuples(self) -> list[list[str]]:
        """Words of parts joined by colons, the specifiers of each part replaced. A backslash may
        stand before a colon only: what else it does differs from directive to directive."""
        if _BACKSLASH.search(self.text):
            raise ValueError("a backslash in it does not stand before a colon")
        rows = colon_words(self.text)
        return [[self.scope.expand(part) for part in row] for row in rows]


class Empty(Enum):
    """What an empty assignment means to a directive."""

    RESETS = auto()  # everything assigned before it is dropped
    COUNTS = auto()  # it is read like any other value
    NOTHING = auto()  # it is skipped (dependencies cannot be taken back)
    REFUSED = auto()  # systemd warns of it and keeps what was assigned before


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


def flag(name: str, empty: Empty = Empty.REFUSED) -> Row:
    """A boolean under the same name."""
    return scalar(name, "b", values.boolean, empty=empty)


def only_no(name: str, problem: str) -> Row:
    """A boolean that may be said, but not be true."""

    def read(text: str) -> bool:
        if values.boolean(text):
            raise ValueError(problem)
        return False

    return scalar(name, "b", read, empty=Empty.REFUSED)


def only_default(name: str, kind: str) -> Row:
    """The unit that this one activates, which nothing on the bus can name: it can only be the one
    of this unit's own name and of that kind, as it is without the directive."""

    def read(given: Given) -> None:
        found = given.scope.expand(given.text)
        if found != f"{given.scope.name.stem}.{kind}":
            own = given.scope.name
            stem = found.rpartition(".")[0] or "NAME"
            raise BadUnit(
                f"a transient {own.suffix} activates {own.stem}.{kind}, whose name it has",
                hint=f"call it {stem}.{own.suffix} and leave out {name}=",
            )

    def build(found: list[None]) -> tuple[Property, ...]:
        if len(found) > 1 and name == "Unit":
            raise ValueError("it is given twice, and systemd would not take the second")
        return ()

    return Row((name,), (), read, build, empty=Empty.REFUSED)


def choice(names: Names, *words: str, prop: str = "", empty: Empty = Empty.REFUSED) -> Row:
    """One of several words."""
    return scalar(names, "s", lambda text: one_of(text, words), prop, empty=empty)


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

    return scalar(name, "s", read, empty=Empty.REFUSED)


def micros(
    names: Names,
    prop: str = "",
    read: Callable[[str], int] = values.span,
    empty: Empty = Empty.REFUSED,
) -> Row:
    """A time span: RestartSec= sets RestartUSec in microseconds."""
    directives = _names(names)
    prop = prop or directives[0].removesuffix("Sec") + "USec"
    return scalar(names, "t", read, prop, empty=empty)


def number(names: Names, signature: str, low: int, high: int, empty: Empty = Empty.REFUSED) -> Row:
    """A whole number within bounds."""
    return scalar(names, signature, lambda text: values.integer(text, low, high), empty=empty)


def count(name: str) -> Row:
    """A whole number that is not negative."""
    return number(name, "u", 0, 2**32 - 1)


def signed(name: str, signature: str = "i", bits: int = 31) -> Row:
    """A whole number of so many bits and a sign."""
    return number(name, signature, -(2**bits), 2**bits - 1)


def file_mode(name: str) -> Row:
    """Permissions in octal."""
    return scalar(name, "u", values.mode, empty=Empty.REFUSED)


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
    once: bool = False,
    **more: Any,
) -> Row:
    """A list of words with specifiers; repeated assignments add to it. ``once``: the bus takes no
    word twice, so what is said again is left out."""

    def read(given: Given) -> list[str]:
        return [check(word) for word in given.words(escapes)]

    row = items(names, "as", read, prop, **more)
    if not once:
        return row

    def build(found: list[list[str]]) -> Iterable[Property]:
        said = list(dict.fromkeys(word for part in found for word in part))
        names = [word.partition("=")[0] for word in said]
        again = next((name for name in names if names.count(name) > 1), "")
        if again:
            raise ValueError(f"{again} is in it in two ways, and the bus would take one")
        return row.build([said])

    return replace(row, build=build)


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
        found = [check(word) for word in bare_words(given.text.removeprefix("~"))]
        if not inverted:
            found = [word for word in map(check_allowed, found) if word]
        return [not inverted, found]

    def build(found: list[list[object]]) -> tuple[Property, ...]:
        return tuple(Property(name, "(bas)", value) for value in found)

    return Row((name,), ((name, "(bas)"),), read, build)


#: Bytes in a path and in one part of it, at most (PATH_MAX less the NUL, NAME_MAX).
MAX_PATH, MAX_PATH_PART = 4095, 255


def absolute(path: str) -> str:
    """The path without doubled slashes if it is absolute and has no ``..``, else ValueError."""
    if not path.startswith("/") or "/../" in f"{path}/":
        raise ValueError(f"{path!r} is no absolute path without ..")
    if len(path) * 4 > MAX_PATH_PART and _is_too_long(path):
        raise ValueError(f"{path!r} is longer than a path can be")
    return simplify(path)


def _is_too_long(path: str) -> bool:
    encoded = path.encode()
    return len(encoded) > MAX_PATH or any(len(part) > MAX_PATH_PART for part in encoded.split(b"/"))


def marked_absolute(path: str) -> str:
    """The same, for a path after ``-`` (may be missing) and ``+`` (below RootDirectory=)."""
    bare = path.removeprefix("-").removeprefix("+")
    return path[: len(path) - len(bare)] + absolute(bare)
