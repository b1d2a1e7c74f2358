"""What a unit needs of the host's systemd, and whether that has it; pure.

Which properties a systemd can set it does not say, but those that it can be asked for it lists
(org.freedesktop.DBus.Introspectable). A few can be set under names by which nobody can ask.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from fleetish.errors import BadUnit
from fleetish.units.file import UnitFile
from fleetish.units.properties import TransientUnit
from fleetish.units.sections import PROPERTIES, TYPE_SECTIONS

#: Endings of names that only set what is read under the name without it: MemoryMaxScale.
_SET_ONLY = ("Scale", "FileToAppend", "FileToTruncate", "File")

#: Names for setting that belong to no property, in every systemd that runs transient units.
_UNLISTED = frozenset({"PermissionsStartOnly", "SELinuxContextFromNet", "SmackLabelIPin"})


class Unknown(NamedTuple):
    """What a unit needs and a systemd does not have: its directive (the property where no directive
    of the file set it), and ``file:line`` or ""."""

    directive: str
    where: str


def unknown(file: UnitFile, unit: TransientUnit, known: Collection[str]) -> Unknown | None:
    """The first property of a unit that a systemd with the properties ``known`` has not."""
    lacking = (one.name for one in unit.properties if not _knows(known, one.name))
    name = next(lacking, None)
    return _origin(file, unit.name, name) if name is not None else None


def refusal(unit: str, lacking: Unknown, version: str) -> BadUnit:
    """Why a unit cannot be started on a machine whose systemd lacks something."""
    return BadUnit(
        f"cannot start {unit}: systemd {version} here has no {lacking.directive}=",
        where=lacking.where,
        directive=lacking.directive,
        hint="leave it out, or run the unit on machines with a newer systemd",
    )


def _knows(known: Collection[str], name: str) -> bool:
    if name in known or name in _UNLISTED:
        return True
    return any(name.endswith(ending) and name.removesuffix(ending) in known for ending in _SET_ONLY)


def _origin(file: UnitFile, unit: str, name: str) -> Unknown:
    own = TYPE_SECTIONS[unit.rpartition(".")[2]]
    entries = [entry for entry in file.entries if entry.section in ("Unit", own)]
    for entry in reversed(entries):
        row = PROPERTIES[entry.section].get(entry.key)
        if row is not None and name in {prop for prop, _ in row.properties}:
            return Unknown(entry.key, file.where(entry))
    return Unknown(name, "")
