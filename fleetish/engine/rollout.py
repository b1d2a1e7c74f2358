"""Rolling updates: units get another text a few at a time; pure.

    Rollout (a document) + world ─▶ how each member stands ─▶ the next step

1. The document says what shall be, never how far it got: that is read from the units and their
   states, so any leader can go on with it, and nothing is written for a unit that became active.
2. A member is a unit, or a global unit on one machine. Counted against ``most`` is every member
   that is wanted but not up, whatever the reason: a machine that is lost slows a rollout down.
3. A member is up again when it has been active for ``settle`` seconds, so that what dies soon
   after its start is noticed. A leader believes its own clock only; the next one counts anew. One
   with checks must be healthy and ready too; an unhealthy one counts as down.
4. Members that are down already are replaced first; of them too at most ``most`` at a time.
5. A global unit has one record. It gets its new text at once, and the planner is told on which
   machines to leave it as it is (``holds``) until it is their turn. A rollout that was stopped or
   cancelled goes on holding them.
6. A unit that somebody else gave another text meanwhile ends the rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from math import floor
from typing import NamedTuple

import msgspec

from fleetish.engine.losses import host
from fleetish.errors import Refused
from fleetish.health import Health, cause, health, lacks
from fleetish.model import Assignment, Document, Record, Target, Unit, UnitState
from fleetish.units.xfleet import Requirements
from fleetish.world import World

KIND = "rollout"


class Stage(StrEnum):
    """How far a rollout is. While it is ``replacing`` or ``undoing`` the engine works at it."""

    REPLACING = "replacing"
    UNDOING = "undoing"
    DONE = "done"
    UNDONE = "undone"
    STOPPED = "stopped"
    CANCELLED = "cancelled"


GOING = (Stage.REPLACING, Stage.UNDOING)


class OnFailure(StrEnum):
    """What to do when a unit fails with its new text: replace no more, give all that have it the
    old one back, or go on without it."""

    STOP = "stop"
    ROLLBACK = "rollback"
    CONTINUE = "continue"


class Text(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A text by its hash, and what it asks. ``launch``: the launch number of a unit that has it; 0
    for the next one."""

    hash: str
    requirements: Requirements = Requirements()
    launch: int = 0


class Row(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One unit of a rollout. ``began``: the hash that it had when the rollout was asked for, where
    that is not ``before``: an earlier rollout was stopped half way."""

    unit: str
    before: Text
    after: Text
    began: str = ""


class Rollout(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody asked for. ``most``: members that may be down at a time, as ``3`` or ``25%``;
    ``settle``: seconds; ``since``, ``ended``: seconds since the epoch, for people."""

    id: str
    rows: tuple[Row, ...]
    most: str = "1"
    on_failure: OnFailure = OnFailure.STOP
    settle: float = 1.0
    stage: Stage = Stage.REPLACING
    reason: str = ""
    since: float = 0.0
    ended: float = 0.0


class Member(NamedTuple):
    """A unit on a machine; ``machine`` is "" for a unit that is nowhere."""

    unit: str
    machine: str


class Mark(NamedTuple):
    """What a member runs, and since when (monotonic seconds) this leader has seen it active."""

    hash: str
    invocation: str
    since: float


Uptimes = Mapping[Member, Mark]


class Standing(NamedTuple):
    """How a member stands. ``idle``: nobody wants it launched. ``replaced``: it has the text that
    the rollout wants. ``up``: it is active with its text; a replaced one for long enough.
    ``failed``: how a replaced one failed. ``until``: when it will have been up for long enough."""

    member: Member
    row: Row
    idle: bool
    replaced: bool
    up: bool
    failed: str = ""
    until: float | None = None

    @property
    def done(self) -> bool:
        """True when there is nothing left to do or to wait for."""
        return self.replaced and (self.idle or self.up)


def document(rollout: Rollout) -> Document:
    """A rollout as it is stored."""
    return Document(kind=KIND, id=rollout.id, body=msgspec.Raw(msgspec.json.encode(rollout)))


def read(stored: Document) -> Rollout | None:
    """The rollout of a document; None when it cannot be read."""
    try:
        return msgspec.json.decode(stored.body, type=Rollout)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def allowed(most: str, total: int) -> int:
    """How many of ``total`` members may be down: a number, or a share rounded down, at least 1.

    Raises Refused for what is neither.
    """
    number = most.removesuffix("%")
    if number.isascii() and number.isdigit() and int(number) > 0:
        if number == most:
            return int(number)
        if int(number) <= 100:
            return max(1, floor(total * int(number) / 100))
    raise Refused(f"cannot have {most!r} unavailable: it is neither a number nor a share",
                  hint="such as 2 or 25%; at least 1")  # fmt: skip


def wanted(rollout: Rollout, row: Row) -> Text:
    """The text that a unit shall have."""
    return row.before if rollout.stage in (Stage.UNDOING, Stage.UNDONE) else row.after


def standings(world: World, rollout: Rollout, uptimes: Uptimes, now: float) -> tuple[Standing, ...]:
    """How every member of a rollout stands, in the order in which they are replaced; destroyed
    units have none."""
    return tuple(
        _standing(world, rollout, row, member, uptimes, now)
        for row in rollout.rows
        for member in members(world, row.unit)
    )


def members(world: World, name: str) -> Iterator[Member]:
    """A unit's members. A global unit on a lost machine is nobody's concern."""
    unit = world.units.get(name)
    if unit is None:
        return
    if not unit.requirements.global_:
        placement = world.placements.get(name)
        yield Member(name, placement.machine if placement else "")
        return
    on = world.homes.get(name, set()) & world.machines.keys()
    yield from (Member(name, machine) for machine in sorted(on, key=lambda m: (host(world, m), m)))


def _standing(
    world: World, rollout: Rollout, row: Row, member: Member, uptimes: Uptimes, now: float
) -> Standing:
    unit, want = world.units[row.unit], wanted(rollout, row)
    held = world.assignment(*member)
    has = held.hash if unit.requirements.global_ and held else unit.hash
    replaced = has == want.hash
    if unit.target is not Target.LAUNCHED:
        return Standing(member, row, True, unit.hash == want.hash, False)
    state = world.state(*member) if member.machine in world.machines else None
    if state is None or held is None or not answers(held, state, has):
        return Standing(member, row, False, replaced, False)
    if replaced and (why := failure(state) or _unhealthy(held, state)):
        return Standing(member, row, False, True, False, f"{why} on {host(world, member.machine)}")
    up = is_up(state) and not lacks(held.requirements, state)
    if not (up and replaced):
        return Standing(member, row, False, replaced, up)
    mark = uptimes.get(member)
    until = (mark.since if mark else now) + rollout.settle
    return Standing(member, row, False, True, now >= until, until=until if now < until else None)


def answers(held: Assignment, state: UnitState, digest: str) -> bool:
    """True when a state is that of the text and the launch that its machine was told, and is about
    what it was told last: one from before may look the same and be over."""
    told = held.target is Target.LAUNCHED and held.hash == digest == state.hash
    return told and state.launch >= held.launch and state.seen >= held.generation


def is_up(state: UnitState) -> bool:
    """True for what is active, and for what had its run and ended well."""
    ran = bool(state.invocation or state.result)
    return state.active in ("active", "reloading") or (state.active == "inactive" and ran)


def _unhealthy(held: Assignment, state: UnitState) -> str:
    """Why a unit is unhealthy, or ""."""
    if health(held.requirements, state) is not Health.UNHEALTHY:
        return ""
    return f"is unhealthy ({cause(state)})"


def failure(state: UnitState) -> str:
    """How a unit failed, or ""."""
    if state.error:
        return f"cannot be run ({state.error})"
    if state.active != "failed":
        return ""
    status = f", status {state.exit_status}" if state.exit_status else ""
    return f"failed ({state.result or 'failed'}{status})"


def marks(world: World, rollouts: Iterable[Rollout], before: Uptimes, now: float) -> Uptimes:
    """Since when the members of rollouts are active with what they run; to be kept for the next
    look."""
    found: dict[Member, Mark] = {}
    for rollout in rollouts:
        for row in rollout.rows:
            for member in members(world, row.unit):
                state = world.state(*member)
                if state is None or not is_up(state):
                    continue
                old = before.get(member)
                same = old is not None and old[:2] == (state.hash, state.invocation)
                found[member] = old if old and same else Mark(state.hash, state.invocation, now)
    return found


def foreign(world: World, rollout: Rollout) -> str:
    """The unit that somebody gave a text that is none of the rollout's, or ""."""
    for row in rollout.rows:
        unit = world.units.get(row.unit)
        if unit is not None and unit.hash not in texts(row):
            return row.unit
    return ""


def texts(row: Row) -> tuple[str, ...]:
    """The hashes that a unit of a rollout may have."""
    return (row.before.hash, row.after.hash, *((row.began,) if row.began else ()))


def with_text(unit: Unit, text: Text) -> Unit:
    """A unit with another text; started once more if it is launched."""
    launch = text.launch or unit.launch + (unit.target is Target.LAUNCHED)
    changed = {"hash": text.hash, "requirements": text.requirements, "launch": launch}
    return msgspec.structs.replace(unit, **changed)


def as_told(unit: Unit, held: Assignment) -> Unit:
    """A unit as the machine that is to leave it as it is was told of it."""
    told = {"hash": held.hash, "requirements": held.requirements, "launch": held.launch}
    return msgspec.structs.replace(unit, **told)
