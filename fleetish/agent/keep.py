"""The unit-file text of a composed unit, for a daemon-reload to read; pure.

See :mod:`fleetish.units.fragment` for why. What :mod:`fleetish.agent.compose` added as properties
is written here as lines, one row of the table for each property that it may add.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fleetish.units.file import Option, UnitFile
from fleetish.units.fragment import fragment
from fleetish.units.properties import Property


class Line(NamedTuple):
    """How a property is written: its directive, and its values from the property's."""

    directive: str
    values: Callable[[object], Iterable[str]]
    section: str = ""


def quoted(text: str) -> str:
    """One word as systemd.syntax(7) reads it back, specifiers and escapes included."""
    for char in ("\\", '"'):
        text = text.replace(char, "\\" + char)
    return '"' + text.replace("%", "%%") + '"'


def _one(value: object) -> Iterable[str]:
    return (str(value),)


def _quoted(value: object) -> Iterable[str]:
    return (str(value).replace("%", "%%"),)


def _words(value: object) -> Iterable[str]:
    assert isinstance(value, Sequence)
    return (quoted(word.decode() if isinstance(word, bytes) else word) for word in value)


def _directories(value: object) -> Iterable[str]:
    """A colon would begin the name of a symlink (RuntimeDirectory= in systemd.exec(5))."""
    return (word.replace(":", "\\:") for word in _words(value))


def _commands(value: object) -> Iterable[str]:
    assert isinstance(value, Sequence)
    return (" ".join(quoted(word) for word in argv) for _, argv, _ in value)


def _names(value: object) -> Iterable[str]:
    assert isinstance(value, Sequence)
    return (str(name) for name in value)


def _microseconds(value: object) -> Iterable[str]:
    return (f"{value}us",)


LINES = {
    "Slice": Line("Slice", _one),
    "Environment": Line("Environment", _words),
    "CPUWeight": Line("CPUWeight", _one),
    "MemoryMax": Line("MemoryMax", _one),
    "LogExtraFields": Line("LogExtraFields", _words),
    "TimeoutStopUSec": Line("TimeoutStopSec", _microseconds),
    "BindsTo": Line("BindsTo", _names, "Unit"),
    "After": Line("After", _names, "Unit"),
    "Wants": Line("Wants", _names, "Unit"),
    "Requires": Line("Requires", _names, "Unit"),
    "StateDirectory": Line("StateDirectory", _directories),
    "WorkingDirectory": Line("WorkingDirectory", _quoted),
    "ExecStartPre": Line("ExecStartPre", _commands),
}


def kept(
    file: UnitFile, name: str, added: Iterable[Property], first: Iterable[Property] = ()
) -> str:
    """The file with what was ``added`` to its own properties, and what was put ``first``."""
    section = name.rpartition(".")[2].capitalize()
    return fragment(file, _rows(section, added), _rows(section, first))


def _rows(section: str, properties: Iterable[Property]) -> list[Option]:
    return [
        (LINES[one.name].section or section, LINES[one.name].directive, value)
        for one in properties
        for value in LINES[one.name].values(one.value)
    ]
