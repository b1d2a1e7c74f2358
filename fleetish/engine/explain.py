"""Why a unit is where it is, or is nowhere: by the very checks that the planner decides by; pure.

Asked for, never stored. Who asks has no engine's memory of when a machine vanished, so a machine
whose key is absent counts as lost for long enough.
"""

from __future__ import annotations

import msgspec

from fleetish.engine.constraints import reject
from fleetish.engine.draft import Draft
from fleetish.engine.losses import Losses, host, registered
from fleetish.engine.policy import DEFAULT, Policy
from fleetish.engine.roster import Roster, unreadable
from fleetish.errors import NotFound
from fleetish.model import Target, Unit
from fleetish.world import World


class Verdict(msgspec.Struct, frozen=True):
    """One machine: whether it holds or would take the unit (``fits``), and why or why not."""

    machine: str
    host: str
    fits: bool
    reason: str


class Explanation(msgspec.Struct, frozen=True):
    """``machine``: where it is placed, or ""; ``reason``: why it is there, or nowhere."""

    unit: str
    target: str
    machine: str
    reason: str
    machines: tuple[Verdict, ...] = ()


def explain(world: World, unit: str, policy: Policy = DEFAULT) -> Explanation:
    """Where a unit is and why; and of each registered machine why it does or does not take it.

    Raises NotFound when there is no such unit.
    """
    known = world.units.get(unit)
    if known is None:
        broken = world.quarantined.get(("units", unit))
        if broken is None:
            raise NotFound(f"cannot explain {unit}: there is no such unit")
        return Explanation(unit, "", "", f"its record cannot be read: {broken}")
    draft = Draft(world, Roster.of(world))
    rows = tuple(_verdict(draft, known, machine) for machine in sorted(world.machines))
    placement = world.placements.get(unit)
    return Explanation(
        unit=unit,
        target=known.target.value,
        machine=placement.machine if placement else "",
        reason=kept(world, known) + _reason(world, known, rows, policy),
        machines=rows,
    )


def _verdict(draft: Draft, unit: Unit, machine: str) -> Verdict:
    world = draft.world
    room = draft.room(machine)
    if unit.name in room:
        leaving = draft.is_leaving(unit.name, machine)
        text = "is asked to stop it, and has not said that it has" if leaving else "has it"
        return Verdict(machine, host(world, machine), True, text)
    no = reject(room, unit, draft, _avoid(world, unit))
    return Verdict(machine, host(world, machine), no is None, no.reason if no else "would take it")


def _avoid(world: World, unit: Unit) -> tuple[str, ...]:
    placement = world.placements.get(unit.name)
    return placement.failed_on if placement else ()


def kept(world: World, unit: Unit) -> str:
    """The beginning of a reason: for whom a unit is kept ready that nobody wants; else ""."""
    keeper = world.keeper(unit.name) if unit.target is Target.INACTIVE else ""
    return f"kept ready for {keeper}; " if keeper else ""


def _reason(world: World, unit: Unit, rows: tuple[Verdict, ...], policy: Policy) -> str:
    broken = unreadable(world, unit.name)
    if broken:
        return f"nobody can tell where it is, so it is left there: {broken}"
    placement = world.placements.get(unit.name)
    if placement is not None:
        return _placed(world, unit, policy)
    if world.target(unit.name) is Target.INACTIVE:
        return "its target is inactive"
    if unit.requirements.global_:
        on = sum(unit.name in world.assignments(row.machine) for row in rows)
        return f"it is global: on {on} of {len(rows)} machines"
    if any(row.fits for row in rows):
        return "it is not placed yet, though a machine would take it: it is the engine's turn"
    return f"none of {len(rows)} machines takes it" if rows else "no machine is registered"


def _placed(world: World, unit: Unit, policy: Policy) -> str:
    """Of a unit that has a placement."""
    placement = world.placements[unit.name]
    machine = placement.machine
    there = host(world, machine)
    if not registered(world, machine):
        kept = _losses(world, policy).keeps(machine, unit.requirements.klass)
        return kept or f"{there} is lost; it moves once that is certain, if a machine takes it"
    if placement.leaving:
        return f"{there} has not yet said that it stopped: {placement.reason}"
    if machine not in world.machines:
        why = world.quarantined["machines", machine]
        return f"the record of {machine} cannot be read, so it is left there: {why}"
    overlay = world.overlays.get(machine)
    if overlay is not None and overlay.draining:
        return f"{there} is draining, but it stays: it is pinned, or has just been asked to leave"
    return placement.reason


def _losses(world: World, policy: Policy) -> Losses:
    since = dict.fromkeys(world.absent, float("-inf"))
    return Losses.of(world, 0.0, since, policy)


def alarms(world: World, policy: Policy = DEFAULT) -> tuple[str, ...]:
    """What an operator should know of the cluster as a whole: that the mass-loss brake holds."""
    alarm = _losses(world, policy).alarm
    return (alarm,) if alarm else ()
