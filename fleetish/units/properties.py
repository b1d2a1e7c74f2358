"""A unit file as the properties of a transient unit: the table, and the walk over it.

    PROPERTIES[section][directive] → Row      (rows_*.py, one file a manual page)

    UnitFile ─group assignments by row─► read each ─► build each row ─► TransientUnit

A unit is started with these properties through StartTransientUnit, so systemd never reads the file
itself. What the file says and systemd could not take is therefore an error here, with file, line
and directive, before anything is placed. ``systemd-run`` and ``systemctl show`` are the oracles.

[Install] has no meaning for a transient unit and is passed over, as are sections named X-….
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fleetish.errors import BadUnit
from fleetish.units.checks import check_together
from fleetish.units.file import CONTROL, Entry, UnitFile
from fleetish.units.name import parse_name
from fleetish.units.rows import Empty, Given, Property, Row, Scope
from fleetish.units.rows_exec import EXEC
from fleetish.units.rows_resource import RESOURCE
from fleetish.units.rows_sandbox import SANDBOX
from fleetish.units.rows_service import SERVICE, SERVICE_NOT_TRANSIENT
from fleetish.units.rows_unit import UNIT, UNIT_NOT_TRANSIENT
from fleetish.units.specifiers import Context

__all__ = ["PROPERTIES", "Property", "TransientUnit", "translate"]

#: Sections by the rows they take. A type's section lists its own rows and the groups it shares.
SECTIONS: dict[str, tuple[Row, ...]] = {
    "Unit": UNIT,
    "Service": (*SERVICE, *EXEC, *SANDBOX, *RESOURCE),
    "Slice": RESOURCE,
}

#: Directives that systemd reads from files only: what to do instead, or why it cannot matter.
NOT_TRANSIENT: dict[str, dict[str, str]] = {
    "Unit": UNIT_NOT_TRANSIENT,
    "Service": SERVICE_NOT_TRANSIENT,
}

#: The section of each unit type that can be started here.
TYPE_SECTIONS = {"service": "Service", "slice": "Slice"}

_IGNORED = frozenset({"Install"})


def _by_directive(rows: Iterable[Row]) -> dict[str, Row]:
    return {directive: row for row in rows for directive in row.directives}


PROPERTIES: dict[str, dict[str, Row]] = {
    section: _by_directive(rows) for section, rows in SECTIONS.items()
}


class TransientUnit(NamedTuple):
    """What StartTransientUnit takes: the unit's name and its properties, in order."""

    name: str
    properties: tuple[Property, ...]


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
    for row, entries in groups.items():
        found += _convert(file, row, entries, scope, refuse)
    check_together(file, own, found, refuse)
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
        raise BadUnit(
            f"cannot run {name}: units of type {parts.suffix} cannot be translated yet",
            where=file.source,
        )
    return TYPE_SECTIONS[parts.suffix]


def _row(file: UnitFile, entry: Entry, own: str, refuse: Refuse) -> Row | None:
    """The row for an assignment; None, after ``refuse`` had its say, when there is none."""
    section, key = entry.section, entry.key
    if section in ("Unit", own):
        row = PROPERTIES[section].get(key)
        if row is None and not key.startswith("X-"):
            refuse(_unknown(file, entry))
        return row
    if section not in _IGNORED and not section.startswith("X-"):
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
    near = difflib.get_close_matches(key, PROPERTIES[section], n=1, cutoff=0.75)
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
            continue
        try:
            found.append(row.read(Given(entry.key, entry.value, scope)))
        except ValueError as error:
            refuse(_bad_value(file, entry, str(error)))
        except BadUnit as error:
            refuse(_bad_value(file, entry, error.message, error.hint))
    built = list(row.build(found)) if found else []
    if row.controls:
        return built
    return [prop for prop in built if _is_clean(file, entries[-1], prop, refuse)]


def _bad_value(file: UnitFile, entry: Entry, problem: str, hint: str = "") -> BadUnit:
    shown = entry.value if len(entry.value) <= 100 else entry.value[:97] + "..."
    return BadUnit(
        f"cannot use {entry.key}={shown}: {problem}",
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
