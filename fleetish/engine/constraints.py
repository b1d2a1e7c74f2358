"""What a machine must be, have and hold for a unit to run there: the CHECKS; pure.

fleet's options first (their exact meaning: :mod:`fleetish.units.xfleet`), then amounts and ports.
The planner and ``explain`` use the same rows, so what is said is what was decided by.

1. Rows are ordered from cheap to dear; the first that says no is the reason.
2. ``lasting``: a no holds for every unit with the same requirements until something is freed; the
   other rows depend on the unit's own name or history.
3. ``staying``: the row is asked again of a unit that is placed; what was reserved stays reserved.
4. Of two placed units that cannot stand beside each other, the one that ranks behind leaves:
   global units rank first, then those with more priority, then by name.
5. Units that replace each other: fleet runs only one of the two, so the second has no place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from fleetish.engine.draft import Draft, Room
from fleetish.model import Unit
from fleetish.units.globs import matches
from fleetish.units.xfleet import Requirements

#: Machines a unit is not to return to.
Avoid = tuple[str, ...]


class Rejection(msgspec.Struct, frozen=True):
    """Why a machine does not take a unit: ``reason`` follows the machine's name in a sentence."""

    machine: str
    reason: str


class Check(NamedTuple):
    """A row: ``says`` gives the reason against, or "" for none."""

    name: str
    says: Callable[[Room, Unit, Draft], str]
    lasting: bool
    staying: Callable[[Room, Unit, Draft], str] | None = None


def rank(unit: str, asked: Requirements) -> tuple[bool, int, str]:
    """The smaller stays, or is placed first."""
    return (not asked.global_, -asked.priority, unit)


def is_open(room: Room, unit: Unit, draft: Draft) -> str:
    return room.closed


def machine_id(room: Room, unit: Unit, draft: Draft) -> str:
    """fleet compares with the whole id and with its first 8 characters, no other prefix."""
    wanted = unit.requirements.machine_id
    return "" if wanted in ("", room.id, room.id[:8]) else f"is not machine {wanted}"


def metadata(room: Room, unit: Unit, draft: Draft) -> str:
    for key, allowed in unit.requirements.metadata:
        if room.metadata.get(key) not in allowed:
            return f"lacks metadata {' or '.join(f'{key}={value}' for value in allowed)}"
    return ""


def machine_of(room: Room, unit: Unit, draft: Draft) -> str:
    for peer in unit.requirements.machine_of:
        if peer in draft.together or _is_peer_here(room, peer, draft):
            continue
        where = draft.home(peer)
        there = f"on {draft.host(where)}" if where else _no(peer, draft)
        return f"does not have {peer}, which is {there}"
    return ""


def _is_peer_here(room: Room, peer: str, draft: Draft) -> bool:
    if draft.home(peer) is not None:
        return draft.home(peer) == room.id
    known = draft.world.units.get(peer)
    return known is not None and known.requirements.global_ and peer in room


def _no(peer: str, draft: Draft) -> str:
    return "not placed" if peer in draft.world.units else "not a unit"


def still_with_peers(room: Room, unit: Unit, draft: Draft) -> str:
    """As :func:`machine_of`, but peers that wait for this very unit do not drive it away."""
    said = machine_of(room, unit, draft)
    if not said:
        return ""
    missing = [p for p in unit.requirements.machine_of if not _is_peer_here(room, p, draft)]
    waiting = all(
        draft.home(peer) is None and peer in draft.roster.wanting and _follows(peer, unit, draft)
        for peer in missing
    )
    return "" if waiting else said


def _follows(unit: str, leader: Unit, draft: Draft) -> bool:
    """True when ``unit`` names ``leader`` in MachineOf, itself or by way of others."""
    seen, todo = {unit}, [unit]
    while todo:
        for peer in draft.roster.entries[todo.pop()].peers:
            if peer == leader.name:
                return True
            if peer not in seen and peer in draft.roster.entries:
                seen.add(peer)
                todo.append(peer)
    return False


def conflicts(room: Room, unit: Unit, draft: Draft) -> str:
    """The unit's own patterns against the names that are here."""
    patterns = unit.requirements.conflicts
    hit = next(_named(patterns, room, unit.name), None) if patterns else None
    return f"has {hit}, which the unit conflicts with" if hit else ""


def conflicted(room: Room, unit: Unit, draft: Draft) -> str:
    """The patterns of those that are here against the unit's name."""
    hit = next(_naming("conflicts", room, unit, draft), None) if room.picky else None
    return f"has {hit}, which conflicts with the unit" if hit else ""


def replaced(room: Room, unit: Unit, draft: Draft) -> str:
    """A unit has no place beside one that replaces it, nor while one runs that it replaces back."""
    for other in _naming("replaces", room, unit, draft) if room.picky else ():
        if not _any(unit.requirements.replaces, other):
            return f"has {other}, which replaces the unit"
    mutual = _mutual(unit, draft) if unit.requirements.replaces else ""
    return f"cannot take it: {mutual} runs, and the two replace each other" if mutual else ""


def _mutual(unit: Unit, draft: Draft) -> str:
    """A placed unit that replaces this one and is replaced by it, or ""."""
    everyone = {name for names in draft.roster.picky.values() for name in names}
    everyone |= {n for n in draft.roster.wanting if draft.roster.entries[n].picky}
    for other in sorted(everyone - {unit.name}):
        where = draft.home(other) if _any(unit.requirements.replaces, other) else None
        if where is not None and _any(draft.asked(other, where).replaces, unit.name):
            return other
    return ""


def resources(room: Room, unit: Unit, draft: Draft) -> str:
    wanted = unit.requirements.resources
    return "" if wanted.fits(room.free) else ", ".join(wanted.lacks(room.free))


def ports(room: Room, unit: Unit, draft: Draft) -> str:
    granted = room.grant(unit.requirements.ports)
    return granted if isinstance(granted, str) else ""


def cannot_stand(room: Room, unit: Unit, draft: Draft) -> str:
    """As :func:`conflicts` and :func:`conflicted`, for a unit that is here and ranks behind."""
    own = rank(unit.name, unit.requirements)
    rows = (
        ("which the unit conflicts with", _named(unit.requirements.conflicts, room, unit.name)),
        ("which conflicts with the unit", _naming("conflicts", room, unit, draft)),
    )
    for text, names in rows:
        for other in names:
            ahead = rank(other, draft.asked(other, room.id)) < own
            if ahead and not draft.is_leaving(other, room.id):
                return f"has {other}, {text}"
    return ""


def driven_out(room: Room, unit: Unit, draft: Draft) -> str:
    """A unit that is here leaves when one comes that replaces it, unless it replaces that too."""
    for other in _naming("replaces", room, unit, draft):
        if not _any(unit.requirements.replaces, other) and not draft.is_leaving(other, room.id):
            return f"has {other}, which replaces the unit"
    return ""


CHECKS = (
    Check("open", is_open, lasting=True),
    Check("MachineID", machine_id, lasting=True, staying=machine_id),
    Check("MachineMetadata", metadata, lasting=True, staying=metadata),
    Check("resources", resources, lasting=True),
    Check("ports", ports, lasting=True),
    Check("MachineOf", machine_of, lasting=False, staying=still_with_peers),
    Check("Conflicts", conflicts, lasting=True, staying=cannot_stand),
    Check("Conflicts of others", conflicted, lasting=False),
    Check("Replaces", replaced, lasting=False, staying=driven_out),
)


def first_no(room: Room, unit: Unit, draft: Draft, avoid: Avoid = ()) -> tuple[str, bool]:
    """The first reason against, and whether it is lasting; ``("", True)`` when the unit fits."""
    for check in CHECKS:
        reason = check.says(room, unit, draft)
        if reason:
            return reason, check.lasting
    return ("is where it kept failing", False) if room.id in avoid else ("", True)


def reject(room: Room, unit: Unit, draft: Draft, avoid: Avoid = ()) -> Rejection | None:
    """Why a machine does not take a unit, or None when it does."""
    reason, _ = first_no(room, unit, draft, avoid)
    return Rejection(room.id, reason) if reason else None


def must_leave(room: Room, unit: Unit, draft: Draft) -> str:
    """Why a unit that is placed on a registered machine may not stay, or ""."""
    for check in CHECKS:
        reason = check.staying(room, unit, draft) if check.staying else ""
        if reason:
            return reason
    return ""


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)


def _named(patterns: tuple[str, ...], room: Room, own: str) -> Iterator[str]:
    """The units here that one of the patterns means, never the unit itself; in name order."""
    if not patterns:
        return iter(())
    return iter(sorted(name for name in room if name != own and _any(patterns, name)))


def _naming(field: str, room: Room, unit: Unit, draft: Draft) -> Iterator[str]:
    """The units here whose patterns mean the unit; in name order."""
    return (
        other
        for other in sorted(room.picky)
        if other != unit.name and _any(getattr(draft.asked(other, room.id), field), unit.name)
    )
