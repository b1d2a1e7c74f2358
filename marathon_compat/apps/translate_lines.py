"""Lines of a unit file, and how a value comes through them unharmed (systemd.syntax(7)).

Three things lie in wait for a value: specifiers (``%``), variables in commands (``$``) and the
splitting into words. ``plain`` and ``literal`` guard against the first two, and leave alone what is
meant as such (``%n``, ``${PORT0}``); ``quoted`` guards against the last, newlines included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from fleetish.errors import BadUnit

#: The unit's own directory: its working directory (``Sandbox=yes``), and what it keeps.
SANDBOX = "%S/fleetish/sandbox/%n"
VOLUMES = "fleetish/volumes/%n"

SECTIONS = ("Unit", "Service", "X-Fleet")

#: What no value may hold; newline, tab and carriage return are written as escapes.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_ESCAPED = re.compile(r'[\\"\n\t\r]')
_BARE = re.compile(r"[A-Za-z0-9%+=:,./_{}$@^~-]+")


class Line(NamedTuple):
    """One assignment of a unit file, its value as it is written."""

    section: str
    key: str
    value: str


def unit(key: str, value: str) -> Line:
    """A line of [Unit]."""
    return Line("Unit", key, value)


def service(key: str, value: str) -> Line:
    """A line of [Service]."""
    return Line("Service", key, value)


def fleet(key: str, value: str) -> Line:
    """A line of [X-Fleet]."""
    return Line("X-Fleet", key, value)


def text(lines: Iterable[Line]) -> str:
    """The unit file that has these lines, by section. Raises BadUnit for a value of two lines."""
    rows: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for line in lines:
        if "\n" in line.value or "\r" in line.value:
            raise BadUnit(f"cannot write {line.key}=: its value holds a line break")
        rows[line.section].append(f"{line.key}={line.value}\n")
    return "\n".join(f"[{section}]\n{''.join(found)}" for section, found in rows.items() if found)


def plain(value: str) -> str:
    """A value in which ``%`` stands for itself. Raises BadUnit for a control character."""
    found = _CONTROL.search(value)
    if found:
        shown = value if len(value) <= 60 else f"{value[:57]}..."
        raise BadUnit(f"cannot use {shown!r}: it holds the control character {found[0]!r}")
    return value.replace("%", "%%")


def literal(argument: str) -> str:
    """An argument of a command in which ``%`` and ``$`` stand for themselves. Raises BadUnit."""
    return plain(argument).replace("$", "$$")


def quoted(word: str) -> str:
    """One word, whatever it holds, of a directive that knows C escapes; in quotes where needed."""
    if _BARE.fullmatch(word):
        return word
    return '"' + _ESCAPED.sub(lambda found: _ESCAPES[found[0]], word) + '"'


def command(words: Iterable[str]) -> str:
    """An Exec line of these words."""
    return " ".join(map(quoted, words))


def path_pair(source: str, target: str) -> str:
    """``source:target`` of BindPaths=, which knows quotes and backslashes but no C escapes."""
    return f"{path_word(source)}:{path_word(target)}"


def path_word(path: str) -> str:
    """A path as one word of a directive that knows no C escapes. Raises BadUnit."""
    if re.search(r"[\n\t\r]", path):
        raise BadUnit(f"cannot use {path!r} as a path: it holds a control character")
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
