"""From how an instance was and how it is to the events that tell of it; pure.

the run or its condition changes   instance_changed, and status_update where there is a task
the document goes                  it was killed, unless its end was told already
a check fails once more            failed_health_check
a check changes its mind           health_status_changed, instance_health_changed
a kill for its health begins       unhealthy_instance_kill
"""

from __future__ import annotations

from collections.abc import Iterator

from fleetish.world import World
from marathon_compat.apps import events, ids
from marathon_compat.apps.app import App
from marathon_compat.apps.events import Event, Task
from marathon_compat.apps.instances import Condition, Member, look, task_id, why
from marathon_compat.apps.records import Instance

#: How the reason of a kill for health begins.
UNHEALTHY = "unhealthy"

SCHEDULED, KILLED = (word.value.capitalize() for word in (Condition.SCHEDULED, Condition.KILLED))
#: Conditions after which nothing more is told of a run.
OVER = frozenset(
    word.value.capitalize()
    for word in (Condition.KILLED, Condition.FINISHED, Condition.FAILED, Condition.ERROR)
)
#: Conditions of a run whose checks count; what a lost machine said last still stands.
PROBED = (Condition.RUNNING, Condition.UNREACHABLE)


def task_of(world: World, instance: Instance, before: Task | None, app: App | None) -> Task:
    """What events say of an instance of ``app`` now; that may be gone. A machine that is lost keeps
    the name it had."""
    member = look(world, instance)
    at = member.machine or (before.machine if before else "")
    known = world.machines.get(at)
    same = before if before is not None and before.machine == at else None
    held = world.assignment(instance.unit, at)
    return Task(
        app=instance.app,
        instance=ids.instance_id(instance.app, ids.uuid_of_unit(instance.unit)),
        task=_run(member, before),
        state=member.task_state if at else "",
        condition=member.condition.value.capitalize(),
        message=why(member, app),
        version=instance.version,
        machine=at,
        host=known.host if known else same.host if same else "",
        address=known.address if known else same.address if same else "",
        ports=held.ports if held else same.ports if same else (),
        healthy=member.healthy,
        checks=_checks(member),
        leaving=instance.leaving,
        since=member.since,
        containers=_containers(app) if app else before.containers if before else (),
    )


def _containers(app: App) -> tuple[str, ...]:
    found = app.pod.get("containers") if app.pod else None
    return tuple(str(one.get("name", "")) for one in found) if isinstance(found, list) else ()


def _run(member: Member, before: Task | None) -> str:
    """The run's id. A unit that was destroyed does not know how often it ran."""
    return before.task if before is not None and member.unit is None else task_id(member)


def _checks(member: Member) -> tuple[tuple[bool | None, int], ...]:
    if member.condition not in PROBED or member.state is None:
        return ()
    return tuple((one.alive, one.failures) for one in member.probed)


def told(old: Task | None, new: Task | None, app: App | None) -> list[Event]:
    """The events of one instance of ``app``; that may be gone already."""
    if new is None:
        return _gone(old)
    found: list[Event] = []
    if new.leaving.startswith(UNHEALTHY) and not (old and old.leaving):
        found.append(events.unhealthy_kill(new))
    if old is None or (old.condition, old.task) != (new.condition, new.task):
        found += _changed(new)
    same = old is not None and old.task == new.task
    return [*found, *_health(old if same else None, new, app)]


def _changed(new: Task) -> list[Event]:
    found = [events.instance_changed(new)]
    return [*events.status_updates(new), *found] if new.state else found


def _gone(old: Task | None) -> list[Event]:
    if old is None or old.condition in OVER:
        return []
    ended = old._replace(condition=KILLED, message=old.leaving, since=0.0)
    return _changed(ended._replace(state="TASK_KILLED" if old.state else ""))


def _health(old: Task | None, new: Task, app: App | None) -> Iterator[Event]:
    before = old.checks if old is not None and len(old.checks) == len(new.checks) else ()
    for at, (alive, failures) in enumerate(() if new.containers else new.checks):
        was_alive, was_failures = before[at] if before else (None, 0)
        if failures > was_failures and app is not None and at < len(app.health_checks):
            yield events.failed_health_check(new, app, at)
        if alive is not None and alive != was_alive:
            yield events.health_status_changed(new, alive=alive)
    if new.healthy is not None and (old is None or new.healthy != old.healthy):
        yield events.instance_health_changed(new)
