"""What happened between two looks at the cluster, in Marathon's events; pure.

1. A :class:`Teller` is shown the world revision by revision. What it tells of a revision follows
   from that revision and the one before, so every node tells the same.
2. A task's events stand between those of the deployment that it belongs to: what begins comes
   first, what is over last.
3. Who asked for a change, and where, is in its deployment: so a node tells of requests that another
   one answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from fleetish.model import Document
from fleetish.world import Touched, World
from marathon_compat.apps import events, ids, records
from marathon_compat.apps.app import App
from marathon_compat.apps.event_tasks import KILLED, task_of, told
from marathon_compat.apps.events import Event, Task
from marathon_compat.apps.records import CALLBACK, Callback, Deployment, Past
from marathon_compat.apps.tree import Tree

_CALLBACKS = msgspec.json.Decoder(Callback)

#: What an app's part of the API is called, and a pod's.
APPS, PODS, GROUPS = "/v2/apps", "/v2/pods", "/v2/groups"


class Checked(NamedTuple):
    """The health checks that were told of an app: when its definition changed, how many."""

    config: str
    number: int


class Teller:
    """What was last told."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.tasks: dict[str, Task] = {}
        self.deployments: dict[str, Deployment] = {}
        self.past: set[str] = set()
        self.checked: dict[str, Checked] = {}
        self.callbacks: dict[str, Callback] = {}
        self.strays: set[str] = set()
        self.stopping: set[str] = set()

    def look(self, world: World, touched: Touched) -> list[Event]:
        """The events since the last look, and remember this one."""
        concerned = self.tree.update(world, touched)
        begun, over = self._deployments(touched)
        return [
            *self._callbacks(world, touched),
            *begun,
            *self._health_checks(concerned),
            *self._units(world, self._names(world, touched)),
            *self._terminated(),
            *over,
        ]

    def _names(self, world: World, touched: Touched) -> list[str]:
        """The units to look at: those touched, and those on machines that came or went."""
        names = {name for name in touched.units if ids.app_of_unit(name)}
        names |= {name for kind, name in touched.documents if kind == records.INSTANCE}
        if touched.everything:
            names |= {*self.tree.instances, *self.tasks, *world.states}
        for machine in touched.machines:
            names |= {name for name in world.assignments(machine) if ids.app_of_unit(name)}
        return sorted(names)

    def _units(self, world: World, names: list[str]) -> Iterator[Event]:
        for name in names:
            instance, old = self.tree.instances.get(name), self.tasks.pop(name, None)
            if instance is None:
                yield from told(old, None, None)
                yield from self._stray(world, name)
                continue
            defined = self.tree.definition(instance.app, instance.version)
            app = defined or self.tree.apps.get(instance.app)
            new = self.tasks[name] = task_of(world, instance, old, app)
            yield from told(old, new, app)

    def _stray(self, world: World, name: str) -> Iterator[Event]:
        """A unit that no app knows any more, and that ran until now."""
        states = world.states.get(name, {}).values()
        if any(state.active not in ("inactive", "failed") for state in states):
            self.strays.add(name)
        elif name in self.strays:
            self.strays.discard(name)
            event = events.unknown_instance_terminated(name, KILLED)
            if event is not None:
                yield event

    def _health_checks(self, concerned: set[str]) -> Iterator[Event]:
        """Of apps whose definition came, changed or went; not of those that were only scaled."""
        for name in sorted(concerned):
            app, old = self.tree.apps.get(name), self.checked.pop(name, None)
            if app is not None:
                self.checked[name] = _checked(app)
            elif old is not None or self.tree.units(name):
                self.stopping.add(name)
            if old != self.checked.get(name):
                yield from events.health_checks_changed(name, old.number if old else 0, app)

    def _terminated(self) -> Iterator[Event]:
        """Of apps that were removed and have no instance left."""
        self.stopping -= self.tree.apps.keys()
        for name in sorted(self.stopping):
            if not self.tree.units(name):
                self.stopping.discard(name)
                yield events.app_terminated(name)

    def _deployments(self, touched: Touched) -> tuple[list[Event], list[Event]]:
        """What deployments began, and what is over with them."""
        begun: list[Event] = []
        over: list[Event] = []
        live, past = self.tree.deployments, self.tree.history
        for name in _sorted(touched, records.DEPLOYMENT, {*live, *self.deployments}):
            old, new = self.deployments.get(name), live.get(name)
            if new is None:
                continue
            self.deployments[name] = new
            if old is None:
                begun += [*self._asked(new), *_begins(new, new.step, new.since)]
            elif new.step != old.step:
                begun += _moves(new, old.step)
        for name in _sorted(touched, records.HISTORY, {*past, *self.past}):
            if name in past and name not in self.past:
                over += _ends(past[name], self.deployments.get(name))
                self.past.add(name)
            elif name not in past:
                self.past.discard(name)
        for name in [name for name in self.deployments if name not in live]:
            del self.deployments[name]
        return begun, over

    def _asked(self, new: Deployment) -> Iterator[Event]:
        """Who asked for a deployment, and of what."""
        path = new.uri.partition("?")[0]
        if path.startswith(APPS):
            for app in self._posted(new, path):
                yield events.api_post(new.client, new.uri, app, new.since)
        elif path.startswith(PODS):
            for name in sorted(new.edit.after):
                yield events.pod(_verb(new, name), new.client, new.uri, new.since)
        if new.edit.after or new.edit.groups_after:
            yield events.group_change_success(_group(path), new.version, new.since)

    def _posted(self, new: Deployment, path: str) -> list[App]:
        """The apps whose definitions were in the body of a request: of one app, or of many."""
        named = ids.canonical(path.removeprefix(APPS))
        names = sorted(new.edit.after) if named == ids.ROOT else [named]
        found = (self.tree.definition(one, new.edit.after.get(one, "")) for one in names)
        return [app for app in map(self._current, names, found) if app is not None]

    def _current(self, name: str, defined: App | None) -> App | None:
        return defined or self.tree.apps.get(name)

    def _callbacks(self, world: World, touched: Touched) -> Iterator[Event]:
        everything = world.documents if touched.everything else ()
        known = {name for kind, name in everything if kind == CALLBACK}
        for url in _sorted(touched, CALLBACK, {*known, *self.callbacks}):
            new = callback(world.documents.get((CALLBACK, url)))
            old = self.callbacks.pop(url, None)
            if new is not None:
                self.callbacks[url] = new
            if (old is None) == (new is None):
                continue
            if new is not None:
                yield events.subscription("subscribe", new.client, url, new.since)
            elif old is not None:
                yield events.subscription("unsubscribe", old.client, url, 0.0)


def callback(document: Document | None) -> Callback | None:
    """A callback that is stored; None for none, and for one that cannot be read."""
    try:
        return _CALLBACKS.decode(document.body) if document is not None else None
    except (msgspec.DecodeError, ValueError):
        return None


def _sorted(touched: Touched, kind: str, known: Iterable[str]) -> list[str]:
    """The documents of a kind to look at."""
    if touched.everything:
        return sorted(known)
    return sorted(name for what, name in touched.documents if what == kind)


def _checked(app: App) -> Checked:
    info = app.version_info
    return Checked(info.last_config_change_at if info else app.version, len(app.health_checks))


def _begins(new: Deployment, step: int, at: float = 0.0) -> list[Event]:
    if step >= len(new.steps):
        return []
    return [events.deployment_step("deployment_info", new, step, at)]


def _moves(new: Deployment, before: int) -> list[Event]:
    """Each step that is done, and the one that begins then."""
    found: list[Event] = []
    for number in range(before, min(new.step, len(new.steps))):
        found.append(events.deployment_step("deployment_step_success", new, number))
        found += _begins(new, number + 1)
    return found


def _ends(past: Past, before: Deployment | None) -> list[Event]:
    """The last step's end and the deployment's."""
    begun = before.step if before is not None else past.step
    done = len(past.steps) if past.outcome == "success" else past.step
    found = [
        events.deployment_step(
            "deployment_step_success" if one < done else "deployment_step_failure",
            past,
            one,
            past.ended,
        )
        for one in range(begun, min(done + 1, len(past.steps)))
    ]
    return [*found, events.deployment_over(past)]


def _verb(new: Deployment, name: str) -> str:
    if not new.edit.after[name]:
        return "deleted"
    return "updated" if new.edit.before.get(name) else "created"


def _group(path: str) -> str:
    """The group that a request changes: the one in its path, or the one that its app is in."""
    if path.startswith(GROUPS):
        return ids.canonical(path.removeprefix(GROUPS).partition("/versions")[0])
    if path.startswith((APPS, PODS)):
        return ids.parent(ids.canonical(path[len(APPS) :]))
    return ids.ROOT
