"""What to do now about the instances of one app; pure.

    see off ─▶ count what ended ─▶ kill what is sick or lost ─▶ hold, scale or replace ─▶ launch

An instance whose run ended is started again where it is, when the back-off allows; after
:data:`TRIES` failures in a row, or with a definition that is no longer wanted, another takes its
place. One that keeps data stays what and where it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fleetish.changes import Change, DestroyUnit, SetTarget
from fleetish.model import Target
from marathon_compat.apps import backoff, records, rolling
from marathon_compat.apps.aims import Aim, Kind
from marathon_compat.apps.app import App
from marathon_compat.apps.checks import too_sick
from marathon_compat.apps.decisions import Decisions, Setting, waits
from marathon_compat.apps.instances import ENDED, Condition, Member, why
from marathon_compat.apps.kills import destroy, select
from marathon_compat.apps.losses import patience
from marathon_compat.apps.tree import drop

__all__ = ["Setting", "Verdict", "verdict"]

#: Failures in a row after which an instance gives its place to another.
TRIES = 3
#: Seconds that a run must last, at least, to end a row of failures.
STEADY = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be written. ``done``: all is as the aim says. ``wake``: when time alone changes
    this (seconds since the epoch). ``standing``: how far it is, for people."""

    changes: tuple[Change, ...] = ()
    done: bool = False
    wake: float | None = None
    standing: str = ""


def verdict(setting: Setting, name: str, aim: Aim) -> Verdict:
    """What to do now about an app. One whose definition cannot be read is left alone."""
    if (records.APP, name) in setting.tree.unreadable:
        return Verdict(standing=f"the definition of {name} cannot be read")
    draft = Decisions(setting, name, aim)
    done = _decide(draft)
    changes = draft.finish()
    wake = min((one for one in draft.wakes if one > setting.now), default=None)
    return Verdict(changes, done and not changes, wake, _standing(draft))


def _decide(draft: Decisions) -> bool:
    """Fill the draft; True when all that is there is as it should be."""
    app, kind = draft.aim.app, draft.aim.kind
    _see_off(draft)
    if kind is Kind.STOP:
        for one in draft.alive():
            draft.kill(one, f"{draft.name} was removed")
        return not draft.members
    if app is None:
        return False
    _count_endings(draft, app)
    _condemn(draft, app)
    done = _replace(draft, app) if kind is Kind.REPLACE else _hold(draft, app)
    _start_again(draft, app)
    return done


def _standing(draft: Decisions) -> str:
    settled = sum(one.settled for one in draft.alive() if one.instance.config == draft.config)
    return f"{settled} of {draft.aim.count} instances of {draft.name} are ready"


def _see_off(draft: Decisions) -> None:
    """Bring those that are leaving on their way, and forget those that have left."""
    for one in draft.members:
        if not one.instance.leaving and one.unit is not None:
            continue
        if one.condition is Condition.KILLED and one.unit is None:
            draft.changes.append(drop(records.INSTANCE, one.name, "it is off its machine"))
        elif not waits(one) or draft.aim.kind is Kind.STOP:
            draft.leaving += 1
            draft.changes += _sent_off(draft, one)


def _sent_off(draft: Decisions, one: Member) -> list[Change]:
    """What is still to be done for an instance to leave."""
    world, instance = draft.setting.world, one.instance
    if not instance.leaving:
        return destroy(world, instance, "its unit was destroyed")
    if one.unit is None:
        return []
    if not instance.parked:
        return [DestroyUnit(one.name, instance.leaving)]
    if draft.aim.kind is Kind.STOP:
        return destroy(world, instance, f"{draft.name} was removed")
    if one.unit.target is Target.LOADED:
        return []
    return [SetTarget(one.name, Target.LOADED, one.launch, instance.leaving)]


def _count_endings(draft: Decisions, app: App) -> None:
    """Count each end of a run once: it makes the delay longer."""
    for one in draft.free():
        if one.condition not in ENDED or one.instance.failed >= one.launch:
            continue
        finished = one.condition is Condition.FINISHED
        draft.count_end(one, 0 if finished else _in_a_row(one, app))
        if one.instance.config == draft.config:
            draft.wait_longer(app)
        if not finished:
            made_from = draft.setting.tree.definition(draft.name, one.instance.version)
            draft.note_failure(one, one.task_state, why(one, made_from or app))


def _in_a_row(one: Member, app: App) -> int:
    """How many runs in a row have failed, with the one that just did."""
    lasted = one.since - one.instance.staged
    steady = lasted > max(STEADY, float(app.max_launch_delay_seconds))
    return 1 if steady else one.instance.failures + 1


def _condemn(draft: Decisions, app: App) -> None:
    """Kill what its health checks or the loss of its machine condemn."""
    for one in draft.free():
        made_from = draft.setting.tree.definition(draft.name, one.instance.version)
        sick = too_sick(one, made_from or app)
        if sick:
            draft.note_failure(one, "TASK_KILLED", sick)
            draft.launch(one, sick) if draft.resident else draft.kill(one, sick)
        elif one.condition is Condition.UNREACHABLE and _lost_for(draft, one, patience(app)[1]):
            draft.kill(one, "its machine is lost")


def _lost_for(draft: Decisions, one: Member, seconds: float) -> bool:
    """True when an instance's machine has been lost for so long; else notes when it will."""
    losses = draft.setting.losses
    since = losses.since.get(one.machine)
    if since is None or losses.braked or math.isinf(seconds):
        return False
    return not draft.waits_until(since + seconds)


def _counted(draft: Decisions, app: App) -> list[Member]:
    """Those that count: not the ones whose machine is lost for long enough."""
    inactive = patience(app)[0]
    return [
        one
        for one in draft.alive()
        if one.condition is not Condition.UNREACHABLE or not _lost_for(draft, one, inactive)
    ]


def _draining(draft: Decisions, one: Member) -> bool:
    overlay = draft.setting.world.overlays.get(one.machine)
    return overlay is not None and overlay.draining and not draft.resident


def _hold(draft: Decisions, app: App) -> bool:
    """Have as many as are wanted; what is there stays, unless its machine is to be empty."""
    counted = _counted(draft, app)
    moving = [one for one in counted if _draining(draft, one)]
    staying = [one for one in counted if not _draining(draft, one)]
    missing = app.instances - len(staying)
    settled = sum(one.settled for one in staying)
    if settled >= app.instances:
        for one in draft.free(moving):
            draft.kill(one, "its machine is draining")
    draft.create(app, missing)
    world, chosen = draft.setting.world, draft.aim.kills
    for one in select(draft.free(staying), -missing, app, world, chosen):
        draft.kill(one, f"{app.instances} instances are wanted")
    return settled == app.instances == len(staying) and not moving and not draft.leaving


def _replace(draft: Decisions, app: App) -> bool:
    """Bring all instances to the definition, within the bounds of the upgrade strategy."""
    counted = _counted(draft, app)
    new = [one for one in counted if one.instance.config == draft.config]
    old = [one for one in counted if one.instance.config != draft.config]
    counts = rolling.Counts(
        wanted=app.instances,
        before=draft.aim.before,
        new=len(new),
        ready=sum(one.settled for one in new),
        old_healthy=sum(one.fit for one in old),
        old_unhealthy=sum(not one.fit for one in old),
        leaving=draft.leaving,
    )
    if draft.resident:
        _swap(draft, app, old, counts)
    else:
        _roll(draft, app, new, old, counts)
    return rolling.is_done(counts)


def _roll(
    draft: Decisions, app: App, new: list[Member], old: list[Member], counts: rolling.Counts
) -> None:
    """Start new ones, kill old ones."""
    strategy = app.upgrade_strategy
    turn = rolling.turn(counts, strategy.minimum_health_capacity, strategy.maximum_over_capacity)
    draft.create(app, turn.start)
    rows = (
        ([one for one in old if not one.fit], turn.kill_unhealthy),
        ([one for one in old if one.fit], turn.kill_healthy),
        (new, turn.kill_new),
    )
    world, chosen = draft.setting.world, draft.aim.kills
    for members, count in rows:
        for one in select(draft.free(members), count, app, world, chosen):
            draft.kill(one, f"replaced by version {app.version}")


def _swap(draft: Decisions, app: App, old: list[Member], counts: rolling.Counts) -> None:
    """Give instances that keep data the new definition where they are."""
    world, chosen = draft.setting.world, draft.aim.kills
    surplus = len(old) + counts.new - app.instances
    for one in select(draft.free(old), surplus, app, world, chosen):
        draft.kill(one, f"{app.instances} instances are wanted")
    count = rolling.swaps(counts, app.upgrade_strategy.minimum_health_capacity)
    left = sorted(draft.free(old), key=lambda one: (one.fit, one.name))
    for one in left[:count]:
        draft.renew(app, one)
    draft.create(app, -surplus)


def _start_again(draft: Decisions, app: App) -> None:
    """Start those whose run ended, or let another take their place."""
    for one in draft.free():
        if one.condition not in ENDED:
            continue
        current = one.instance.config == draft.config
        if not draft.resident and one.instance.failures >= TRIES:
            draft.kill(one, f"it failed {one.instance.failures} times in a row")
        elif not current and not draft.resident and draft.aim.kind is not Kind.REPLACE:
            draft.kill(one, f"version {app.version} takes its place")
        elif not _rests(draft, app, one, current=current):
            draft.launch(one, f"it was {one.condition}; its back-off is over")


def _rests(draft: Decisions, app: App, one: Member, *, current: bool) -> bool:
    """True while an instance waits for its next run."""
    if current:
        return draft.backs_off(app)
    return draft.waits_until(one.since + backoff.of_run(app, one.instance.failures))
