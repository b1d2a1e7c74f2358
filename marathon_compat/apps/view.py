"""Marathon's JSON of a world, kept so that answering costs what has changed; pure.

    World ─take─► Tree, and whom a change concerns ─► bytes of each app, made when asked for

1. What is answered of an app is kept as bytes until something of it changes: its documents, its
   units, a machine that one of them is on. A list of apps joins what is kept.
2. ``changed`` is the revision at which anything that is answered here last changed: the same for
   the same content on every node, so it makes a good ETag.
3. Life times of tasks follow the clock and are never kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from fleetish.world import Touched, World
from marathon_compat.apps import ids, task
from marathon_compat.apps.app import App
from marathon_compat.apps.embed import Shown
from marathon_compat.apps.events import action
from marathon_compat.apps.instances import Member, look
from marathon_compat.apps.pod_status import status
from marathon_compat.apps.ports import service_ports
from marathon_compat.apps.records import Deployment, Group
from marathon_compat.apps.show import show_bytes
from marathon_compat.apps.tree import Tree

_encode = msgspec.json.Encoder().encode

#: Selections of parts in which an app is kept whole, at most.
SHAPES = 4

#: The version of a tree in which nothing was ever said.
NEVER = "1970-01-01T00:00:00.000Z"


class Views:
    """What is answered of one world, which :meth:`take` is told of."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.world = World()
        self.changed = 0
        self._definitions: dict[str, tuple[App, bytes]] = {}
        self._members: dict[str, list[Member]] = {}
        self._parts: dict[str, dict[str, bytes]] = {}
        self._whole: dict[str, dict[frozenset[str], bytes]] = {}

    def take(self, world: World, touched: Touched) -> None:
        """Take in what was touched; another world than before is taken in whole.

        A full list touches what differed, as all else does: the rest is still right.
        """
        if world is not self.world:
            self.world = world
            self.tree.sync(world)
            for kept in (self._members, self._parts, self._whole):
                kept.clear()
            self.changed = world.revision
            return
        only = Touched(touched.units, touched.machines, touched.documents)
        if only:
            names = self.tree.update(world, only) | self._concerned(only)
            self._forget(names)
            if names or only.documents:
                self.changed = world.revision

    def sync(self, world: World) -> None:
        """Take in the newest documents, before something is planned over them."""
        self._forget(self.tree.sync(world))

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            for kept in (self._members, self._parts, self._whole):
                kept.pop(name, None)
            if name not in self.tree.apps:
                self._definitions.pop(name, None)

    def _concerned(self, touched: Touched) -> set[str]:
        """The apps whose units were touched, or have a unit on a machine that was."""
        units = set(touched.units)
        for machine in touched.machines:
            units |= self.world.assignments(machine).keys()
        return {app for unit in units if (app := ids.app_of_unit(unit))}

    def names(self, group: str = ids.ROOT) -> list[str]:
        """The ids of the apps in a group and in its groups, in order, pods aside."""
        return [name for name in self.tree.below(group) if self.tree.apps[name].pod is None]

    def pods(self, group: str = ids.ROOT) -> list[str]:
        """The ids of the pods in a group and in its groups, in order."""
        return [name for name in self.tree.below(group) if self.tree.apps[name].pod is not None]

    def members(self, app: str) -> list[Member]:
        """An app's instances as they are now."""
        if app not in self._members:
            instances = self.tree.instances
            found = [look(self.world, instances[unit]) for unit in self.tree.units(app)]
            self._members[app] = found
        return self._members[app]

    def tasks(self, app: str) -> list[Member]:
        """Those of an app's instances that have a task."""
        return [one for one in self.members(app) if one.condition in task.ALIVE]

    def task(self, member: Member, *, ports: bool = False) -> dict[str, Any]:
        """A task; with ``ports`` its app's service ports too."""
        instance = member.instance
        known = self.tree.definition(instance.app, instance.version)
        current = self.tree.apps.get(instance.app) or known
        return task.shown(
            self.world, known, member, service_ports(current) if ports and current else ()
        )

    def listed(self, name: str) -> bytes:
        """All tasks of an app with its service ports, as the rows of a JSON list."""
        kept = self._parts.setdefault(name, {})
        if "listed" not in kept:
            rows = [self.task(one, ports=True) for one in self.tasks(name)]
            kept["listed"] = _encode(rows)[1:-1]
        return kept["listed"]

    def app(self, name: str, parts: frozenset[str], now: float) -> bytes:
        """An app with some parts, as JSON; ``now`` in seconds since the epoch."""
        kept = self._whole.setdefault(name, {})
        found = kept.get(parts)
        if found is None:
            if len(kept) >= SHAPES:
                kept.clear()
            rows = [self._part(name, part) for part in sorted(parts - {"taskStats"})]
            found = kept[parts] = self._definition(name)[:-1] + b"".join(rows) + b"}"
        if "taskStats" in parts:
            stats = task.stats(self.tree.apps[name], self.tasks(name), now)
            return found[:-1] + b',"taskStats":' + _encode(stats) + b"}"
        return found

    def _definition(self, name: str) -> bytes:
        app = self.tree.apps[name]
        kept = self._definitions.get(name)
        if kept is None or kept[0] is not app:
            kept = self._definitions[name] = (app, show_bytes(app))
        return kept[1]

    def _part(self, name: str, part: str) -> bytes:
        """A part of an app as further keys of its object: ``,"tasks":[…]``."""
        kept = self._parts.setdefault(name, {})
        if part not in kept:
            body = self._made(name, part)
            kept[part] = b"," + _encode(body)[1:-1] if body else b""
        return kept[part]

    def _made(self, name: str, part: str) -> Mapping[str, Any]:
        match part:
            case "tasks":
                return {"tasks": [self.task(one) for one in self.tasks(name)]}
            case "counts":
                return task.counts(self.members(name))
            case "deployments":
                return {
                    "deployments": [{"id": one} for one in sorted(self.tree.locks.get(name, ()))]
                }
            case "readiness":
                return {"readinessCheckResults": self.readiness(name)}
            case "lastTaskFailure":
                delay = self.tree.delays.get(name)
                failure = delay.failure if delay else None
                return {part: task.last_failure(name, failure)} if failure else {}
        return {}

    def readiness(self, name: str) -> list[dict[str, Any]]:
        """What the readiness check of an app has shown of its tasks, while it is being deployed."""
        app = self.tree.apps.get(name)
        if app is None or name not in self.tree.locks:
            return []
        return task.readiness(app, self.members(name))

    def apps(self, names: Iterable[str], parts: frozenset[str], now: float, key: str = "") -> bytes:
        """Apps as a JSON list; with a ``key``, as the only one of an object."""
        head, tail = (f'{{"{key}":['.encode(), b"]}") if key else (b"[", b"]")
        rows = (self.app(name, parts, now) for name in names)
        return b"".join([head, *_separated(rows), tail])

    def group(self, name: str, shown: Shown, now: float) -> bytes:
        """A group and what is in it."""
        return b"".join(Groups(self, shown, now).rows(name))

    def at(self, version: str) -> Views:
        """Apps and groups as they were when a version of the tree was made; without tasks."""
        held, groups = self.tree.at(version)
        found = Views()
        known = ((name, self.tree.definition(name, then)) for name, then in held.items())
        found.tree.apps = {name: app for name, app in known if app is not None}
        found.tree.groups = groups
        return found

    def deployment(self, known: Deployment) -> dict[str, Any]:
        """A deployment under way."""
        current = known.steps[known.step] if known.step < len(known.steps) else ()
        pods = {one.app for row in known.steps for one in row if one.pod}
        return {
            "id": known.id,
            "version": known.version,
            "affectedApps": sorted(known.edit.after.keys() - pods),
            "affectedPods": sorted(pods),
            "steps": steps(known),
            "currentActions": [
                {**action(one), "readinessCheckResults": self.readiness(one.app)} for one in current
            ],
            "currentStep": min(known.step + 1, max(len(known.steps), 1)),
            "totalSteps": len(known.steps),
        }


def steps(known: Deployment) -> list[dict[str, Any]]:
    """A deployment's steps."""
    return [{"actions": [action(one) for one in row]} for row in known.steps]


class Groups:
    """The groups of a tree, sorted once for one answer."""

    def __init__(self, views: Views, shown: Shown, now: float) -> None:
        self._views = views
        self._shown = shown
        self._now = now
        self._apps: dict[str, list[str]] = {}
        self._pods: dict[str, list[str]] = {}
        self._groups: dict[str, list[str]] = {}
        for name, app in sorted(views.tree.apps.items()):
            kind = self._apps if app.pod is None else self._pods
            kind.setdefault(ids.parent(name), []).append(name)
        for name in sorted(views.tree.group_ids() - {ids.ROOT}):
            self._groups.setdefault(ids.parent(name), []).append(name)

    def rows(self, name: str) -> list[bytes]:
        """A group as JSON, in pieces: an answer of megabytes is joined once."""
        found: list[bytes] = []
        self._write(name, found)
        return found

    def _write(self, name: str, out: list[bytes]) -> str:
        """Write a group; the newest version in it, which is the group's own."""
        views, shown = self._views, self._shown
        apps, pods = self._apps.get(name, []), self._pods.get(name, [])
        said = views.tree.groups.get(name, Group(id=name))
        body: dict[str, Any] = {"id": name, "dependencies": said.dependencies}
        if said.enforce_role is not None:
            body["enforceRole"] = said.enforce_role
        out.append(_encode(body)[:-1])
        if shown.apps:
            rows = (views.app(one, shown.parts, self._now) for one in apps)
            out += [b',"apps":[', *_separated(rows), b"]"]
        if shown.pods:
            told = [status(views.world, views.tree.apps[one], views.members(one)) for one in pods]
            out.append(b',"pods":' + _encode(told))
        versions = [said.version, *(views.tree.apps[one].version for one in (*apps, *pods))]
        inner: list[bytes] = []
        for at, one in enumerate(self._groups.get(name, [])):
            inner += [b","] if at else []
            versions.append(self._write(one, inner))
        out += [b',"groups":[', *inner, b"]"] if shown.groups else []
        version = max(versions) or NEVER
        out.append(b',"version":' + _encode(version) + b"}")
        return version


def _separated(rows: Iterable[bytes]) -> Iterator[bytes]:
    for at, row in enumerate(rows):
        if at:
            yield b","
        yield row
