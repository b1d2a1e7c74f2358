"""Which other units a unit activates, and which shall bring it up; read from its file; pure.

    .socket   Service=   else the service of the same name      (systemd.socket(5))
    .timer    Unit=      else the service of the same name      (systemd.timer(5))
    .path     Unit=      else the service of the same name      (systemd.path(5))
    .automount           the mount of the same name             (systemd.automount(5))

[Install] WantedBy=, RequiredBy= and UpheldBy= name the units that bring this one up when they are
started here. Targets are left out: the engine starts units, no target of a host does.
"""

from __future__ import annotations

from typing import NamedTuple

from fleetish.errors import BadName, BadUnit
from fleetish.units.file import UnitFile
from fleetish.units.name import UnitName, parse_name
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
    it up when they start on the same machine."""

    triggers: tuple[str, ...] = ()
    wanted_by: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()


def bonds(file: UnitFile, name: str) -> Bonds:
    """The bonds of the unit ``name`` with this file.

    Specifiers that only a host knows stand for nothing here: a name with one is left out, as is
    what is no unit's name; translating the file says what is wrong with it.
    """
    parts = parse_name(name)
    return Bonds(
        triggers=_triggers(file, parts),
        wanted_by=_install(file, parts, "WantedBy", "UpheldBy"),
        required_by=_install(file, parts, "RequiredBy"),
    )


def _triggers(file: UnitFile, name: UnitName) -> tuple[str, ...]:
    if name.suffix not in ACTIVATES:
        return ()
    section, key, kind = ACTIVATES[name.suffix]
    entry = file.last(section, key) if key else None
    if entry is not None and entry.value:
        return _names([entry.value], name)
    return (f"{name.stem}.{kind}",)


def _install(file: UnitFile, name: UnitName, *keys: str) -> tuple[str, ...]:
    words: list[str] = []
    for key in keys:
        for entry in file.values("Install", key):
            try:
                words += split(entry.value)
            except ValueError:
                continue
    return tuple(one for one in _names(words, name) if not one.endswith(".target"))


def _names(words: list[str], name: UnitName) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for word in words:
        try:
            found[parse_name(expand(word, name, Context())).full] = None
        except (BadName, BadUnit):
            continue
    return tuple(found)
