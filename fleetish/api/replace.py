"""From what somebody wants replaced to the record of a rolling update, checked as a whole; pure.

The texts that a rollout may have to bring back are written with it, so that they are kept as long
as it is (:mod:`fleetish.engine.contents`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleetish.api.views import find_unit
from fleetish.api.wishes import Asked, check_text
from fleetish.changes import Change, DropDocument, PutContent, PutDocument
from fleetish.engine.losses import host
from fleetish.engine.orders import rollouts_of
from fleetish.engine.rolling import step
from fleetish.engine.rollout import (
    GOING,
    KIND,
    OnFailure,
    Rollout,
    Row,
    Stage,
    Standing,
    Text,
    allowed,
    document,
    standings,
)
from fleetish.errors import Conflict, NotFound, Refused
from fleetish.model import Unit
from fleetish.units.name import parse_name
from fleetish.wire_orders import MemberView, ReplaceBody, RolloutView
from fleetish.world import World

#: Units in one rollout, at most: its record must fit into one write.
MOST = 1000


def meant(world: World, names: Iterable[str]) -> tuple[str, ...]:
    """The units that names stand for: a template, if it is stored, and its instances.

    Raises NotFound, BadName."""
    found: dict[str, None] = {}
    for name in names:
        if not parse_name(name).is_template:
            found[find_unit(world, name).name] = None
            continue
        kin = sorted((one for one in world.units if _is_of(one, name)), key=_instance)
        own = [name] if name in world.units else []
        if not own and not kin:
            raise NotFound(f"cannot find {name} or an instance of it", hint="start one first")
        found |= dict.fromkeys([*own, *kin])
    return tuple(found)


def _is_of(name: str, template: str) -> bool:
    known = parse_name(name)
    return known.template == template and not known.is_template


def _instance(name: str) -> tuple[int, str]:
    """web@2 before web@10."""
    instance = parse_name(name).instance or ""
    return (int(instance), name) if instance.isdecimal() else (0, name)


def needed(world: World, body: ReplaceBody) -> set[str]:
    """The hashes of stored texts that must be read before a rollout can be planned."""
    names = meant(world, body.units)
    found = {world.units[name].hash for name in names if name in world.units}
    found |= {row.before.hash for old in _superseded(world, names) for row in old.rows}
    for name in names:
        template = world.units.get(parse_name(name).template or "")
        if template is not None and _given(name, body.texts) is None:
            found.add(template.hash)
    return found


def _given(name: str, texts: Mapping[str, str]) -> str | None:
    """The text that was sent for a unit: its own, or its template's."""
    return texts.get(name, texts.get(parse_name(name).template or ""))


def _stays(name: str, body: ReplaceBody) -> bool:
    """True for a template that is named for its instances' sake: no text was sent for it."""
    return parse_name(name).is_template and name not in body.texts


def plan_replace(
    world: World, body: ReplaceBody, known: Mapping[str, str], name: str, now: float
) -> Asked:
    """The rollout ``name`` and its texts; ``known`` are stored texts by hash, ``now`` in seconds
    since the epoch. Raises Refused, NotFound, Invalid, Conflict; then nothing is done."""
    if (KIND, name) in world.documents:
        return Asked((), ())  # written already, though no answer came
    units = [one for one in meant(world, body.units) if not _stays(one, body)]
    _check(world, body, units)
    if not needed(world, body) <= known.keys():
        raise Conflict(
            "cannot replace: units changed while this was asked for, or a text of theirs is gone",
            hint="ask again",
        )
    old = {row.unit: row for one in _superseded(world, units) for row in one.rows}
    texts: dict[str, str] = {}
    rows = [_row(world.units[u], _after(world, u, body, known, texts), old.get(u)) for u in units]
    texts |= {row.before.hash: known[row.before.hash] for row in rows}
    rollout = Rollout(
        id=name,
        rows=tuple(rows),
        most=body.max_unavailable,
        on_failure=OnFailure(body.on_failure),
        settle=body.settle,
        since=now,
    )
    changes: list[Change] = [PutContent(d, text, "for a rollout") for d, text in texts.items()]
    changes += [
        DropDocument(KIND, one.id, f"rollout {name} takes its place")
        for one in _superseded(world, units)
    ]
    return Asked((*changes, PutDocument(document(rollout), "asked for")), ())


def _check(world: World, body: ReplaceBody, units: Sequence[str]) -> None:
    allowed(body.max_unavailable, len(units))
    if body.on_failure not in tuple(OnFailure):
        raise Refused(
            f"cannot {body.on_failure!r} on failure", hint="it is stop, rollback or continue"
        )
    if not 0 <= body.settle <= 3600:
        raise Refused("cannot wait so long: settle is 0 to 3600 seconds")
    if not units:
        raise Refused("cannot tell which units: none are named")
    if len(units) > MOST:
        raise Refused(f"cannot replace {len(units)} units in one rollout: at most {MOST}")
    refuse_busy(world, units)


def refuse_busy(world: World, units: Iterable[str], own: str = "") -> None:
    """Raise Conflict when a rollout other than ``own`` is at work at one of the units."""
    wanted = set(units)
    for one in rollouts_of(world).values():
        hit = sorted(wanted & {row.unit for row in one.rows}) if one.stage in GOING else []
        if hit and one.id != own:
            raise Conflict(
                f"cannot replace {hit[0]}: rollout {one.id} is {one.stage} it",
                hint=f"wait for it, or fleetish rollouts {one.id} --cancel",
            )


def _superseded(world: World, units: Iterable[str]) -> list[Rollout]:
    """The rollouts that were stopped half way, and whose place another one takes."""
    wanted = set(units)
    return [
        one
        for one in rollouts_of(world).values()
        if one.stage in (Stage.STOPPED, Stage.CANCELLED) and wanted & {row.unit for row in one.rows}
    ]


def _after(
    world: World, name: str, body: ReplaceBody, known: Mapping[str, str], texts: dict[str, str]
) -> Text:
    """The text that a unit shall have; noted in ``texts``."""
    text = _given(name, body.texts)
    if text is None:
        template = world.units.get(parse_name(name).template or "")
        if template is None:
            raise Refused(f"cannot replace {name}: no text is given", hint="name its file")
        text = known[template.hash]
    checked = check_text(name, text)
    texts[checked.hash] = text
    return Text(hash=checked.hash, requirements=checked.requirements)


def _row(unit: Unit, after: Text, old: Row | None) -> Row:
    launch = unit.launch if unit.requirements.global_ else 0
    if unit.requirements.global_ != after.requirements.global_:
        raise Refused(
            f"cannot replace {unit.name} step by step: Global= differs", hint="use start --replace"
        )
    if old is not None and unit.hash == old.after.hash:
        began = "" if unit.hash in (old.before.hash, after.hash) else unit.hash
        return Row(unit=unit.name, before=old.before, after=after, began=began)
    before = Text(hash=unit.hash, requirements=unit.requirements, launch=launch)
    return Row(unit=unit.name, before=before, after=after)


def find_rollout(world: World, name: str) -> Rollout:
    """A rollout by its id. Raises NotFound."""
    found = rollouts_of(world).get(name)
    if found is None:
        raise NotFound(f"cannot find rollout {name}", hint="see fleetish rollouts")
    return found


def plan_undo(world: World, name: str) -> Asked:
    """Give every unit of a rollout its old text back. Raises NotFound, Conflict."""
    rollout = find_rollout(world, name)
    refuse_busy(world, [row.unit for row in rollout.rows], own=name)
    if rollout.stage in (Stage.UNDOING, Stage.UNDONE):
        return Asked((), ())
    fresh = msgspec.structs.replace(rollout, stage=Stage.UNDOING, reason="asked for", ended=0.0)
    return Asked((PutDocument(document(fresh), "to be undone"),), ())


def plan_cancel(world: World, name: str, now: float) -> Asked:
    """End a rollout where it is; forget one that has ended. Raises NotFound, Conflict."""
    rollout = find_rollout(world, name)
    if rollout.stage in GOING:
        over = msgspec.structs.replace(rollout, stage=Stage.CANCELLED, ended=now)
        return Asked((PutDocument(document(over), "cancelled"),), ())
    holds = step(world, rollout, {}, 0.0, now).holds
    if holds:
        raise Conflict(
            f"cannot forget rollout {name}: it keeps {min(holds).unit} as it is on some machines",
            hint=f"replace it again, or fleetish rollouts {name} --undo",
        )
    return Asked((DropDocument(KIND, name, "forgotten on request"),), ())


def rollout_view(world: World, rollout: Rollout, *, rows: bool) -> RolloutView:
    """A rollout as the API shows it; with ``rows`` every unit of it."""
    found = standings(world, msgspec.structs.replace(rollout, settle=0.0), {}, 0.0)
    going = rollout.stage in GOING
    stage, reason = rollout.stage, rollout.reason
    # Whatever became of the units since: those that did not get so far are in the reason.
    whole = stage is Stage.UNDONE or (stage is Stage.DONE and not reason)
    return RolloutView(
        id=rollout.id,
        stage=rollout.stage.value,
        going=going,
        reason=rollout.reason,
        total=len(found),
        done=len(found) if whole else sum(one.done for one in found),
        max_unavailable=rollout.most,
        on_failure=rollout.on_failure.value,
        since=rollout.since,
        ended=rollout.ended,
        units=tuple(_member(world, one, going) for one in found) if rows else (),
    )


def _member(world: World, one: Standing, going: bool) -> MemberView:
    machine = one.member.machine
    return MemberView(
        unit=one.member.unit,
        machine=machine,
        host=host(world, machine) if machine else "",
        stands=_stands(one, going),
        reason=one.failed,
    )


def _stands(one: Standing, going: bool) -> str:
    if one.failed:
        return "failed"
    if one.done:
        return "done"
    if one.replaced:
        return "starting"
    return "waiting" if going else "kept"
