"""The unit-file text of a composed unit, for a daemon-reload to read; pure.

See :mod:`fleetish.units.fragment` for why. What :mod:`fleetish.agent.compose` added as properties
is written here as lines, one row of the table for each property that it may add.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fleetish.units.file import UnitFile
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


def _words(value: object) -> Iterable[str]:
    assert isinstance(value, Sequence)
    return (quoted(word.decode() if isinstance(word, bytes) else word) for word in value)


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
}


def kept(file: UnitFile, name: str, added: Iterable[Property]) -> str:
    """The file with what was ``added`` to its own properties."""
    section = name.rpartition(".")[2].capitalize()
    rows = (
        (LINES[one.name].section or section, LINES[one.name].directive, value)
        for one in added
        for value in LINES[one.name].values(one.value)
    )
    return fragment(file, rows)
