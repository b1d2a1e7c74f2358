"""What systemd checks about a service as a whole once its properties are set (its service_verify).

systemd would load such a unit with ``bad-setting`` and refuse to start it; here it is refused
before it is placed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fleetish.errors import BadUnit
from fleetish.units.file import UnitFile
from fleetish.units.rows import Property


class _Facts(NamedTuple):
    """The properties that the checks look at."""

    type: str
    starts: int
    stops: bool
    success_action: str
    remain: bool
    restart: str
    bus_name: str
    pam: str
    kill_mode: str


def _several_starts(facts: _Facts) -> bool:
    return facts.type != "oneshot" and facts.starts > 1


def _no_command(facts: _Facts) -> bool:
    return not facts.starts and not facts.stops and facts.success_action == "none"


def _no_start(facts: _Facts) -> bool:
    return facts.type != "oneshot" and not facts.starts


def _nothing_remains(facts: _Facts) -> bool:
    return not facts.starts and not facts.remain and facts.success_action == "none"


def _oneshot_for_ever(facts: _Facts) -> bool:
    return facts.type == "oneshot" and facts.restart in ("always", "on-success")


def _nameless_bus(facts: _Facts) -> bool:
    return facts.type == "dbus" and not facts.bus_name


def _pam_left_over(facts: _Facts) -> bool:
    return bool(facts.pam) and facts.kill_mode not in ("control-group", "mixed")


#: What must not be, the directive that it hangs on, and the words for it.
CHECKS: tuple[tuple[Callable[[_Facts], bool], str, str], ...] = (
    (_no_command, "ExecStart", "a service needs ExecStart=, ExecStop= or SuccessAction="),
    (_no_start, "ExecStart", "only a service of Type=oneshot may do without ExecStart="),
    (_nothing_remains, "ExecStart", "without ExecStart= a service needs RemainAfterExit=yes"),
    (_several_starts, "ExecStart", "only a service of Type=oneshot may have several ExecStart="),
    (_oneshot_for_ever, "Restart", "Type=oneshot does not go with Restart=always or on-success"),
    (_nameless_bus, "Type", "Type=dbus needs BusName="),
    (_pam_left_over, "PAMName", "PAMName= needs KillMode=control-group or mixed"),
)


def check_together(
    file: UnitFile, section: str, found: Sequence[Property], refuse: Callable[[BadUnit], None]
) -> None:
    """Hand each way in which the directives of a [Service] contradict each other to ``refuse``."""
    if section != "Service":
        return
    facts = _facts({prop.name: prop.value for prop in found})
    for is_wrong, directive, words in CHECKS:
        if is_wrong(facts):
            entry = file.last(section, directive)
            where = file.where(entry) if entry else file.source
            message = f"cannot run this service: {words}"
            refuse(BadUnit(message, where=where, directive=directive))
            return


def _facts(values: dict[str, object]) -> _Facts:
    starts = values.get("ExecStart") or values.get("ExecStartEx") or ()
    count = len(starts) if isinstance(starts, list) else 0
    bus_name = str(values.get("BusName", ""))
    implied = "dbus" if bus_name else "simple" if count else "oneshot"
    return _Facts(
        type=str(values.get("Type", implied)),
        starts=count,
        stops="ExecStop" in values or "ExecStopEx" in values,
        success_action=str(values.get("SuccessAction", "none")),
        remain=bool(values.get("RemainAfterExit", False)),
        restart=str(values.get("Restart", "no")),
        bus_name=bus_name,
        pam=str(values.get("PAMName", "")),
        kill_mode=str(values.get("KillMode", "control-group")),
    )
