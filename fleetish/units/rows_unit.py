"""The [Unit] section: dependencies, conditions, limits of starting, what to do on failure."""

from __future__ import annotations

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
from fleetish.units.words import Escapes

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

#: What Condition…= and Assert…= test; ``path`` kinds take an absolute path.
_CONDITIONS = (
    "ACPower Architecture CPUFeature CPUPressure CPUs Capability ControlGroupController Credential "
    "DirectoryNotEmpty Environment FileIsExecutable FileNotEmpty Firmware FirstBoot Group Host "
    "IOPressure KernelCommandLine KernelVersion Memory MemoryPressure NeedsUpdate OSRelease "
    "PathExists PathExistsGlob PathIsDirectory PathIsEncrypted PathIsMountPoint PathIsReadWrite "
    "PathIsSymbolicLink Security User Virtualization"
)
_PATH_KINDS = ("Path", "Directory", "File")


def _unit_names(given: Given) -> list[object]:
    """Names of units. A template stands for its instance of the same name as this unit's own, or
    for a plain unit, of its prefix."""
    own = given.scope.name
    found: list[object] = []
    for word in given.words(Escapes.KEEP):
        try:
            parts = parse_name(word)
            stands_for = own.instance or own.prefix
            found.append(instantiate(word, stands_for) if parts.is_template else word)
        except BadName as error:
            raise ValueError(error.message) from None
    return found


def _condition(given: Given) -> list[object]:
    """``|!/path``: ``|`` makes it one of several of which any will do, ``!`` turns it round."""
    rest = given.text.lstrip()
    trigger = rest.startswith("|")
    rest = rest[trigger:].lstrip()
    negate = rest.startswith("!")
    parameter = rest[negate:].lstrip()
    if not given.directive.endswith("Pressure"):  # whose values are percentages
        parameter = given.scope.expand(parameter)
    kind = given.directive.removeprefix("Condition").removeprefix("Assert")
    if not parameter:
        raise ValueError("it tests nothing")
    if kind.startswith(_PATH_KINDS) and not parameter.startswith("/"):
        raise ValueError(f"{parameter!r} is no absolute path")
    return [given.directive, trigger, negate, parameter]


def _conditions(prefix: str, prop: str) -> Row:
    """All conditions of a unit are one property; an empty one of any kind drops all before it."""
    return Row(
        tuple(prefix + kind for kind in _CONDITIONS.split()),
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
    )


#: Limits of starting; [Service] still takes these under their old place and spelling.
START_LIMITS = (
    micros(("StartLimitIntervalSec", "StartLimitInterval"), "StartLimitIntervalUSec"),
    number("StartLimitBurst", "u", 0, 2**32 - 1),
    choice("StartLimitAction", *ACTIONS),
    choice("FailureAction", *ACTIONS),
    text("RebootArgument"),
)

UNIT = (
    text("Description"),
    words("Documentation", escapes=Escapes.KEEP),
    *(items(names, "as", _unit_names, empty=Empty.NOTHING) for names in _DEPENDENCIES),
    words("RequiresMountsFor", check=absolute, empty=Empty.NOTHING),
    flag("StopWhenUnneeded"),
    only_no("RefuseManualStart", "such a unit cannot be started from outside its host"),
    only_no("RefuseManualStop", "such a unit cannot be stopped from outside its host"),
    flag("AllowIsolate"),
    flag("DefaultDependencies"),
    flag("IgnoreOnIsolate"),
    choice("CollectMode", "inactive", "inactive-or-failed"),
    choice("OnSuccessJobMode", *JOB_MODES),
    _on_failure_mode(),
    choice("SuccessAction", *ACTIONS),
    number("FailureActionExitStatus", "i", 0, 255),
    number("SuccessActionExitStatus", "i", 0, 255),
    micros("JobRunningTimeoutSec"),
    choice("JobTimeoutAction", *ACTIONS),
    text("JobTimeoutRebootArgument"),
    text("SourcePath", check=absolute),
    *START_LIMITS,
    _conditions("Condition", "Conditions"),
    _conditions("Assert", "Asserts"),
)

#: Read by systemd from files only.
UNIT_NOT_TRANSIENT: dict[str, str] = {
    "JobTimeoutSec": "JobRunningTimeoutSec= is taken, and counts from when the job runs",
    "RequiresOverridable": "systemd has dropped it; use Requires=",
    "RequisiteOverridable": "systemd has dropped it; use Requisite=",
}
