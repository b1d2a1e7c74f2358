"""What may differ between a unit that systemd read from a file and the same started over the bus,
each with why; pure.

Everything else that systemctl shows must be the same to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fleetish.units.name import slice_for
from fleetish.units.words import Escapes, split

Shown = Mapping[str, str]
Pairs = dict[str, tuple[str, str]]

#: Properties that differ, and why that is no matter.
NAMED: dict[str, str] = {
    "Transient": "yes for every unit that is made over the bus",
    "FragmentPath": "systemd keeps its own file of such a unit, below /run/systemd/transient",
    "UnitFileState": "`transient` for every such unit",
    "Refs": "the comparison holds the unit while it looks",
    "ConditionResult": "only the unit that was started has tested its conditions",
    "ConditionTimestamp": "only the unit that was started has tested its conditions",
    "ConditionTimestampMonotonic": "only the unit that was started has tested its conditions",
}


class Excuse(NamedTuple):
    """Names that may stand in one of two lists only, in units of a type."""

    property: str
    kind: str
    names: re.Pattern[str]
    why: str


_SLICE = "systemd gives a slice its dependencies before it hears of DefaultDependencies=no"
_SOCKET = "Sockets= may name the socket of the same name, which says so itself once it is there"

EXCUSES: tuple[Excuse, ...] = (
    Excuse("Before", "slice", re.compile(r"shutdown\.target"), _SLICE),
    Excuse("Conflicts", "slice", re.compile(r"shutdown\.target"), _SLICE),
    Excuse("TriggeredBy", "service", re.compile(r".*\.socket"), _SOCKET),
)

#: What systemd says of files that it takes as they are.
REMARKS: dict[str, re.Pattern[str]] = {
    "KillMode=none is taken, and called unsafe": re.compile(r".*Unit uses KillMode=none\..*"),
    "older directives are taken, and newer ones recommended": re.compile(
        r".*Unit uses (\w+)=; please use \S+ (settings )?instead\. Support for .*"
    ),
    "a backslash before another letter than C has stays in a command": re.compile(
        r".*Ignoring unknown escape sequences: .*"
    ),
    "a system call that the kernel does not have is dropped, over the bus too": re.compile(
        r".*Failed to parse system call, ignoring: .*"
    ),
    "an order before a device is dropped, over the bus too": re.compile(
        r".*Dependency \w+=\S+ ignored \(\.device units cannot be delayed\)"
    ),
}

#: What only the host can know, and refuses with a sentence of its own when the unit starts.
REFUSALS: dict[str, re.Pattern[str]] = {
    "an address of an interface that the host does not have": re.compile(
        r"systemd: Invalid address: .*%.+"
    ),
    "a personality that the host's processor does not have": re.compile(
        r"systemd: Invalid Personality setting: .+"
    ),
}

#: What an agent adds to every unit that has processes; compared with what it must be.
ADDED: dict[str, str] = {
    "Slice": "the slice of the app or template, below fleetish.slice",
    "Requires": "that slice in place of system.slice",
    "After": "that slice in place of system.slice",
    "Environment": "FLEETISH_MACHINE, and PORT… where ports were asked for",
    "LogExtraFields": "the cluster, unit, hash and launch by which an agent knows its own",
}

#: Lists that systemd keeps in hash tables: the order says nothing.
UNORDERED = frozenset(
    {
        "After",
        "Before",
        "BindsTo",
        "BoundBy",
        "ConsistsOf",
        "ConflictedBy",
        "Conflicts",
        "IPAddressAllow",
        "IPAddressDeny",
        "JoinsNamespaceOf",
        "OnFailure",
        "OnSuccess",
        "PartOf",
        "PropagatesReloadTo",
        "PropagatesStopTo",
        "ReloadPropagatedFrom",
        "RequiredBy",
        "Requires",
        "RequiresMountsFor",
        "Requisite",
        "StopPropagatedFrom",
        "TriggeredBy",
        "Triggers",
        "Upholds",
        "WantedBy",
        "Wants",
    }
)

#: Shown in a line each; the bus keeps one of those that are alike.
ONCE_A_LINE = frozenset({"DeviceAllow", "EnvironmentFiles"})
#: Lists in which the bus keeps a word once, however often it is said.
ONCE = frozenset(
    {
        "ExecPaths",
        "ExecSearchPath",
        "ExtensionDirectories",
        "InaccessiblePaths",
        "NoExecPaths",
        "PassEnvironment",
        "ReadOnlyPaths",
        "ReadWritePaths",
        "Symlinks",
        "UnsetEnvironment",
    }
)


def differences(native: Shown, started: Shown) -> Pairs:
    """Property to its two values, where they differ and NAMED does not say why."""
    pairs = {
        key: (_normal(key, native.get(key, "")), _normal(key, started.get(key, "")))
        for key in sorted(native.keys() | started.keys())
        if key not in NAMED
    }
    kind = native["Id"].rpartition(".")[2]
    return {
        key: pair
        for key, pair in pairs.items()
        if pair[0] != pair[1] and not _excused(key, kind, pair)
    }


def _excused(key: str, kind: str, pair: tuple[str, str]) -> bool:
    """Whether what is only in one of the lists is what EXCUSES has."""
    odd = set(pair[0].split()) ^ set(pair[1].split())
    return any(
        (row.property, row.kind) == (key, kind) and all(map(row.names.fullmatch, odd))
        for row in EXCUSES
    )


def placed_differences(native: Shown, placed: Shown, unit: str, cluster: str) -> Pairs:
    """The same for a unit that an agent of ``cluster`` started: what it adds must be there too.

    The comparison's machine has the cluster's name, its hash is the unit's name, its launch 1.
    """
    return differences(_with_additions(native, unit, cluster), placed)


def _with_additions(native: Shown, unit: str, cluster: str) -> Shown:
    if "Environment" not in native:  # no processes
        return native
    was, now = native["Slice"], slice_for(unit)
    fields = {"CLUSTER": cluster, "UNIT": unit, "HASH": unit, "LAUNCH": "1"}
    labels = [_quoted(f"FLEETISH_{name}={value}") for name, value in fields.items()]
    return {
        **native,
        "Slice": now,
        **{
            key: " ".join(_quoted(now if word == was else word) for word in _words(native[key]))
            for key in ("Requires", "After")
        },
        "Environment": f"{native['Environment']} FLEETISH_MACHINE={cluster}".strip(),
        "LogExtraFields": " ".join([native["LogExtraFields"], *labels]).strip(),
    }


def _quoted(word: str) -> str:
    """A word as systemctl shows it in a list: quoted where it has a backslash."""
    escaped = word.replace("\\", "\\\\")
    return f'"{escaped}"' if "\\" in word else word


def _words(value: str) -> list[str]:
    """The words of a shown list."""
    return split(value, Escapes.C)


def _normal(key: str, value: str) -> str:
    if key in ONCE:
        return " ".join(dict.fromkeys(_words(value)))
    if key in ONCE_A_LINE:
        return "\n".join(dict.fromkeys(value.split("\n")))
    return " ".join(sorted(_words(value))) if key in UNORDERED else value


def complaints(warnings: Iterable[str]) -> list[str]:
    """What systemd said of a file, without what REMARKS knows."""
    known = REMARKS.values()
    return [line for line in warnings if not any(one.fullmatch(line) for one in known)]
