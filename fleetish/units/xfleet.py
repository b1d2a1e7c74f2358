"""The [X-Fleet] section: what a unit asks of its machine, with fleet's exact semantics.

fleet's own options (MachineID … Replaces) mean what fleet v1.0 made of them:

- A value that begins and ends with ``"`` is a list of quoted words; any other value is one value.
- Only %n %N %p %i are specifiers, replaced one after the other; there is no %% and no unescaping.
- An alias (the names of fleet 0.x) adds to the values of its option, before them; of MachineID the
  first value of the first spelling that is present wins.
- What excludes each other is refused with fleet's words.

One thing differs on purpose: a MachineMetadata value that is not ``key=value`` is refused, where
fleet ignored it in silence. The other options are fleetish's own; there an empty assignment resets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from fleetish.errors import BadOption, BadUnit
from fleetish.resources import NOTHING, Resources
from fleetish.units import values
from fleetish.units.bonds import bonds
from fleetish.units.file import Entry, UnitFile
from fleetish.units.globs import matches
from fleetish.units.name import UnitName, parse_name
from fleetish.units.xfleet_options import OPTIONS, Class, Option

__all__ = ["OPTIONS", "Class", "Option", "Requirements", "matches", "requirements"]

SECTION = "X-Fleet"


class Requirements(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a unit asks of a machine, read once from its file.

    ``metadata`` holds (key, allowed values) pairs; ``ports`` holds numbers, 0 for "any one port";
    ``backoff_s`` and ``backoff_max_s`` are seconds. ``triggers``, ``wanted_by`` and ``required_by``
    are its bonds to other units (:mod:`fleetish.units.bonds`).
    """

    machine_id: str = ""
    machine_of: tuple[str, ...] = ()
    metadata: tuple[tuple[str, tuple[str, ...]], ...] = ()
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    global_: bool = msgspec.field(default=False, name="global")
    resources: Resources = NOTHING
    ports: tuple[int, ...] = ()
    klass: Class = msgspec.field(default=Class.SHARED, name="class")
    priority: int = 0
    reschedule: bool = False
    reschedule_after: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    triggers: tuple[str, ...] = ()
    wanted_by: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()


_SPELLINGS = {spelling: option for option in OPTIONS for spelling in (option.key, *option.aliases)}


Refuse = Callable[[BadUnit], None]


def requirements(file: UnitFile, name: str, strict: bool = True) -> Requirements:
    """What the unit ``name`` with this file asks of a machine.

    ``strict`` refuses unknown keys in [X-Fleet], which fleet let pass. Raises BadOption (or BadUnit
    for the [Service] directives from which a reservation is derived) naming file and line.
    """

    def refuse(problem: BadUnit) -> None:
        raise problem

    return read_requirements(file, name, refuse, strict)


def read_requirements(
    file: UnitFile, name: str, refuse: Refuse, strict: bool = True
) -> Requirements:
    """The same; each problem goes to ``refuse``, and if that returns, the option is left out."""
    parts = parse_name(name)
    if strict:
        for entry in file.entries:
            if entry.section == SECTION and entry.key not in _SPELLINGS:
                refuse(unknown_option(file, entry))
    found: dict[str, Any] = {}
    for option in OPTIONS:
        rows = _assignments(file, option)
        try:
            if rows:
                found[option.field] = _read(file, option, rows, parts)
        except BadOption as problem:
            refuse(problem)
    reserved = _reservation(file, found, refuse)
    if reserved != NOTHING:
        found["resources"] = reserved
    result = Requirements(**found, **bonds(file, name)._asdict())
    _check_together(result, file, refuse)
    return result


def unknown_option(file: UnitFile, entry: Entry) -> BadOption:
    """The error for a key that [X-Fleet] does not have."""
    return BadOption(
        f"cannot use {entry.key}: [X-Fleet] has no such option",
        where=file.where(entry),
        directive=entry.key,
        hint="it has " + ", ".join(option.key for option in OPTIONS),
    )


def _assignments(file: UnitFile, option: Option) -> tuple[Entry, ...]:
    """All assignments of an option; those under an alias come first, but for MachineID last."""
    if option.resets:
        return file.values(SECTION, option.key)
    if option.field == "machine_id":
        spellings = (file.assignments(SECTION, key) for key in (option.key, *option.aliases))
        return next((rows for rows in spellings if rows), ())
    keys = (*option.aliases, option.key)
    return tuple(entry for key in keys for entry in file.assignments(SECTION, key))


def _read(file: UnitFile, option: Option, rows: tuple[Entry, ...], name: UnitName) -> object:
    words = [expand(word, name) for entry in rows for word in split_quoted(entry.value)]
    try:
        return option.merge(words)
    except (ValueError, BadOption) as error:
        entry = _culprit(option, rows, name)
        raise _bad_value(file, entry, str(error), BadOption) from None


def _culprit(option: Option, rows: tuple[Entry, ...], name: UnitName) -> Entry:
    """The first assignment that is wrong by itself, else the last, which made it wrong."""
    for entry in rows:
        try:
            option.merge([expand(word, name) for word in split_quoted(entry.value)])
        except (ValueError, BadOption):
            return entry
    return rows[-1]


def split_quoted(value: str) -> list[str]:
    """fleet's rule for several values on a line: only when it begins and ends with ``"``."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return [value]
    return value.split('"')[1::2]


def expand(value: str, name: UnitName) -> str:
    """fleet's specifiers, replaced one after the other in fleet's order."""
    if "%" not in value:
        return value
    for mark, text in (
        ("%n", name.full),
        ("%N", name.stem),
        ("%p", name.prefix),
        ("%i", name.instance or ""),
    ):
        value = value.replace(mark, text)
    return value


def _reservation(file: UnitFile, found: dict[str, Any], refuse: Refuse) -> Resources:
    """What is reserved: as said in [X-Fleet], else what the [Service] limits allow."""
    given = {key: found.pop(key, None) for key in ("millicpus", "memory", "disk")}
    if given["millicpus"] is None:
        given["millicpus"] = _derived(file, ("CPUQuota",), _quota, refuse)
    if given["memory"] is None:
        given["memory"] = _derived(
            file, ("MemoryMax", "MemoryHigh", "MemoryLimit"), _absolute, refuse
        )
    return Resources(**{key: amount for key, amount in given.items() if amount})


def _derived(
    file: UnitFile, keys: tuple[str, ...], read: Callable[[str], int], refuse: Refuse
) -> int:
    """The first of the limits that is an amount; 0 when none is."""
    for key in keys:
        entry = file.last("Service", key)
        if entry is None:
            continue
        try:
            amount = read(entry.value)
        except ValueError as error:
            refuse(_bad_value(file, entry, str(error), BadUnit))
            continue
        if amount:
            return amount
    return 0


def _bad_value(file: UnitFile, entry: Entry, problem: str, kind: type[BadUnit]) -> BadUnit:
    message = f"cannot use {entry.key}={entry.value}: {problem}"
    return kind(message, where=file.where(entry), directive=entry.key)


def _quota(text: str) -> int:
    return values.permyriad(text, bounded=False) // 10


def _absolute(text: str) -> int:
    """The bytes of a memory limit; 0 for infinity and for a share of a machine not yet chosen."""
    return 0 if text == "infinity" or values.is_relative(text) else values.size(text)


#: Options that exclude each other and how fleet says so (its api/units.go).
_EXCLUSIVE = (
    ("MachineID", "MachineOf", "MachineID cannot be used with Peers"),
    ("MachineID", "Conflicts", "MachineID cannot be used with Conflicts"),
    ("MachineID", "Global", "MachineID cannot be used with Global"),
    ("MachineID", "Replaces", "MachineID cannot be used with Replaces"),
    ("Global", "MachineOf", "Global cannot be used with Peers"),
    ("Global", "Replaces", "Global cannot be used with Replaces"),
    ("Conflicts", "Replaces", "Conflicts cannot be used with Replaces"),
)


def _check_together(want: Requirements, file: UnitFile, refuse: Refuse) -> None:
    """Refuse options that exclude each other."""
    kinds = (("conflict", "Conflicts", want.conflicts), ("replace", "Replaces", want.replaces))
    for peer in want.machine_of:
        for kind, key, patterns in kinds:
            hit = next((pattern for pattern in patterns if matches(pattern, peer)), None)
            if hit is not None:
                text = f'unresolvable requirements: peer "{peer}" matches {kind} "{hit}"'
                refuse(_clash(file, text, "MachineOf", key))
    given = {row.key for row in OPTIONS if not row.resets and getattr(want, row.field)}
    for one, other, text in _EXCLUSIVE:
        if {one, other} <= given:
            refuse(_clash(file, text, one, other))
    if want.backoff_max_s < want.backoff_s:
        text = "BackoffMax cannot be less than Backoff"
        refuse(_clash(file, text, "Backoff", "BackoffMax"))


def _clash(file: UnitFile, text: str, *keys: str) -> BadOption:
    """The error at the last line that has one of the options."""
    spelled = [spelling for spelling, option in _SPELLINGS.items() if option.key in keys]
    last = [row for row in file.entries if row.section == SECTION and row.key in spelled][-1]
    return BadOption(text, where=file.where(last), directive=last.key)
