"""An instance as Marathon sees it: from a unit and what systemd says of it to a task's state; pure.

the unit …                               the task is
---------------------------------------  --------------------------------
is placed nowhere                        none yet: it waits in the queue
was killed, and is still somewhere       TASK_KILLING, then TASK_KILLED
is on a machine that is not there        TASK_UNREACHABLE
cannot be run there                      TASK_ERROR
has not begun its newest launch          TASK_STAGING
is activating                            TASK_STARTING
is active                                TASK_RUNNING
failed                                   TASK_FAILED, with what systemd says
ended well                               TASK_FINISHED
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleetish.model import CheckState, Unit, UnitState
from fleetish.units.codes import EXIT_STATUSES
from fleetish.units.health import HealthCheck
from fleetish.world import World
from marathon_compat.apps import ids
from marathon_compat.apps.app import App
from marathon_compat.apps.records import Instance


class Condition(StrEnum):
    """How far an instance is; the words of ``instance_changed_event`` in upper case."""

    SCHEDULED = "SCHEDULED"
    STAGING = "STAGING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    KILLING = "KILLING"
    KILLED = "KILLED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    ERROR = "ERROR"
    UNREACHABLE = "UNREACHABLE"


#: systemd's exit status when a unit's User= cannot be had (systemd.exec(5), "Process Exit Codes").
_NO_USER = EXIT_STATUSES["USER"]
#: The conditions of a run that is over by itself.
ENDED = frozenset({Condition.FINISHED, Condition.FAILED, Condition.ERROR})


@dataclass(frozen=True, slots=True)
class Member:
    """An instance and how it is. ``machine`` is "" while it has none. ``healthy``: None while
    nothing is known of it, or nothing is checked. ``since``: of the condition, epoch seconds, 0.0
    when not known."""

    instance: Instance
    unit: Unit | None
    state: UnitState | None
    machine: str
    condition: Condition
    message: str = ""
    healthy: bool | None = None
    checked: bool = False
    ready: bool = True
    since: float = 0.0

    @property
    def name(self) -> str:
        return self.instance.unit

    @property
    def launch(self) -> int:
        """The number of the newest run, from 1; 0 when the unit is gone."""
        return self.unit.launch if self.unit else 0

    @property
    def probed(self) -> tuple[CheckState, ...]:
        """What its health checks have shown; a ``check``, which counts for nothing, comes last."""
        return _probed(self.unit, self.state) if self.state else ()

    @property
    def told(self) -> CheckState | None:
        """What its ``check`` has shown, once there is something."""
        rows = self.state.health if self.state and _advisory(self.unit) else ()
        return rows[-1] if rows and rows[-1].alive is not None else None

    @property
    def task_state(self) -> str:
        """Marathon's word; "" for an instance that has no task yet."""
        return "" if self.condition is Condition.SCHEDULED else f"TASK_{self.condition}"

    @property
    def fit(self) -> bool:
        """It runs and, if that is checked, it is healthy."""
        return self.condition is Condition.RUNNING and (self.healthy is True or not self.checked)

    @property
    def settled(self) -> bool:
        """It is all that a deployment waits for."""
        return self.fit and self.ready


def look(world: World, instance: Instance) -> Member:
    """An instance as it is now."""
    unit = world.units.get(instance.unit)
    machine = machine_of(world, instance.unit)
    if unit is None or instance.leaving:
        state = world.state(instance.unit, machine) if machine else None
        gone = _stopped(world, state) if instance.parked and unit else not unit and not machine
        there = Condition.KILLED if gone else Condition.KILLING
        return Member(instance, unit, state, machine, there, instance.leaving)
    if not machine:
        return Member(instance, unit, None, "", Condition.SCHEDULED)
    state = world.state(instance.unit, machine)
    if not _registered(world, machine):
        why = f"machine {machine} is not registered"
        return Member(instance, unit, state, machine, Condition.UNREACHABLE, why)
    return _reported(world, instance, unit, state, machine)


def _advisory(unit: Unit | None) -> list[HealthCheck]:
    return [check for check in unit.requirements.health if check.advisory] if unit else []


def _probed(unit: Unit | None, state: UnitState) -> tuple[CheckState, ...]:
    return state.health[: max(0, len(state.health) - len(_advisory(unit)))]


def machine_of(world: World, unit: str) -> str:
    """The machine that a unit is placed on, or still is on; "" for none."""
    placement = world.placements.get(unit)
    if placement is not None:
        return placement.machine
    return min(world.homes.get(unit, ()), default="")


def _registered(world: World, machine: str) -> bool:
    return machine in world.machines or ("machines", machine) in world.quarantined


def _reported(
    world: World, instance: Instance, unit: Unit, state: UnitState | None, machine: str
) -> Member:
    """An instance on a machine that is there, by what the machine reports."""
    if state is not None and state.error and _answers(world, state):
        began = state.active == "failed" and state.launch >= unit.launch
        how = Condition.FAILED if began else Condition.ERROR
        return Member(instance, unit, state, machine, how, state.error, since=state.since)
    if state is None or state.launch < unit.launch or state.hash != unit.hash:
        return Member(instance, unit, state, machine, Condition.STAGING)
    checks = len(unit.requirements.health) - len(_advisory(unit))
    alive = [one.alive for one in _probed(unit, state)]
    healthy = False if False in alive else True if alive and all(alive) else None
    return Member(
        instance,
        unit,
        state,
        machine,
        _condition(state),
        ending(state),
        healthy=healthy if checks else None,
        checked=bool(checks),
        ready=state.ready or unit.requirements.readiness is None,
        since=state.since,
    )


def _stopped(world: World, state: UnitState | None) -> bool:
    """True when a unit that is to stay where it is has said that it does not run."""
    return state is None or (state.active in ("inactive", "failed") and _answers(world, state))


def _answers(world: World, state: UnitState) -> bool:
    """True when a state speaks of what its machine was told last."""
    held = world.assignment(state.unit, state.machine)
    return held is not None and state.seen == held.generation


def _condition(state: UnitState) -> Condition:
    match state.active:
        case "active" | "reloading" | "refreshing" | "deactivating":
            return Condition.RUNNING
        case "activating":
            return Condition.STARTING
        case "failed":
            return Condition.FAILED
        case "inactive" if state.invocation or state.result:
            return Condition.FINISHED
    return Condition.STAGING


def ending(state: UnitState) -> str:
    """How a run ended, as a sentence with systemd's own word; "" while it goes on."""
    if state.active not in ("failed", "inactive"):
        return ""
    said = state.result if state.result not in ("", "success") else ""
    if said == "oom-kill":
        return "Memory limit exceeded: the kernel killed it (oom-kill)"
    if state.exit_code in ("killed", "dumped"):
        return f"Command terminated with signal {state.exit_status}{f' ({said})' if said else ''}"
    if state.active == "failed" and not state.exit_code:
        return f"Command was not started: what comes before it failed{f' ({said})' if said else ''}"
    if state.active == "failed" or state.exit_code:
        text = f"Command exited with status {state.exit_status}"
        return f"{text} ({said})" if said else text
    return ""


def why(member: Member, app: App | None) -> str:
    """How an instance of ``app`` ended, or why it is as it is; a user that its machine does not
    have is named, as Marathon's clients expect."""
    state = member.state
    if app and app.user and state and state.exit_status == _NO_USER and member.condition in ENDED:
        return f"No such user '{app.user}'"
    return member.message


def task_id(member: Member) -> str:
    """The id of an instance's newest run; of a killed one's last."""
    instance = member.instance
    launch = member.launch or (member.state.launch if member.state else 0) or 1
    return ids.task_id(instance.app, ids.uuid_of_unit(instance.unit), launch)


def is_resident(app: App) -> bool:
    """True for an app whose instances keep data on their machine."""
    volumes = app.container.volumes if app.container else ()
    return any(volume.persistent is not None for volume in volumes)
