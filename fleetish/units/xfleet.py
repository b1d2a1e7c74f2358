"""The [X-Fleet] section: what a unit asks of its machine, with fleet's exact semantics.

fleet's own options (MachineID … Replaces) mean what fleet v1.0 made of them:

- A value that begins and ends with ``"`` is a list of quoted words; any other value is one value.
- Only %n %N %p %i are specifiers, replaced one after the other; there is no %% and no unescaping.
- An alias (the names of fleet 0.x) adds to the values of its option, before them; of MachineID the
  first value of the first spelling that is present wins.
- What excludes each other is refused with fleet's words.

Two things differ on purpose: a MachineMetadata value that is not ``key=value`` is refused, where
fleet ignored it in silence, and MachineOf takes patterns beside names. The other options are
fleetish's own; there an empty assignment resets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from fleetish.errors import BadOption, BadUnit
from fleetish.resources import NOTHING, Resources
from fleetish.units import values, variables
from fleetish.units.bonds import bonds
from fleetish.units.constraint import Constraint, Operator
from fleetish.units.fetch import Fetch
from fleetish.units.file import Entry, UnitFile
from fleetish.units.globs import covers, matches
from fleetish.units.health import HealthCheck, OnUnhealthy, Readiness, problems
from fleetish.units.name import UnitName, parse_name
from fleetish.units.xfleet_options import OPTIONS, Class, Option

__all__ = ["OPTIONS", "Class", "Option", "Requirements", "matches", "requirements"]

SECTION = "X-Fleet"


class Requirements(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a unit asks of a machine, read once from its file.

    ``metadata`` holds (key, allowed values) pairs; ``ports`` holds numbers, 0 for "any one port";
    ``backoff_s`` and ``backoff_max_s`` are seconds. ``environment`` is what
    :mod:`fleetish.units.variables` fills in. ``health`` and ``readiness`` are its checks
    (:mod:`fleetish.units.health`). ``sandbox``: it has a directory of its own, with the files of
    ``fetch``. ``triggers``, ``wanted_by``, ``required_by`` and ``pulls`` are
    its bonds to other units (:mod:`fleetish.units.bonds`).
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
    environment: tuple[str, ...] = ()
    health: tuple[HealthCheck, ...] = ()
    readiness: Readiness | None = None
    on_unhealthy: OnUnhealthy = OnUnhealthy.NONE
    constraints: tuple[Constraint, ...] = ()
    sandbox: bool = False
    fetch: tuple[Fetch, ...] = ()
    triggers: tuple[str, ...] = ()
    wanted_by: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()
    pulls: tuple[str, ...] = ()


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
    if found.get("fetch"):
        found["sandbox"] = True
    result = Requirements(**found, **bonds(file, name)._asdict())
    _check_together(result, file, name, refuse)
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
    message = f"cannot use {entry.key}={entry.shown}: {problem}"
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


def _check_together(want: Requirements, file: UnitFile, name: str, refuse: Refuse) -> None:
    """Refuse options that exclude each other."""
    kinds = (("conflict", "Conflicts", want.conflicts), ("replace", "Replaces", want.replaces))
    for peer in want.machine_of:
        for kind, key, patterns in kinds:
            hit = next((pattern for pattern in patterns if covers(pattern, peer)), None)
            if hit is not None:
                text = f'unresolvable requirements: peer "{peer}" matches {kind} "{hit}"'
                refuse(_clash(file, text, "MachineOf", key))
    for activated in want.triggers:
        for kind, key, patterns in kinds:
            hit = next((pattern for pattern in patterns if matches(pattern, activated)), None)
            if hit is not None:
                text = f'it activates {activated}, which matches {kind} "{hit}"'
                refuse(_clash(file, f"unresolvable requirements: {text}", key))
    given = {row.key for row in OPTIONS if not row.resets and getattr(want, row.field)}
    for one, other, text in _EXCLUSIVE:
        if {one, other} <= given:
            refuse(_clash(file, text, one, other))
    if want.global_ and any(one.operator is Operator.GROUP_BY for one in want.constraints):
        text = "Global cannot be used with Constraint=… GROUP_BY: it runs on every machine it may"
        refuse(_clash(file, text, "Global", "Constraint"))
    if want.backoff_max_s < want.backoff_s:
        text = "BackoffMax cannot be less than Backoff"
        refuse(_clash(file, text, "Backoff", "BackoffMax"))
    for text in variables.problems(want.environment, len(want.ports)):
        refuse(_clash(file, text, "Environment"))
    _check_probes(want, file, refuse)
    _check_sandbox(want, file, name, refuse)


#: Values of Restart= with which systemd starts a killed service again (systemd.service(5)).
_AFTER_A_KILL = ("always", "on-failure", "on-abnormal", "on-abort")


def _check_probes(want: Requirements, file: UnitFile, refuse: Refuse) -> None:
    """Refuse checks of ports that are not claimed, and a restart that nobody would make."""
    probes = {"HealthCheck": want.health, "Readiness": (want.readiness,) if want.readiness else ()}
    for option, text in problems(probes, len(want.ports)):
        refuse(_clash(file, text, option))
    if want.on_unhealthy is OnUnhealthy.NONE:
        return
    policy = file.last("Service", "Restart")
    again = want.reschedule or (policy is not None and policy.value in _AFTER_A_KILL)
    if not want.health:
        text = "cannot use OnUnhealthy=restart: it has no HealthCheck="
        refuse(_clash(file, text, "OnUnhealthy"))
    elif not again:
        text = "cannot use OnUnhealthy=restart: with neither Restart=on-failure nor"
        refuse(_clash(file, f"{text} Reschedule=on-failure it stays failed", "OnUnhealthy"))


def _check_sandbox(want: Requirements, file: UnitFile, name: str, refuse: Refuse) -> None:
    """Refuse a sandbox where nothing could work in it, and fetching where systemd would not find
    the program that fetches."""
    key = "Fetch" if want.fetch else "Sandbox"
    if want.sandbox and not name.endswith(".service"):
        refuse(_clash(file, f"cannot use {key}= in {name}: only a service has a sandbox", key))
    rooted = [key for key in ("RootDirectory", "RootImage") if file.last("Service", key)]
    if want.fetch and rooted:
        refuse(_clash(file, f"Fetch cannot be used with {rooted[0]}=", "Fetch"))


def _clash(file: UnitFile, text: str, *keys: str) -> BadOption:
    """The error at the last line that has one of the options."""
    spelled = [spelling for spelling, option in _SPELLINGS.items() if option.key in keys]
    last = [row for row in file.entries if row.section == SECTION and row.key in spelled][-1]
    return BadOption(text, where=file.where(last), directive=last.key)
