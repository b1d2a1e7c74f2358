"""From what somebody asks of units to the changes that make it so, checked as a whole.

1. Every row is checked before the first change is made: one bad row, and nothing happens.
2. The same request, planned again over a newer world, gives what is still missing: that is how a
   conflict, or a write whose answer never came, is met.
3. An instance without a text takes that of its stored template, which is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from fleetish.api.views import find_unit, has_run, homes
from fleetish.changes import Change, CreateUnit, DestroyUnit, ReplaceUnit, SetTarget
from fleetish.errors import BadUnit, Conflict, Refused
from fleetish.model import Target, Unit
from fleetish.units.file import UnitFile, content_hash, parse, problems
from fleetish.units.name import parse_name
from fleetish.units.verify import read_as, verify
from fleetish.units.xfleet import Requirements, requirements
from fleetish.wire import BulkWish, Outcome, Problem, Wish
from fleetish.wire_faults import Invalid, Missing
from fleetish.world import World

LEVELS = {Target.INACTIVE: 0, Target.LOADED: 1, Target.LAUNCHED: 2}


class Asked(NamedTuple):
    """The changes that a request comes to, and a row for each unit it names."""

    changes: tuple[Change, ...]
    outcomes: tuple[Outcome, ...]


class Checked(NamedTuple):
    """A unit file that can be taken under a name."""

    text: str
    hash: str
    requirements: Requirements


class Digests:
    """Which stored texts a request needs, and those that have been read, by hash."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.known = dict(given)
        for digest, text in given.items():
            if _hash_of(text) not in (digest, ""):
                raise Refused(f"cannot take the text under {digest}: its hash is another")

    def needed(self, world: World, wishes: Sequence[Wish]) -> set[str]:
        """The hashes whose texts must be read before the request can be planned."""
        return {digest for wish in wishes if (digest := self.of(world, wish))} - set(self.known)

    def of(self, world: World, wish: Wish) -> str:
        """The hash of the text that a row without text stands for; "" when it needs none."""
        if wish.text is not None or wish.hash:
            return wish.hash
        if wish.name in world.units:
            return ""
        template = world.units.get(parse_name(wish.name).template)
        return template.hash if template else ""


def _hash_of(text: str) -> str:
    """A text's hash; "" for one that is no unit file, which is told with the unit that wants it."""
    try:
        return content_hash(parse(text))
    except BadUnit:
        return ""


def problems_of(name: str, text: str) -> tuple[Problem, ...]:
    """Everything that is wrong with a text as the file of a unit of this name."""
    try:
        parse_name(name)
    except Refused as error:
        return (Problem(name=name, message=str(error)),)
    found = problems(text, name) or verify(parse(text, name), name)
    return tuple(
        Problem(
            name=name,
            message=one.message.removeprefix(f"{one.where}: "),
            where=one.where,
            directive=one.directive,
        )
        for one in found
    )


@lru_cache(maxsize=256)
def _file(text: str, source: str) -> tuple[UnitFile, str, tuple[Problem, ...]]:
    """A text parsed and verified once for all instances of a template."""
    found = problems_of(source, text)
    if found:
        return parse("", source), "", found
    file = parse(text, source)
    return file, content_hash(file), ()


def check_text(name: str, text: str) -> Checked:
    """The text as the file of a unit. Raises Invalid, BadName, BadOption."""
    source = parse_name(name).template or name
    file, digest, found = _file(text, source)
    if found:
        raise Invalid(found)
    return Checked(text, digest, requirements(file, read_as(name)))


def plan_wishes(world: World, bulk: BulkWish, digests: Digests, now: float) -> Asked:
    """What a bulk request comes to. Raises Refused, Missing or Conflict; then nothing is done."""
    _no_repeats([wish.name for wish in bulk.units])
    rows: list[Row] = []
    missing: list[str] = []
    invalid: list[Problem] = []
    for wish in bulk.units:
        try:
            rows.append(_plan_wish(world, wish, bulk, digests, now))
        except Missing as error:
            missing.extend(error.names)
        except Invalid as error:
            invalid.extend(one for one in error.problems if one not in invalid)
    if invalid:
        raise Invalid(invalid)
    if missing:
        raise Missing(missing)
    return _together(rows)


def _no_repeats(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if _repeats(names) else []
    if twice:
        raise Refused(f"cannot take the request: it names {', '.join(twice[:5])} twice")


def _repeats(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


Row = tuple[Change | None, Outcome]


def _together(rows: Sequence[Row]) -> Asked:
    changes = tuple(change for change, _ in rows if change is not None)
    return Asked(changes, tuple(outcome for _, outcome in rows))


def _plan_wish(world: World, wish: Wish, bulk: BulkWish, digests: Digests, now: float) -> Row:
    target = target_named(wish.target) if wish.target else None
    text = wish.text
    if text is None and (digest := digests.of(world, wish)):
        text = digests.known[digest]
    checked = check_text(wish.name, text) if text is not None else None
    if ("units", wish.name) in world.quarantined:
        find_unit(world, wish.name)
    unit = world.units.get(wish.name)
    if unit is None:
        if checked is None:
            parse_name(wish.name)
            raise Missing([wish.name])
        return _create(wish.name, checked, target or Target.INACTIVE, now)
    if bulk.at_least and target and LEVELS[target] < LEVELS[unit.target]:
        target = None
    if checked is None or checked.hash == unit.hash:
        return _retarget(world, unit, target or unit.target, asked=target is not None)
    if bulk.keep:
        change, row = _retarget(world, unit, target or unit.target, asked=target is not None)
        return change, _outcome(row, "kept")
    if not bulk.replace:
        raise Conflict(
            f"cannot submit {wish.name}: it exists with another text",
            hint="use --replace to give it this one",
        )
    return _replace(unit, checked, target or Target.INACTIVE)


def _outcome(row: Outcome, word: str) -> Outcome:
    return Outcome(name=row.name, outcome=word, target=row.target, launch=row.launch, hash=row.hash)


def target_named(word: str) -> Target:
    """One of fleet's three words. Raises Refused."""
    try:
        return Target(word)
    except ValueError:
        raise Refused(
            f"cannot set the target {word!r}", hint="it is inactive, loaded or launched"
        ) from None


def _row(unit: Unit, word: str) -> Outcome:
    return Outcome(
        name=unit.name, outcome=word, target=unit.target, launch=unit.launch, hash=unit.hash
    )


def _refuse_template(name: str, target: Target) -> None:
    name_ = parse_name(name)
    if name_.is_template and target is not Target.INACTIVE:
        raise Refused(
            f"cannot make {name} {target}: it is a template",
            hint=f"start an instance, such as {name_.prefix}@1.{name_.suffix}",
        )


def _create(name: str, checked: Checked, target: Target, now: float) -> Row:
    _refuse_template(name, target)
    unit = Unit(
        name=name,
        hash=checked.hash,
        target=target,
        launch=1 if target is Target.LAUNCHED else 0,
        requirements=checked.requirements,
        since=now,
    )
    return CreateUnit(unit, checked.text, reason=f"submitted as {target}"), _row(unit, "created")


def _replace(unit: Unit, checked: Checked, target: Target) -> Row:
    """fleet's rule: a command may replace what is wanted as much as it asks for, or less."""
    _refuse_template(unit.name, target)
    if LEVELS[target] < LEVELS[unit.target]:
        raise Conflict(
            f"cannot replace {unit.name} as {target}: it is {unit.target}",
            hint="replace it by start --replace, or unload it first",
        )
    newer = Unit(
        name=unit.name,
        hash=checked.hash,
        target=target,
        launch=unit.launch + (target is Target.LAUNCHED),
        requirements=checked.requirements,
        since=unit.since,
    )
    return ReplaceUnit(newer, checked.text, reason="replaced"), _row(newer, "replaced")


def _retarget(world: World, unit: Unit, target: Target, *, asked: bool = True) -> Row:
    """Set a unit's target; to launch what is launched but has ended starts it once more."""
    _refuse_template(unit.name, target)
    again = asked and target is Target.LAUNCHED and has_ended(world, unit)
    if target is unit.target and not again:
        return None, _row(unit, "unchanged")
    launch = unit.launch + (target is Target.LAUNCHED)
    reason = "started again after it had ended" if again else f"wanted {target}"
    change = SetTarget(unit.name, target, launch, reason=reason)
    return change, Outcome(
        name=unit.name, outcome="target", target=target, launch=launch, hash=unit.hash
    )


def has_ended(world: World, unit: Unit) -> bool:
    """True when the last launch of a unit is over everywhere: failed, finished or refused."""
    states = [world.state(unit.name, machine) for machine in homes(world, unit.name)]
    return bool(states) and all(
        state is not None
        and (
            bool(state.error)
            or (
                state.launch >= unit.launch
                and state.hash == unit.hash
                and state.active in ("failed", "inactive")
                and has_run(state)
            )
        )
        for state in states
    )


def plan_targets(world: World, names: Sequence[str], target: Target) -> Asked:
    """Set the target of units that exist. Raises Missing, Refused."""
    _no_repeats(names)
    _all_exist(world, names)
    return _together([_retarget(world, find_unit(world, name), target) for name in names])


def plan_restarts(world: World, launches: Mapping[str, int]) -> Asked:
    """Start units once more; ``launches`` are the launch numbers that they shall reach at least."""
    _all_exist(world, tuple(launches))
    return _together([_restart(find_unit(world, name), to) for name, to in launches.items()])


def _restart(unit: Unit, launch: int) -> Row:
    _refuse_template(unit.name, Target.LAUNCHED)
    if unit.launch >= launch and unit.target is Target.LAUNCHED:
        return None, _row(unit, "target")
    change = SetTarget(unit.name, Target.LAUNCHED, launch, reason="restart asked for")
    return change, Outcome(
        name=unit.name, outcome="target", target=change.target, launch=launch, hash=unit.hash
    )


def plan_destroy(
    world: World, names: Sequence[str], gone: frozenset[str], *, strict: bool
) -> Asked:
    """Forget units. ``strict`` refuses names that do not exist, unless they are in ``gone``."""
    _no_repeats(names)
    if strict:
        _all_exist(world, [name for name in names if name not in gone])
    rows: list[Row] = []
    for name in names:
        parse_name(name)
        exists = name in world.units or ("units", name) in world.quarantined
        change = DestroyUnit(name, reason="destroyed on request") if exists else None
        word = "destroyed" if exists or name in gone else "unchanged"
        rows.append((change, Outcome(name=name, outcome=word, target="inactive")))
    return _together(rows)


def _all_exist(world: World, names: Sequence[str]) -> None:
    for name in names:
        parse_name(name)
    absent = [
        name
        for name in names
        if name not in world.units and ("units", name) not in world.quarantined
    ]
    if absent:
        raise Missing(absent)
