"""Which other units a unit activates, pulls up, and which shall pull it up; from its file; pure.

    .socket   Service=   else the service of the same name      (systemd.socket(5))
    .timer    Unit=      else the service of the same name      (systemd.timer(5))
    .path     Unit=      else the service of the same name      (systemd.path(5))
    .automount           the mount of the same name             (systemd.automount(5))

[Unit] Requires=, Wants=, BindsTo= and Upholds= name the units that this one pulls up with it, and
RequiresMountsFor= means the mounts of a path and of all above it (systemd.unit(5)).

[Install] WantedBy=, RequiredBy= and UpheldBy= name the units that bring this one up when they are
started here. Targets are left out: the engine starts units, no target of a host does.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

from fleetish.errors import BadName, BadUnit
from fleetish.units.file import UnitFile
from fleetish.units.name import UnitName, escape_path, parse_name
from fleetish.units.specifiers import Context, expand
from fleetish.units.words import split

#: Unit type to the section and the directive that names what it activates, and the usual type.
ACTIVATES: dict[str, tuple[str, str, str]] = {
    "socket": ("Socket", "Service", "service"),
    "timer": ("Timer", "Unit", "service"),
    "path": ("Path", "Unit", "service"),
    "automount": ("Automount", "", "mount"),
}


class Bonds(NamedTuple):
    """``triggers``: units that this one activates. ``wanted_by``, ``required_by``: units that pull
    it up when they start on the same machine. ``pulls``: units that this one pulls up."""

    triggers: tuple[str, ...] = ()
    wanted_by: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()
    pulls: tuple[str, ...] = ()


def bonds(file: UnitFile, name: str) -> Bonds:
    """The bonds of the unit ``name`` with this file.

    Specifiers that only a host knows stand for nothing here: a name with one is left out, as is
    what is no unit's name; translating the file says what is wrong with it.
    """
    parts = parse_name(name)
    return Bonds(
        triggers=_triggers(file, parts),
        wanted_by=_named(file, parts, "Install", "WantedBy", "UpheldBy"),
        required_by=_named(file, parts, "Install", "RequiredBy"),
        pulls=(
            *_named(file, parts, "Unit", "Requires", "Wants", "BindsTo", "Upholds"),
            *_mounts(file, parts),
        ),
    )


def _triggers(file: UnitFile, name: UnitName) -> tuple[str, ...]:
    if name.suffix not in ACTIVATES:
        return ()
    section, key, kind = ACTIVATES[name.suffix]
    entry = file.last(section, key) if key else None
    if entry is not None and entry.value:
        # systemd drops what a unit says of itself.
        return tuple(other for other in _names([entry.value], name) if other != name.full)
    return (f"{name.stem}.{kind}",)


def _named(file: UnitFile, name: UnitName, section: str, *keys: str) -> tuple[str, ...]:
    words = [word for key in keys for word in _words(file, section, key)]
    return tuple(one for one in _names(words, name) if not one.endswith(".target"))


def _mounts(file: UnitFile, name: UnitName) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for word in _words(file, "Unit", "RequiresMountsFor"):
        try:
            path = PurePosixPath(expand(word, name, Context()))
            above = [part for part in (path, *path.parents) if part.is_absolute() and part.name]
            found |= {f"{escape_path(str(part))}.mount": None for part in above}
        except (BadName, BadUnit):
            continue
    return tuple(found)


def _words(file: UnitFile, section: str, key: str) -> list[str]:
    words: list[str] = []
    for entry in file.values(section, key):
        try:
            words += split(entry.value)
        except ValueError:
            continue
    return words


def _names(words: list[str], name: UnitName) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for word in words:
        try:
            found[parse_name(expand(word, name, Context())).full] = None
        except (BadName, BadUnit):
            continue
    return tuple(found)
