"""Unit files: text to entries and back without loss (systemd.syntax(7)).

    text ──parse──► UnitFile ──values──► entries of one directive, resets applied
      ▲                │
      └────render──────┘     options / from_options: fleet's list of (section, name, value)

How a file is read, in systemd's own order:

1. Lines end with a newline (a carriage return before it is dropped). A byte-order mark is skipped.
2. A line whose first character is ``#`` or ``;`` is a comment, also between continued lines.
3. A line that ends in an unescaped backslash goes on in the next line that is no comment; the
   backslash becomes a space.
4. ``[Name]`` opens a section; the same section may be opened again. ``Key=Value`` belongs to it.

systemd warns about other lines and goes on. Here they are errors that name file and line: what is
submitted to a cluster should mean all that it says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from fleetish.errors import BadUnit

#: Bytes in a unit file, at most; what is stored stays far below etcd's limit of 1.5 MiB.
MAX_TEXT = 512 * 1024

#: Everything that could end a line or a string early on the way through systemd's own files: the
#: C0 and C1 controls but for tab and newline, and text that is no Unicode (lone surrogates).
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

_SPACE = " \t\n\r"
_TRAILING = re.compile(r"\\+\Z")

Option = tuple[str, str, str]


class Entry(NamedTuple):
    """One assignment: ``value`` as systemd reads it, ``raw`` as fleet keeps it, line ends and all.

    ``line`` is the number, from 1, of the line on which the assignment begins.
    """

    section: str
    key: str
    value: str
    line: int
    raw: str

    @property
    def shown(self) -> str:
        """The value as an error message quotes it: the end of a long one left out."""
        return self.value if len(self.value) <= 100 else self.value[:97] + "..."


class Logical(NamedTuple):
    """A line after joining continued ones: its text for systemd, its own lines, and its number."""

    text: str
    parts: tuple[str, ...]
    line: int


class UnitFile:
    """A parsed unit file. Immutable; two files are equal when their text and source are."""

    __slots__ = ("__dict__", "entries", "sections", "source", "text")

    def __init__(
        self, text: str, source: str, entries: tuple[Entry, ...], sections: tuple[str, ...]
    ) -> None:
        self.text = text
        self.source = source
        self.entries = entries
        self.sections = sections

    def __repr__(self) -> str:
        return f"UnitFile({self.source!r}, {len(self.entries)} entries)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UnitFile):
            return NotImplemented
        return (self.text, self.source) == (other.text, other.source)

    def __hash__(self) -> int:
        return hash((self.text, self.source))

    def render(self) -> str:
        """The text, to the character as it was parsed."""
        return self.text

    def where(self, entry: Entry) -> str:
        """``file:line`` of an entry, for error messages."""
        return f"{self.source}:{entry.line}"

    @cached_property
    def _by_key(self) -> dict[tuple[str, str], list[Entry]]:
        rows: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            rows.setdefault((entry.section, entry.key), []).append(entry)
        return rows

    def assignments(self, section: str, key: str) -> tuple[Entry, ...]:
        """Every assignment of a directive in order, empty ones included."""
        return tuple(self._by_key.get((section, key), ()))

    def values(self, section: str, key: str) -> tuple[Entry, ...]:
        """The assignments that count: those after the last empty one, which resets the list."""
        rows = self._by_key.get((section, key), [])
        start = next((at for at in range(len(rows), 0, -1) if not rows[at - 1].value), 0)
        return tuple(rows[start:])

    def last(self, section: str, key: str) -> Entry | None:
        """The last assignment that counts, for directives of which the last wins."""
        rows = self.values(section, key)
        return rows[-1] if rows else None

    def options(self) -> list[Option]:
        """(section, name, value) in order, values as fleet keeps them: comments gone, continued
        lines still joined by backslash and newline."""
        return [(entry.section, entry.key, entry.raw) for entry in self.entries]

    def normal_form(self) -> str:
        """fleet's normal form of the file, over which it computes its hash."""
        return serialize(self.options())


def serialize(options: Iterable[Option]) -> str:
    """fleet's text of a list of options: sections merged in the order of their first appearance,
    ``Name=Value`` lines, one blank line between sections."""
    sections: dict[str, list[str]] = {}
    for section, name, value in options:
        sections.setdefault(section, []).append(f"{name}={value}\n")
    return "\n".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())


def content_hash(file: UnitFile) -> str:
    """SHA-1 of fleet's normal form in hexadecimal: the ``hash`` that fleetctl shows."""
    return hashlib.sha1(file.normal_form().encode(), usedforsecurity=False).hexdigest()


def from_options(options: Iterable[Option], source: str = "unit") -> UnitFile:
    """The unit file that a list of (section, name, value) stands for, in fleet's normal form.

    Raises BadUnit when the options, written out, would not read back as the same options: a value
    with a newline of its own, a name with ``=``, a section with ``]`` and the like.
    """
    wanted = [(section, name, value.strip(" \t")) for section, name, value in options]
    file = parse(serialize(wanted), source)
    if file.options() != _by_section(wanted):
        name = next(
            (b[1] for a, b in zip(file.options(), _by_section(wanted), strict=False) if a != b), ""
        )
        raise BadUnit(
            f"cannot write option {name!r} as a line of a unit file", where=source, directive=name
        )
    return file


def _by_section(options: list[Option]) -> list[Option]:
    order = {section: at for at, section in enumerate(dict.fromkeys(row[0] for row in options))}
    return sorted(options, key=lambda row: order[row[0]])


def decode(raw: bytes, source: str) -> str:
    """The text of a file's bytes, line ends as they are. Raises BadUnit, naming the line, when they
    are no UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadUnit(
            f"cannot read the byte 0x{raw[error.start]:02x} at offset {error.start}: not UTF-8",
            where=f"{source}:{line}",
        ) from None


def parse(text: str, source: str = "unit") -> UnitFile:
    """Read a unit file; ``source`` names it in errors.

    Raises BadUnit, with ``file:line``, on the first line that cannot be taken.
    """

    def refuse(problem: BadUnit) -> None:
        raise problem

    return read(text, source, refuse)


def problems(text: str, source: str = "unit") -> tuple[BadUnit, ...]:
    """Everything that ``parse`` would refuse about a text, in the order of its lines."""
    found: list[BadUnit] = []
    read(text, source, found.append)
    return tuple(found)


def read(text: str, source: str, refuse: Callable[[BadUnit], None]) -> UnitFile:
    """Read a unit file and hand each problem to ``refuse``; if that returns, go on without the
    line."""
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_TEXT:
        message = f"cannot take a unit file of {size} bytes: the limit is {MAX_TEXT}"
        refuse(BadUnit(message, where=source))
        return UnitFile(text, source, (), ())
    entries: list[Entry] = []
    sections: list[str] = []
    for logical in _logical_lines(text):
        try:
            _read_line(logical, source, entries, sections)
        except BadUnit as problem:
            refuse(problem)
    return UnitFile(text, source, tuple(entries), tuple(sections))


def _logical_lines(text: str) -> Iterator[Logical]:
    """Join continued lines, skip comments (rules 1 to 3 above)."""
    parts: list[str] = []
    joined = ""
    first = 0
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r")
        if line.lstrip(_SPACE)[:1] in ("#", ";"):
            continue
        first = first if parts else number
        parts.append(line)
        slashes = _TRAILING.search(line)
        if slashes and len(slashes[0]) % 2:
            joined += line[:-1] + " "
            continue
        yield Logical(joined + line, tuple(parts), first)
        parts, joined = [], ""
    if parts:
        yield Logical(joined, tuple(parts), first)


def _read_line(logical: Logical, source: str, entries: list[Entry], sections: list[str]) -> None:
    """Take one logical line into the entries or sections (rule 4). Raises BadUnit."""
    text = logical.text.strip(_SPACE)
    if not text:
        return
    where = f"{source}:{logical.line}"
    if text[0] == "[":
        sections.append(_section(text, where))
        return
    key, equals, value = text.partition("=")
    key = key.rstrip(_SPACE)
    _check_assignment(text, key if equals else "", where, bool(sections))
    raw = "\n".join(logical.parts).partition("=")[2].strip(_SPACE)
    if _TRAILING.search(raw) and len(_TRAILING.findall(raw)[0]) % 2:
        raw += "\n"  # goes on into an empty line or the end: written out, it must not join the next
    entries.append(Entry(sections[-1], key, value.lstrip(_SPACE), logical.line, raw))


def _section(text: str, where: str) -> str:
    if not text.endswith("]"):
        raise BadUnit(f"cannot read the section header {text[:80]!r}: no ] at its end", where=where)
    name = text[1:-1]
    if not name or CONTROL.search(name) or set(name) & set("[]\t\"'\\\n"):
        raise BadUnit(f"cannot use {name[:80]!r} as a section name", where=where)
    return name


def _check_assignment(text: str, key: str, where: str, in_section: bool) -> None:
    control = CONTROL.search(text)
    if control:
        found = f"control character {control[0]!r}"
        raise BadUnit(
            f"cannot take {key or 'a line'}: it holds the {found}", where=where, directive=key
        )
    if not in_section:
        raise BadUnit("cannot take a line before the first [Section]", where=where, directive=key)
    if not key:
        raise BadUnit(f"cannot read {text[:80]!r}: it is not Name=Value", where=where)
