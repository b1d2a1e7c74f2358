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
6. A unit that activates another (a socket its service) is where that one is, as if by MachineOf;
   also a global one. Where the cluster has no such unit, the machine's own is activated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from fleetish.engine.draft import Draft, Room
from fleetish.engine.spread import constraint, group_by
from fleetish.model import Unit
from fleetish.units.globs import is_glob, matches
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


def leaders(asked: Requirements, draft: Draft) -> tuple[str, ...]:
    """Whom a unit is to be with: the words of MachineOf, and of the units that it activates those
    that the cluster has."""
    if not asked.triggers:
        return asked.machine_of
    return (*asked.machine_of, *(name for name in asked.triggers if _is_ours(name, draft)))


def _is_ours(name: str, draft: Draft) -> bool:
    return name in draft.world.units or ("units", name) in draft.world.quarantined


def machine_of(room: Room, unit: Unit, draft: Draft) -> str:
    for word in leaders(unit.requirements, draft):
        if not peer_here(room, word, unit, draft):
            return _lacks(word, unit, draft)
    return ""


def peer_here(room: Room, word: str, unit: Unit, draft: Draft) -> str:
    """The peer that a word means if it is here, of a pattern the first by name; else ""."""
    if not is_glob(word):
        return word if word in draft.together or _is_peer_here(room, word, draft) else ""
    meant = draft.roster.meant(word)
    near = {name for name in room if name in meant and _is_peer_here(room, name, draft)}
    near |= {name for name in draft.together if name in meant}
    return min((name for name in near if _is_other(name, unit)), default="")


def peers(word: str, unit: Unit, draft: Draft) -> Iterator[str]:
    """The units that a word means as peers of a unit; one of them is enough to satisfy it."""
    meant = draft.roster.meant(word)
    return (name for name in meant if not is_glob(word) or _is_other(name, unit))


def _is_other(name: str, unit: Unit) -> bool:
    """False for the unit itself, and for one that it would drive out, of those a pattern means."""
    return name != unit.name and not _any(unit.requirements.replaces, name)


def _is_peer_here(room: Room, peer: str, draft: Draft) -> bool:
    if draft.home(peer) is not None:
        return draft.home(peer) == room.id
    known = draft.world.units.get(peer)
    return known is not None and known.requirements.global_ and peer in room


def _lacks(word: str, unit: Unit, draft: Draft) -> str:
    if is_glob(word):
        return f"has no unit that {word} means"
    where = draft.home(word)
    there = f"on {draft.host(where)}" if where else _no(word, draft)
    own = "which it activates and " if word in unit.requirements.triggers else ""
    return f"does not have {word}, {own}which is {there}"


def _no(peer: str, draft: Draft) -> str:
    return "not placed" if _is_ours(peer, draft) else "not a unit"


def still_with_peers(room: Room, unit: Unit, draft: Draft) -> str:
    """As :func:`machine_of`, but peers that are about to come do not drive a unit away."""
    for word in leaders(unit.requirements, draft):
        if not peer_here(room, word, unit, draft) and not _is_coming(room, word, unit, draft):
            return _lacks(word, unit, draft)
    return ""


def _is_coming(room: Room, word: str, unit: Unit, draft: Draft) -> bool:
    """True when a peer has no machine yet and waits for this very unit, or is activated by it and
    fits here."""
    for peer in peers(word, unit, draft):
        if draft.home(peer) is not None or peer not in draft.roster.wanting:
            continue
        if _follows(peer, unit, draft):
            return True
        if peer in unit.requirements.triggers:
            return not first_no(room, draft.world.units[peer], draft)[0]
    return False


def _follows(unit: str, leader: Unit, draft: Draft) -> bool:
    """True when ``unit`` follows ``leader``, itself or by way of others."""
    entries = draft.roster.entries
    seen, todo = {unit}, [unit]
    while todo:
        words = entries[todo.pop()].peers
        near = {name for word in words for name in draft.roster.meant(word)}
        if leader.name in near:
            return True
        fresh = (near & entries.keys()) - seen
        seen |= fresh
        todo += fresh
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
    Check("Constraint", constraint, lasting=True),
    Check("resources", resources, lasting=True),
    Check("ports", ports, lasting=True),
    Check("Constraint GROUP_BY", group_by, lasting=False),
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
