"""A unit file as the properties of a transient unit: the table, and the walk over it.

    PROPERTIES[section][directive] → Row      (sections.py; rows_*.py, one file a manual page)

    UnitFile ─group assignments by row─► read each ─► build each row ─► TransientUnit

A unit is started with these properties through StartTransientUnit, so systemd never reads the file
itself. What the file says and systemd could not take is therefore an error here, with file, line
and directive, before anything is placed. ``systemd-run`` and ``systemctl show`` are the oracles.

[Install] has no meaning for systemd here and is passed over, as are sections named X-….
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fleetish.errors import BadUnit
from fleetish.units.checks import check_together
from fleetish.units.file import CONTROL, Entry, UnitFile
from fleetish.units.name import ROOT_SLICE, parse_name, slice_for
from fleetish.units.rows import Empty, Given, Property, Row, Scope
from fleetish.units.sections import NOT_TRANSIENT, PROPERTIES, SECTIONS, TYPE_SECTIONS
from fleetish.units.specifiers import Context

__all__ = [
    "NOT_TRANSIENT",
    "PROPERTIES",
    "SECTIONS",
    "Property",
    "TransientUnit",
    "translate",
]

#: Read by the engine (fleetish.units.bonds), or of no use without files.
INSTALL = ("Alias", "Also", "DefaultInstance", "RequiredBy", "UpheldBy", "WantedBy")

#: Why units of the other types cannot be run.
_NO_TYPE = {
    "scope": "a scope holds processes that somebody else started, so it has no file",
    "target": "systemd takes no transient targets; name the units themselves in WantedBy=",
    "swap": "systemd takes no transient swap units",
    "device": "devices come from the kernel, not from files",
}


class TransientUnit(NamedTuple):
    """What StartTransientUnit takes: the unit's name and its properties, in order."""

    name: str
    properties: tuple[Property, ...]


def slice_of(unit: TransientUnit) -> str:
    """The slice that a unit runs in here: the one that its file names, else that of its template.

    Raises BadUnit for a slice outside of fleetish.slice, where its limits would count for nothing.
    """
    asked = next((str(one.value) for one in unit.properties if one.name == "Slice"), "")
    if not asked:
        return slice_for(unit.name)
    if not asked.startswith(f"{ROOT_SLICE}-"):
        raise BadUnit(
            f"cannot run {unit.name} in {asked}: units of a cluster stay in {ROOT_SLICE}.slice",
            directive="Slice",
            hint=f"name a slice {ROOT_SLICE}-….slice, or leave Slice= out",
        )
    return asked


Refuse = Callable[[BadUnit], None]


def translate(
    file: UnitFile, name: str, context: Context, *, refuse_unknown: bool = True
) -> TransientUnit:
    """The unit ``name`` with this file as a transient unit of the host that ``context`` describes.

    ``refuse_unknown=False`` passes over directives and sections that systemd does not know, as
    systemd itself does. Raises BadUnit on the first thing that cannot be taken.
    """

    def refuse(problem: BadUnit) -> None:
        raise problem

    return TransientUnit(name, read_properties(file, name, context, refuse, refuse_unknown))


def read_properties(
    file: UnitFile, name: str, context: Context, refuse: Refuse, refuse_unknown: bool = True
) -> tuple[Property, ...]:
    """The properties of a file; each problem goes to ``refuse``, and if that returns, the
    assignment is left out."""
    own = _own_section(file, name)
    scope = Scope(parse_name(name), context)
    groups: dict[Row, list[Entry]] = {}
    for entry in file.entries:
        row = _row(file, entry, own, refuse if refuse_unknown else _pass)
        if row is not None:
            # Last spoken, last sent: TimeoutSec= and TimeoutStopSec= set the same property.
            groups[row] = [*groups.pop(row, ()), entry]
    found: list[Property] = []
    wrong: list[BadUnit] = []
    for row, entries in groups.items():
        found += _convert(file, row, entries, scope, wrong.append)
    for problem in wrong:
        refuse(problem)
    if not wrong:  # else what is left would be blamed for what is left out
        check_together(file, own, scope.name, found, refuse)
    return tuple(found)


def _pass(_: BadUnit) -> None:
    """Take no notice."""


def _own_section(file: UnitFile, name: str) -> str:
    parts = parse_name(name)
    if parts.is_template:
        raise BadUnit(
            f"cannot run {name}: it is a template",
            where=file.source,
            hint=f"start an instance of it, such as {parts.prefix}@1.{parts.suffix}",
        )
    if parts.suffix not in TYPE_SECTIONS:
        raise BadUnit(f"cannot run {name}: {_NO_TYPE[parts.suffix]}", where=file.source)
    return TYPE_SECTIONS[parts.suffix]


def _row(file: UnitFile, entry: Entry, own: str, refuse: Refuse) -> Row | None:
    """The row for an assignment; None, after ``refuse`` had its say, when there is none."""
    section, key = entry.section, entry.key
    if section in ("Unit", own):
        row = PROPERTIES[section].get(key)
        if row is None and not key.startswith("X-"):
            refuse(_unknown(file, entry))
        return row
    if section == "Install" and key not in INSTALL and not key.startswith("X-"):
        refuse(_unknown(file, entry))
    if section != "Install" and not section.startswith("X-"):
        known = f"a {own.lower()} has [Unit], [{own}], [Install] and [X-…]"
        message = f"cannot use the section [{section}]"
        refuse(BadUnit(message, where=file.where(entry), directive=key, hint=known))
    return None


def _unknown(file: UnitFile, entry: Entry) -> BadUnit:
    section, key = entry.section, entry.key
    where = file.where(entry)
    instead = NOT_TRANSIENT.get(section, {}).get(key)
    if instead is not None:
        message = f"cannot use {key}=: systemd does not take it for a transient unit"
        return BadUnit(message, where=where, directive=key, hint=instead)
    other = next((other for other, rows in PROPERTIES.items() if key in rows), "")
    known = PROPERTIES.get(section, INSTALL)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    hint = f"it belongs in [{other}]" if other else f"did you mean {near[0]}=?" if near else ""
    message = f"cannot use {key}=: [{section}] has no such directive"
    return BadUnit(message, where=where, directive=key, hint=hint)


def _convert(
    file: UnitFile, row: Row, entries: list[Entry], scope: Scope, refuse: Refuse
) -> list[Property]:
    """Read the assignments of one row and build its properties."""
    found: list[object] = []
    for entry in entries:
        if not entry.value and row.empty is not Empty.COUNTS:
            if row.empty is Empty.RESETS:
                found.clear()
            elif row.empty is Empty.REFUSED:
                refuse(_bad_value(file, entry, "it is empty"))
            continue
        try:
            found.append(row.read(Given(entry.key, entry.value, scope)))
        except ValueError as error:
            refuse(_bad_value(file, entry, str(error)))
        except BadUnit as error:
            refuse(_bad_value(file, entry, error.message, error.hint))
    try:
        built = list(row.build(found)) if found else []
    except ValueError as error:
        refuse(_bad_value(file, entries[-1], str(error)))
        return []
    if row.controls:
        return built
    return [prop for prop in built if _is_clean(file, entries[-1], prop, refuse)]


def _bad_value(file: UnitFile, entry: Entry, problem: str, hint: str = "") -> BadUnit:
    if len(problem) > 300:  # it quotes a long word
        problem = f"{problem[:150]} … {problem[-100:]}"
    return BadUnit(
        f"cannot use {entry.key}={entry.shown}: {problem}",
        where=file.where(entry),
        directive=entry.key,
        hint=hint,
    )


def _is_clean(file: UnitFile, entry: Entry, prop: Property, refuse: Refuse) -> bool:
    """No control character came out of an escape or a specifier: systemd would write it into its
    own file as it is, and a newline would begin a directive there at the next daemon-reload."""
    hit = next(
        (text for text in _strings(prop.value) if CONTROL.search(text) or "\n" in text), None
    )
    if hit is None:
        return True
    refuse(_bad_value(file, entry, "its value would hold a control character"))
    return False


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
