"""The [Unit] section: dependencies, conditions, limits of starting, what to do on failure."""

from __future__ import annotations

import re

from fleetish.errors import BadName
from fleetish.units import values
from fleetish.units.name import instantiate, parse_name
from fleetish.units.rows import (
    Empty,
    Given,
    Property,
    Row,
    absolute,
    choice,
    flag,
    items,
    micros,
    number,
    one_of,
    only_no,
    text,
    words,
)
from fleetish.units.words import Escapes, bare_words

ACTIONS = (
    "none",
    "reboot",
    "reboot-force",
    "reboot-immediate",
    "poweroff",
    "poweroff-force",
    "poweroff-immediate",
    "exit",
    "exit-force",
)
JOB_MODES = (
    "fail",
    "replace",
    "replace-irreversibly",
    "isolate",
    "flush",
    "ignore-dependencies",
    "ignore-requirements",
)

#: Directives that name other units; the second spelling is an older one that systemd still reads.
_DEPENDENCIES: tuple[tuple[str, ...], ...] = (
    ("Requires",),
    ("Requisite",),
    ("Wants",),
    ("BindsTo", "BindTo"),
    ("PartOf",),
    ("Upholds",),
    ("Conflicts",),
    ("Before",),
    ("After",),
    ("OnFailure",),
    ("OnSuccess",),
    ("PropagatesReloadTo", "PropagateReloadTo"),
    ("ReloadPropagatedFrom", "PropagateReloadFrom"),
    ("PropagatesStopTo",),
    ("StopPropagatedFrom",),
    ("JoinsNamespaceOf",),
)

#: What both Condition…= and Assert…= test.
_KINDS = (
    "ACPower Architecture CPUFeature CPUPressure CPUs Capability ControlGroupController Credential "
    "DirectoryNotEmpty Environment FileIsExecutable FileNotEmpty FirstBoot Group Host IOPressure "
    "KernelCommandLine KernelVersion Memory MemoryPressure NeedsUpdate OSRelease PathExists "
    "PathExistsGlob PathIsDirectory PathIsEncrypted PathIsMountPoint PathIsReadWrite "
    "PathIsSymbolicLink Security User Virtualization"
)
#: Kinds that begin so take an absolute path.
_PATH_KINDS = ("Path", "Directory", "File", "NeedsUpdate")

_URL = re.compile(r"(?:https?://|file:/|info:|man:)[\x21-\x7e]+")
_REBOOT = re.compile(r"[\x20-\x7e]{0,255}")

#: In the value of a condition on pressure, this is no specifier.
_PERCENTAGE = re.compile(r"(?<=\d)%(?=/|\Z)")


def _documentation(url: str) -> str:
    if not _URL.fullmatch(url):
        raise ValueError(f"{url!r} begins with none of http:// https:// file:/ info: man:")
    return url


def reboot_argument(text: str) -> str:
    """What reboot(2) is told, in ASCII."""
    if not _REBOOT.fullmatch(text):
        raise ValueError(f"{text!r} is no argument of a reboot: up to 255 ASCII letters")
    return text


def _unit_names(given: Given) -> list[object]:
    """Names of units. A template stands for its instance of the same name as this unit's own, or
    for a plain unit, of its prefix."""
    own = given.scope.name
    found: list[object] = []
    for word in map(given.scope.expand, bare_words(given.text)):
        try:
            parts = parse_name(word)
            stands_for = own.instance or own.prefix
            found.append(instantiate(word, stands_for) if parts.is_template else word)
        except BadName as error:
            raise ValueError(error.message) from None
    return found


def _condition(given: Given) -> list[object]:
    """``|!/path``: ``|`` makes it one of several of which any will do, ``!`` turns it round; no
    space may follow them before a path."""
    kind = given.directive.removeprefix("Condition").removeprefix("Assert")
    is_path = kind.startswith(_PATH_KINDS)
    space = "" if is_path else " \t"
    trigger = given.text.startswith("|")
    rest = given.text[trigger:].lstrip(space) if trigger else given.text
    negate = rest.startswith("!")
    rest = rest[negate:].lstrip(space) if negate else rest
    if kind.endswith("Pressure"):
        rest = _PERCENTAGE.sub("%%", rest)
    parameter = given.scope.expand(rest)
    if not parameter:
        raise ValueError("it tests nothing")
    return [given.directive, trigger, negate, absolute(parameter) if is_path else parameter]


def _conditions(prefix: str, prop: str, kinds: str) -> Row:
    """All conditions of a unit are one property; an empty one of any kind drops all before it."""
    return Row(
        tuple(prefix + kind for kind in kinds.split()),
        ((prop, "a(sbbs)"),),
        _condition,
        lambda found: (Property(prop, "a(sbbs)", found),),
    )


def _on_failure_mode() -> Row:
    """OnFailureIsolate= is the older boolean form of OnFailureJobMode=."""

    def read(given: Given) -> str:
        if given.directive == "OnFailureIsolate":
            return "isolate" if values.boolean(given.text) else "replace"
        return one_of(given.text, JOB_MODES)

    prop = "OnFailureJobMode"
    return Row(
        (prop, "OnFailureIsolate"),
        ((prop, "s"),),
        read,
        lambda found: (Property(prop, "s", found[-1]),),
        empty=Empty.REFUSED,
    )


_INTERVAL = "StartLimitIntervalUSec"

#: Limits of starting that [Service] still takes in their old place.
START_LIMITS = (
    number("StartLimitBurst", "u", 0, 2**32 - 1),
    choice("StartLimitAction", *ACTIONS),
    choice("FailureAction", *ACTIONS),
    text("RebootArgument", check=reboot_argument),
)

#: [Service] has this one only by its old name.
OLD_START_LIMIT = micros("StartLimitInterval", _INTERVAL)

UNIT = (
    text("Description"),
    words("Documentation", escapes=Escapes.KEEP, check=_documentation),
    *(items(names, "as", _unit_names, empty=Empty.NOTHING) for names in _DEPENDENCIES),
    words("RequiresMountsFor", check=absolute, empty=Empty.NOTHING),
    flag("StopWhenUnneeded"),
    flag("RefuseManualStart"),
    only_no("RefuseManualStop", "such a unit cannot be stopped from outside its host"),
    flag("AllowIsolate"),
    flag("DefaultDependencies"),
    flag("IgnoreOnIsolate"),
    choice("CollectMode", "inactive", "inactive-or-failed"),
    choice("OnSuccessJobMode", *JOB_MODES),
    _on_failure_mode(),
    choice("SuccessAction", *ACTIONS),
    number("FailureActionExitStatus", "i", 0, 255, Empty.RESETS),
    number("SuccessActionExitStatus", "i", 0, 255, Empty.RESETS),
    micros("JobRunningTimeoutSec"),
    choice("JobTimeoutAction", *ACTIONS),
    text("JobTimeoutRebootArgument", check=reboot_argument),
    text("SourcePath", check=absolute),
    micros(("StartLimitIntervalSec", "StartLimitInterval"), _INTERVAL),
    *START_LIMITS,
    _conditions("Condition", "Conditions", f"{_KINDS} Firmware"),
    _conditions("Assert", "Asserts", _KINDS),
)

#: Read by systemd from files only.
UNIT_NOT_TRANSIENT: dict[str, str] = {
    "JobTimeoutSec": "JobRunningTimeoutSec= is taken, and counts from when the job runs",
    "IgnoreOnSnapshot": "systemd ignores it; leave it out",
    "RequiresOverridable": "systemd has dropped it; use Requires=",
    "RequisiteOverridable": "systemd has dropped it; use Requisite=",
}
