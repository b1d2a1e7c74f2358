"""The next step of a rolling update; pure. The rules are those of :mod:`fleetish.engine.rollout`.

a unit has some other text          ─▶ stopped
a replaced one failed               ─▶ stopped, or undoing, or it no longer counts
every member is done                ─▶ done, or undone
fewer than ``most`` are down        ─▶ replace as many as that allows
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from fleetish.changes import Change, PutDocument, ReplaceUnit
from fleetish.engine.rollout import (
    GOING,
    Member,
    OnFailure,
    Rollout,
    Stage,
    Standing,
    Uptimes,
    allowed,
    document,
    foreign,
    standings,
    texts,
    wanted,
    with_text,
)
from fleetish.model import Target
from fleetish.world import World


class Step(NamedTuple):
    """What is to be done now. ``holds``: members that their machine is not to be told news of.
    ``wake``: when (monotonic seconds) time alone changes this."""

    changes: tuple[Change, ...] = ()
    holds: frozenset[Member] = frozenset()
    wake: float | None = None


def step(world: World, rollout: Rollout, uptimes: Uptimes, now: float, date: float) -> Step:
    """The next step of a rollout. ``now`` in monotonic seconds, ``date`` since the epoch."""
    if rollout.stage in (Stage.DONE, Stage.UNDONE):
        return Step()
    if rollout.stage not in GOING:
        return Step(holds=_left(world, rollout))
    other = foreign(world, rollout)
    if other:
        return _end(world, rollout, Stage.STOPPED, f"{other} was given another text", date)
    found = standings(world, rollout, uptimes, now)
    failed = [one for one in found if one.failed]
    if failed and rollout.stage is Stage.REPLACING:
        why = f"{failed[0].member.unit} {failed[0].failed}"
        if rollout.on_failure is OnFailure.STOP:
            return _end(world, rollout, Stage.STOPPED, why, date)
        if rollout.on_failure is OnFailure.ROLLBACK:
            return _undo(world, rollout, why)
    if _all_have_it(world, rollout) and all(one.done or one.failed for one in found):
        stage = Stage.DONE if rollout.stage is Stage.REPLACING else Stage.UNDONE
        return _end(world, rollout, stage, _summary(rollout, failed), date)
    turn = _turn(rollout, found)
    waits = [one.until for one in found if one.until is not None]
    return Step(
        tuple(_replace(world, rollout, found, turn)),
        _holds(world, rollout, found, turn),
        min(waits, default=None),
    )


def _all_have_it(world: World, rollout: Rollout) -> bool:
    rows = [row for row in rollout.rows if row.unit in world.units]
    return all(world.units[row.unit].hash == wanted(rollout, row).hash for row in rows)


def _summary(rollout: Rollout, failed: Sequence[Standing]) -> str:
    said = [rollout.reason] if rollout.reason else []
    said += [f"{one.member.unit} {one.failed}" for one in failed]
    return "; ".join(said)


def ended(rollout: Rollout, stage: Stage, reason: str, date: float) -> PutDocument:
    """The change by which a rollout ends; ``date`` since the epoch."""
    last = msgspec.structs.replace(rollout, stage=stage, reason=reason, ended=date)
    why = f"rollout {rollout.id} is {stage}{f': {reason}' if reason else ''}"
    return PutDocument(document(last), why)


def _end(world: World, rollout: Rollout, stage: Stage, reason: str, date: float) -> Step:
    return Step((ended(rollout, stage, reason, date),), _left(world, rollout))


def _undo(world: World, rollout: Rollout, why: str) -> Step:
    undoing = msgspec.structs.replace(rollout, stage=Stage.UNDOING, reason=why)
    change = PutDocument(document(undoing), f"rollout {rollout.id} is being undone: {why}")
    return Step((change,), _left(world, rollout))


def _left(world: World, rollout: Rollout) -> frozenset[Member]:
    """The members of launched global units that do not have the text of their unit's record."""
    return frozenset(
        Member(row.unit, machine)
        for row in rollout.rows
        if (unit := world.units.get(row.unit)) and unit.requirements.global_
        if unit.target is Target.LAUNCHED and unit.hash in texts(row)
        for machine in world.machines
        if (held := world.assignment(row.unit, machine)) and held.hash != unit.hash
    )


def _turn(rollout: Rollout, found: Sequence[Standing]) -> set[Member]:
    """The members whose turn it is."""
    counted = [one for one in found if not one.idle and not one.failed]
    most = allowed(rollout.most, len(counted))
    down = sum(not one.up for one in counted)
    starting = sum(one.replaced and not one.up for one in counted)
    old = [one for one in counted if not one.replaced]
    picked = [one for one in old if not one.up][: max(0, most - starting)]
    room = min(most - down, most - starting - len(picked))
    picked += [one for one in old if one.up][: max(0, room)]
    return {one.member for one in picked} | {one.member for one in found if one.idle}


def _replace(
    world: World, rollout: Rollout, found: Sequence[Standing], turn: set[Member]
) -> Iterator[Change]:
    """The units that get their text now: a global one as soon as it is in the rollout."""
    total = len({one.row.unit for one in found})
    for row in rollout.rows:
        unit, text = world.units.get(row.unit), wanted(rollout, row)
        if unit is None or unit.hash == text.hash:
            continue
        own = [one.member for one in found if one.row is row]
        if unit.requirements.global_ or any(member in turn for member in own):
            reason = f"rollout {rollout.id} of {total} unit{'' if total == 1 else 's'}"
            yield ReplaceUnit(with_text(unit, text), "", reason)


def _holds(
    world: World, rollout: Rollout, found: Sequence[Standing], turn: set[Member]
) -> frozenset[Member]:
    """The members of global units that wait for their turn; all, until the record is right."""
    held = set()
    for one in found:
        unit = world.units[one.member.unit]
        ready = unit.hash == wanted(rollout, one.row).hash
        its_turn = one.replaced or one.member in turn
        if unit.requirements.global_ and not one.idle and not (ready and its_turn):
            held.add(one.member)
    return frozenset(held)
