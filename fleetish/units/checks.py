"""What systemd checks about a unit as a whole once its properties are set (its …_verify functions).

systemd would load such a unit with ``bad-setting`` and refuse to start it, or warn and drop a part;
here it is refused before it is placed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fleetish.errors import BadName, BadUnit
from fleetish.units.file import UnitFile
from fleetish.units.name import UnitName, escape_path, unescape_path
from fleetish.units.rows import Property
from fleetish.units.values import INFINITY


class _Facts(NamedTuple):
    """A unit's name and its properties, the last of each name."""

    name: UnitName
    values: Mapping[str, Any]

    def get(self, prop: str, default: Any = "") -> Any:
        return self.values.get(prop, default)

    @property
    def starts(self) -> int:
        """How many commands start a service."""
        return len(self.get("ExecStart", ()) or self.get("ExecStartEx", ()))

    @property
    def type(self) -> str:
        """The Type= of a service, as systemd guesses it where it is not said."""
        implied = "dbus" if self.get("BusName") else "simple" if self.starts else "oneshot"
        return str(self.get("Type", implied))

    @property
    def ends_well(self) -> bool:
        return bool(self.get("SuccessAction", "none") != "none")

    @property
    def where(self) -> str:
        """The mount point: Where=, else what the name says; "" if it says none."""
        try:
            return str(self.get("Where") or unescape_path(self.name.stem))
        except BadName:
            return ""


def _no_command(facts: _Facts) -> bool:
    stops = facts.get("ExecStop") or facts.get("ExecStopEx")
    return not facts.starts and not stops and not facts.ends_well


def _no_start(facts: _Facts) -> bool:
    return facts.type != "oneshot" and not facts.starts


def _nothing_remains(facts: _Facts) -> bool:
    return not facts.starts and not facts.get("RemainAfterExit") and not facts.ends_well


def _several_starts(facts: _Facts) -> bool:
    return facts.type != "oneshot" and facts.starts > 1


def _oneshot_for_ever(facts: _Facts) -> bool:
    return facts.type == "oneshot" and facts.get("Restart") in ("always", "on-success")


def _oneshot_of_a_group(facts: _Facts) -> bool:
    return facts.type == "oneshot" and facts.get("ExitType") == "cgroup"


def _oneshot_again(facts: _Facts) -> bool:
    return facts.type == "oneshot" and any(facts.get("RestartForceExitStatus"))


def _oneshot_bounded(facts: _Facts) -> bool:
    return facts.type == "oneshot" and facts.get("RuntimeMaxUSec", INFINITY) != INFINITY


def _nameless_bus(facts: _Facts) -> bool:
    return facts.type == "dbus" and not facts.get("BusName")


def _half_a_gadget(facts: _Facts) -> bool:
    given = [facts.get(f"USBFunction{part}") for part in ("Descriptors", "Strings")]
    return any(given) and not all(given)


def _nothing_to_prolong(facts: _Facts) -> bool:
    bounded = facts.get("RuntimeMaxUSec", INFINITY) != INFINITY
    return bool(facts.get("RuntimeRandomizedExtraUSec")) and not bounded


def _pam_left_over(facts: _Facts) -> bool:
    kinds = ("control-group", "mixed") if facts.name.suffix == "service" else ("control-group",)
    return bool(facts.get("PAMName")) and facts.get("KillMode", "control-group") not in kinds


def _nothing_to_listen_on(facts: _Facts) -> bool:
    return not facts.get("Listen")


def _ambiguous_symlinks(facts: _Facts) -> bool:
    """Symlinks point to the only socket or FIFO in the file system (socket_find_symlink_target)."""
    kinds = ("Stream", "Datagram", "SequentialPacket", "FIFO")
    nodes = [at for kind, at in facts.get("Listen", ()) if kind in kinds and at.startswith("/")]
    return bool(facts.get("Symlinks")) and len(nodes) != 1


def _never_elapses(facts: _Facts) -> bool:
    causes = ("TimersMonotonic", "TimersCalendar", "OnClockChange", "OnTimezoneChange")
    return not any(facts.get(cause) for cause in causes)


def _nothing_to_watch(facts: _Facts) -> bool:
    return not facts.get("Paths")


def _nothing_to_mount(facts: _Facts) -> bool:
    return not facts.get("What")


def _named_otherwise(facts: _Facts) -> bool:
    return not facts.where or escape_path(facts.where) != facts.name.stem


#: Mount points that are systemd's own or of whoever runs it in a container (mount-setup.c).
_API = frozenset(
    {
        *("/proc", "/proc/kmsg", "/proc/sys", "/proc/sys/kernel/random/boot_id", "/run"),
        *("/dev", "/dev/console", "/dev/pts", "/dev/shm", "/sys", "/sys/firmware/efi/efivars"),
        *("/sys/fs/bpf", "/sys/fs/cgroup", "/sys/fs/pstore", "/sys/fs/selinux"),
        *("/sys/fs/smackfs", "/sys/kernel/security", "/run/host"),
    }
)


def _over_an_api(facts: _Facts) -> bool:
    return facts.where in _API or facts.where.startswith(("/sys/fs/cgroup/", "/run/host/"))


def _over_the_root(facts: _Facts) -> bool:
    return facts.where == "/"


def _own_options(facts: _Facts) -> bool:
    own = {"fd", "pgrp", "minproto", "maxproto", "direct", "indirect"}
    options = str(facts.get("ExtraOptions")).split(",")
    return not own.isdisjoint(option.partition("=")[0] for option in options)


def _fails_never(facts: _Facts) -> bool:
    return bool(facts.get("OnFailure"))


def _no_slice_name(facts: _Facts) -> bool:
    stem = facts.name.stem
    wrong = stem.startswith("-") or stem.endswith("-") or "--" in stem or "@" in stem
    return wrong and stem != "-"


_Check = tuple[Callable[[_Facts], bool], str, str]

_PAM: _Check = (_pam_left_over, "PAMName", "PAMName= needs KillMode=control-group")
_NAME: _Check = (
    _named_otherwise,
    "Where",
    "its name must be its path as systemd-escape --path gives it",
)

#: Section to what must not be, the directive that it hangs on, and the words for it.
CHECKS: dict[str, tuple[_Check, ...]] = {
    "Service": (
        (_no_command, "ExecStart", "a service needs ExecStart=, ExecStop= or SuccessAction="),
        (_no_start, "ExecStart", "only a service of Type=oneshot may do without ExecStart="),
        (_nothing_remains, "ExecStart", "without ExecStart= a service needs RemainAfterExit=yes"),
        (
            _several_starts,
            "ExecStart",
            "only a service of Type=oneshot may have several ExecStart=",
        ),
        (
            _oneshot_for_ever,
            "Restart",
            "Type=oneshot does not go with Restart=always or on-success",
        ),
        (_oneshot_of_a_group, "ExitType", "Type=oneshot does not go with ExitType=cgroup"),
        (
            _oneshot_again,
            "RestartForceExitStatus",
            "Type=oneshot does not go with RestartForceExitStatus=",
        ),
        (
            _oneshot_bounded,
            "RuntimeMaxSec",
            "RuntimeMaxSec= says nothing of Type=oneshot; TimeoutStartSec= does",
        ),
        (_nameless_bus, "Type", "Type=dbus needs BusName="),
        (_pam_left_over, "PAMName", "PAMName= needs KillMode=control-group or mixed"),
        (
            _half_a_gadget,
            "USBFunctionDescriptors",
            "USBFunctionDescriptors= and USBFunctionStrings= need each other",
        ),
        (
            _nothing_to_prolong,
            "RuntimeRandomizedExtraSec",
            "RuntimeRandomizedExtraSec= needs RuntimeMaxSec=",
        ),
    ),
    "Socket": (
        (_nothing_to_listen_on, "ListenStream", "a socket needs something to listen on"),
        (
            _ambiguous_symlinks,
            "Symlinks",
            "Symlinks= need exactly one socket or FIFO in the file system to point to",
        ),
        _PAM,
    ),
    "Timer": ((_never_elapses, "OnCalendar", "a timer needs a time, such as OnCalendar=daily"),),
    "Path": ((_nothing_to_watch, "PathExists", "a path unit needs a path to watch"),),
    "Mount": (
        _NAME,
        (_over_an_api, "Where", "systemd mounts API file systems itself"),
        (_nothing_to_mount, "What", "a mount needs What="),
        _PAM,
    ),
    "Automount": (
        (_over_the_root, "Where", "the root directory cannot be mounted on demand"),
        _NAME,
        (_own_options, "ExtraOptions", "some of the options are systemd's own"),
    ),
    "Slice": (
        (_no_slice_name, "", "a slice is named after its place: a-b.slice is in a.slice"),
        (_fails_never, "OnFailure", "a slice cannot fail"),
    ),
}


def check_together(
    file: UnitFile,
    section: str,
    name: UnitName,
    found: Sequence[Property],
    refuse: Callable[[BadUnit], None],
) -> None:
    """Hand the first way in which the directives of a unit, or they and its name, contradict each
    other to ``refuse``."""
    facts = _Facts(name, {prop.name: prop.value for prop in found})
    for is_wrong, directive, words in CHECKS[section]:
        if is_wrong(facts):
            entry = file.last(section, directive)
            where = file.where(entry) if entry else file.source
            message = f"cannot run this {section.lower()}: {words}"
            refuse(BadUnit(message, where=where, directive=directive))
            return
