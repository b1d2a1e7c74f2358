"""From what fleet's clients PUT and DELETE to changes; pure.

1. The checks come in fleet's order: name, then whether the unit exists, then the file, then states.
2. A unit file is written out in fleet's normal form; that text is stored, so a GET gives the same
   options and fleetctl computes the same hash.
3. fleet took what could never run (unknown directives, targets, templates launched at once, states
   that do not exist) and left it pending or broken. Here that is 400 with the reason.
4. New options for a unit that exists reset it to inactive unless the request says otherwise: a
   client that replaces waits for inactive before it starts the unit again.
5. The same request planned again over a newer world, after a conflict or an answer that never came,
   gives what is still missing: ``begun`` is what an earlier attempt was about to do.
"""

from __future__ import annotations

from typing import NamedTuple

from fleetish.api.fleet.names import check_name, quoted
from fleetish.api.fleet.schema import FleetError, UnitWish
from fleetish.api.views import find_unit
from fleetish.api.wishes import Asked
from fleetish.changes import Change, CreateUnit, DestroyUnit, ReplaceUnit, SetTarget
from fleetish.errors import BadUnit, Refused
from fleetish.model import Target, Unit
from fleetish.units.file import UnitFile, content_hash, from_options, parse
from fleetish.units.name import is_valid, parse_name
from fleetish.units.properties import read_properties
from fleetish.units.specifiers import Context
from fleetish.units.verify import read_as
from fleetish.units.xfleet import Requirements, read_requirements
from fleetish.wire import Outcome
from fleetish.world import World

#: What a unit may be wanted to be.
STATES = ", ".join(Target)

NO_UNIT = "unit does not exist"


class Wanted(NamedTuple):
    """A PUT that has passed the checks that need no cluster; ``text`` and ``hash`` are empty where
    it has no options, ``target`` is None where it names no state."""

    name: str
    text: str = ""
    hash: str = ""
    target: Target | None = None


def read_put(name: str, wish: UnitWish) -> Wanted:
    """Check a PUT's body against the name in its URL. Raises FleetError 400."""
    if wish.name and wish.name != name:
        text = f"name in URL {quoted(name)} differs from unit name in request body"
        raise FleetError(400, f"{text} {quoted(wish.name)}")
    check_name(name)
    target = _target(wish.desired_state) if wish.desired_state else None
    if not wish.options:
        return Wanted(name, target=target)
    try:
        file = from_options([(one.section, one.name, one.value) for one in wish.options], name)
    except BadUnit as error:
        raise FleetError(400, said(error)) from None
    return Wanted(name, file.text, content_hash(file), target)


def _target(word: str) -> Target:
    try:
        return Target(word)
    except ValueError:
        raise FleetError(400, f"invalid desiredState {quoted(word)}: expect {STATES}") from None


def template_hash(world: World, put: Wanted) -> str:
    """The hash of the stored template from which a PUT without options makes its unit; "" if none.

    Only for an instance that does not exist, and of which a state is wanted.
    """
    if put.text or put.target is None or put.name in world.units or not is_valid(put.name):
        return ""
    template = world.units.get(parse_name(put.name).template)
    return template.hash if template else ""


def plan_put(world: World, put: Wanted, template: str, now: float, begun: str = "") -> Asked:
    """What a PUT comes to; its outcome is created, replaced, target or unchanged.

    ``template`` is the text of the stored template, where ``template_hash`` named one; ``now`` is
    in seconds since the epoch. Raises FleetError with fleet's status and text.
    """
    if ("units", put.name) in world.quarantined:
        find_unit(world, put.name)
    unit = world.units.get(put.name)
    if unit is None:
        return _create(put, template, now)
    if begun in ("created", "replaced") and unit.hash == (put.hash or unit.hash):
        return _asked(None, unit, begun)
    if put.text and put.hash != unit.hash:
        return _replace(put, unit)
    if put.target is None:
        raise FleetError(409, "must provide DesiredState to update existing unit")
    _refuse_template(put.name, put.target)
    return _retarget(unit, put.target)


def _asked(change: Change | None, unit: Unit, word: str) -> Asked:
    row = Outcome(
        name=unit.name, outcome=word, target=unit.target, launch=unit.launch, hash=unit.hash
    )
    return Asked((change,) if change else (), (row,))


def _create(put: Wanted, template: str, now: float) -> Asked:
    text = put.text or template
    if not text:
        raise FleetError(409, "unit does not exist and options field empty")
    target = put.target or Target.INACTIVE
    file, wanted = checked(put.name, text)
    _refuse_template(put.name, target)
    unit = Unit(
        name=put.name,
        hash=content_hash(file),
        target=target,
        launch=int(target is Target.LAUNCHED),
        requirements=wanted,
        since=now,
    )
    return _asked(CreateUnit(unit, text, reason=f"submitted as {target}"), unit, "created")


def _replace(put: Wanted, before: Unit) -> Asked:
    target = put.target or Target.INACTIVE
    _, wanted = checked(put.name, put.text)
    _refuse_template(put.name, target)
    unit = Unit(
        name=put.name,
        hash=put.hash,
        target=target,
        launch=before.launch + (target is Target.LAUNCHED),
        requirements=wanted,
        since=before.since,
    )
    return _asked(ReplaceUnit(unit, put.text, reason="replaced"), unit, "replaced")


def _retarget(unit: Unit, target: Target) -> Asked:
    """Set what is wanted; to want what is wanted already changes nothing, however it ended: whoever
    repeats his PUT every minute must not start a finished unit every minute."""
    if target is unit.target:
        return _asked(None, unit, "unchanged")
    launch = unit.launch + (target is Target.LAUNCHED)
    change = SetTarget(unit.name, target, launch, reason=f"wanted {target}")
    return _asked(change, unit, "target")


def _refuse_template(name: str, target: Target) -> None:
    if parse_name(name).is_template and target is not Target.INACTIVE:
        raise FleetError(400, f"cannot activate template {quoted(name)}")


def checked(name: str, text: str) -> tuple[UnitFile, Requirements]:
    """A unit file that can run under a name, and what it asks of a machine.

    Keys that [X-Fleet] does not have are let pass, as fleet did. Raises FleetError 400 with the
    first problem; those of [X-Fleet] come first, in fleet's own words.
    """
    found: list[BadUnit] = []
    try:
        file, sample = parse(text, name), read_as(name)
        wanted = read_requirements(file, sample, found.append, strict=False)
        read_properties(file, sample, Context(), found.append)
    except Refused as error:
        raise FleetError(400, said(found[0] if found else error)) from None
    if found:
        raise FleetError(400, said(found[0]))
    return file, wanted


def said(error: Refused) -> str:
    """An error's text with its hint, without the line: who sends options knows no lines."""
    text = str(error)
    return text.removeprefix(f"{error.where}: ") if isinstance(error, BadUnit) else text


def plan_delete(world: World, name: str, begun: str = "") -> Asked:
    """Forget a unit. Raises FleetError 404 when there is none and none was about to be deleted."""
    if name in world.units or ("units", name) in world.quarantined:
        row = Outcome(name=name, outcome="destroyed", target=Target.INACTIVE)
        return Asked((DestroyUnit(name, reason="destroyed on request"),), (row,))
    if begun:
        return Asked((), ())
    raise FleetError(404, NO_UNIT)
