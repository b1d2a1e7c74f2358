"""From the cluster's records to what the API answers.

Whether a wish has come true is judged here, once: :func:`standing` is what the command line waits
for, what ``events`` carry and what ``list-unit-files`` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fleetish.engine.explain import kept
from fleetish.engine.losses import host as host_of
from fleetish.engine.losses import registered
from fleetish.errors import NotFound, Refused
from fleetish.health import PROBED, Health, cause, check_health, health, lacks
from fleetish.model import Assignment, CheckState, Target, Unit, UnitState
from fleetish.resources import NOTHING
from fleetish.units.health import HealthCheck, OnUnhealthy, written
from fleetish.units.name import parse_name
from fleetish.units.xfleet import Requirements
from fleetish.wire import CheckView, MachineView, StateView, UnitView
from fleetish.world import World


class Standing(NamedTuple):
    """How far a wish has come; at most one of ``problem`` and ``waiting`` is set."""

    settled: bool
    problem: str = ""
    waiting: str = ""


DONE = Standing(settled=True)


def problem(text: str) -> Standing:
    return Standing(settled=False, problem=text)


def waiting(text: str) -> Standing:
    return Standing(settled=False, waiting=text)


def homes(world: World, unit: str) -> tuple[str, ...]:
    """The machines that a unit is assigned to; several for a global unit, or while it moves."""
    return tuple(sorted(world.homes.get(unit, ())))


def standing(world: World, unit: Unit, on: tuple[str, ...]) -> Standing:
    """Whether what is wanted of a unit, assigned to the machines ``on``, is so; of one that is kept
    ready, whether it is."""
    placement = world.placements.get(unit.name)
    if world.target(unit.name) is Target.INACTIVE:
        if not on and placement is None:
            return DONE
        return waiting(f"to leave {_hosts(world, on or _placed(world, unit))}")
    if unit.requirements.global_:
        return _all_of(world, unit, on)
    if placement is None:
        return waiting("for a machine that fits")
    if placement.leaving:
        return waiting(f"to leave {host_of(world, placement.machine)}")
    return _on_machine(world, unit, placement.machine)


def _placed(world: World, unit: Unit) -> tuple[str, ...]:
    placement = world.placements.get(unit.name)
    return (placement.machine,) if placement else ()


def _hosts(world: World, machines: Iterable[str]) -> str:
    return ", ".join(host_of(world, machine) for machine in machines)


def _all_of(world: World, unit: Unit, on: tuple[str, ...]) -> Standing:
    """A global unit stands as the worst of its machines; lost ones do not count."""
    found = [_on_machine(world, unit, machine) for machine in on if registered(world, machine)]
    if not found:
        return waiting("for a machine that fits")
    order = [one for one in found if one.problem] + [one for one in found if one.waiting]
    return order[0] if order else DONE


def _on_machine(world: World, unit: Unit, machine: str) -> Standing:
    host = host_of(world, machine)
    if not registered(world, machine):
        return waiting(f"because {host} is lost")
    state = world.state(unit.name, machine)
    if state is None or state.hash != unit.hash:
        return waiting(f"for {host} to take it in")
    if state.error:
        return problem(f"{host}: {state.error}")
    if unit.target is Target.LAUNCHED:
        return _launched(unit, state, host)
    if state.active in ("inactive", "failed") or _may_run(world, unit, machine):
        return DONE
    return waiting(f"to stop on {host} ({state.sub})")


def _may_run(world: World, unit: Unit, machine: str) -> bool:
    """True when a unit that is launched on the machine brings up this one, which is loaded only,
    itself or by way of others."""
    there = world.assignments(machine)
    seen, todo = {unit.name}, [unit.name]
    while todo:
        name = todo.pop()
        above = [
            one for one in there.values() if one.unit not in seen and _brings(one, name, there)
        ]
        if any(one.target is Target.LAUNCHED for one in above):
            return True
        seen.update(one.unit for one in above)
        todo += [one.unit for one in above]
    return False


def _brings(held: Assignment, name: str, there: Mapping[str, Assignment]) -> bool:
    """True when a unit activates or pulls up another of its machine, by either one's file."""
    asked = held.requirements
    if name in asked.triggers or name in asked.pulls:
        return True
    other = there.get(name)
    return other is not None and held.unit in (
        *other.requirements.wanted_by,
        *other.requirements.required_by,
    )


def _launched(unit: Unit, state: UnitState, host: str) -> Standing:
    if state.launch < unit.launch:
        return waiting(f"to be started on {host}")
    if state.active in PROBED:
        return _checked(unit, state, host)
    if state.active == "failed":
        text = f"failed on {host}: {outcome(state)}"
        return waiting(f"after it {text}") if unit.requirements.reschedule else problem(text)
    if state.active == "inactive" and has_run(state):
        return DONE  # a oneshot that has finished, or a condition that was not met
    return waiting(f"to become active on {host} ({state.sub})")


def _checked(unit: Unit, state: UnitState, host: str) -> Standing:
    """What runs is wanted healthy and ready too, where it says how that is told."""
    asked = unit.requirements
    why = f" ({cause(state)})" if cause(state) else ""
    if health(asked, state) is Health.UNHEALTHY:
        again = asked.on_unhealthy is not OnUnhealthy.NONE
        found = f"unhealthy on {host}{why}"
        return waiting(f"to be killed: it is {found}") if again else problem(found)
    word = lacks(asked, state)
    return waiting(f"to become {word} on {host}{why}") if word else DONE


def has_run(state: UnitState) -> bool:
    """True when systemd has ended a run of the unit, rather than not begun one."""
    return bool(state.invocation or state.result)


def outcome(state: UnitState) -> str:
    """Why a unit failed, in systemd's words: ``exit-code, exited with 1``."""
    said = state.result or "failed"
    if state.exit_code in ("killed", "dumped"):
        return f"{said}, killed by signal {state.exit_status}"
    return f"{said}, exited with {state.exit_status}" if state.exit_status else said


def current(world: World, unit: Unit) -> str:
    """fleet's three words for how far a unit got: inactive, loaded, launched."""
    placement = world.placements.get(unit.name)
    held = world.assignment(unit.name, placement.machine) if placement else None
    if placement is None or held is None or world.state(unit.name, placement.machine) is None:
        return "inactive"
    state = world.state(unit.name, placement.machine)
    launched = held.target is Target.LAUNCHED and state and state.launch >= held.launch
    return "launched" if launched else "loaded"


def unit_view(world: World, unit: Unit, on: tuple[str, ...], desc: str = "") -> UnitView:
    """A unit as the API shows it; ``on`` are its ``homes``."""
    placement = world.placements.get(unit.name)
    how = standing(world, unit, on)
    return UnitView(
        name=unit.name,
        hash=unit.hash,
        target=unit.target.value,
        launch=unit.launch,
        current=current(world, unit),
        machine=placement.machine if placement else "",
        reason=kept(world, unit) + (placement.reason if placement else ""),
        settled=how.settled,
        problem=how.problem,
        waiting=how.waiting,
        is_global=unit.requirements.global_,
        klass=unit.requirements.klass.value,
        since=unit.since,
        states=state_views(world, unit.name),
        desc=desc,
    )


def state_views(world: World, unit: str) -> tuple[StateView, ...]:
    """The states of a unit, by machine id."""
    held = world.states.get(unit, {})
    return tuple(state_view(world, held[machine]) for machine in sorted(held))


def state_view(world: World, state: UnitState) -> StateView:
    """A state; of a lost machine nobody knows how its units are, so it says unknown and lost."""
    stale = not registered(world, state.machine)
    held = world.assignment(state.unit, state.machine)
    asked = held.requirements if held and held.hash == state.hash else Requirements()
    return StateView(
        unit=state.unit,
        machine=state.machine,
        hash=state.hash,
        load=state.load,
        active="unknown" if stale else state.active,
        sub="lost" if stale else state.sub,
        since=state.since,
        result=state.result,
        exit_code=state.exit_code,
        exit_status=state.exit_status,
        main_pid=0 if stale else state.main_pid,
        restarts=state.restarts,
        failures=state.failures,
        memory=state.memory,
        cpu=state.cpu,
        error=state.error,
        stale=stale,
        health="" if stale else health(asked, state).value,
        ready=state.ready and not stale,
        checks=tuple(map(check_view, asked.health, state.health)),
    )


def check_view(check: HealthCheck, found: CheckState) -> CheckView:
    """A health check, and what it has shown."""
    return CheckView(
        check=written(check),
        health=check_health(check, found).value,
        alive=found.alive,
        failures=found.failures,
        first_success=found.first_success,
        last_success=found.last_success,
        last_failure=found.last_failure,
        cause=found.cause,
    )


def all_states(world: World, unit: str = "", machine: str = "") -> tuple[StateView, ...]:
    """Every state by unit and machine, or those of one unit, of one machine."""
    names = [unit] if unit else sorted(world.states)
    return tuple(
        view
        for name in names
        for view in state_views(world, name)
        if not machine or view.machine == machine
    )


def machine_view(world: World, machine: str) -> MachineView:
    """A machine, registered or lost, with the operator's overlay applied."""
    known = world.machines.get(machine)
    overlay = world.overlays.get(machine)
    shared = MachineView(
        id=machine,
        state=machine_state(world, machine),
        metadata=world.metadata(machine),
        used=world.used.get(machine, NOTHING),
        units=len(world.assignments(machine)),
        reason=overlay.reason if overlay else "",
    )
    if known is None:
        return shared
    return MachineView(
        id=machine,
        host=known.host,
        ip=known.address,
        endpoint=known.endpoint,
        state=shared.state,
        metadata=shared.metadata,
        capacity=known.capacity,
        used=shared.used,
        units=shared.units,
        version=known.version,
        systemd=known.systemd,
        since=known.since,
        reason=shared.reason,
    )


def machine_state(world: World, machine: str) -> str:
    """One word: lost, unreadable (its record), draining, cordoned or ready."""
    overlay = world.overlays.get(machine)
    if machine not in world.machines:
        return "unreadable" if registered(world, machine) else "lost"
    if overlay and overlay.draining:
        return "draining"
    return "cordoned" if overlay and overlay.cordoned else "ready"


def known_machines(world: World) -> set[str]:
    """Registered machines, and lost ones that something still speaks of."""
    return {*world.machines, *world.overlays, *world.assigned}


def find_machine(world: World, text: str) -> str:
    """A machine's id by its id, an unambiguous beginning of it, its host name or address.

    Raises NotFound, or Refused when several are meant.
    """
    ids = known_machines(world)
    if text in ids:
        return text
    found = {one.id for one in world.machines.values() if text in (one.host, one.address)}
    found |= {one for one in ids if text and one.startswith(text)}
    if not found:
        raise NotFound(f"cannot find machine {text!r}", hint="see fleetish list-machines --full")
    if len(found) > 1:
        raise Refused(f"cannot tell which machine {text!r} is: {', '.join(sorted(found))}")
    return found.pop()


def find_unit(world: World, name: str) -> Unit:
    """A unit's record. Raises BadName for what is no name, NotFound when there is no such unit."""
    parse_name(name)
    unit = world.units.get(name)
    if unit is not None:
        return unit
    broken = world.quarantined.get(("units", name))
    if broken:
        raise Refused(f"cannot use {name}: its record in etcd is unreadable: {broken}")
    raise NotFound(f"cannot find unit {name}", hint="see fleetish list-unit-files")
