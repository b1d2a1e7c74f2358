"""Which app must be there before which: layers of a tree; pure.

An app depends on what it names, and on what any group that it is in names. To name a group is to
name every app below it. A name that stands for nothing is no dependency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from fleetish.errors import Refused
from marathon_compat.apps import ids
from marathon_compat.apps.app import App
from marathon_compat.apps.records import Group


class Cyclic(Refused):
    """Apps that wait for each other."""


def layers(apps: Mapping[str, App], groups: Mapping[str, Group]) -> dict[str, int]:
    """How many apps, one depending on the next, must be there before each app; only those that
    depend on something, or that something depends on. Raises Cyclic."""
    graph = _graph(apps, groups)
    depth: dict[str, int] = {}
    try:
        for app in TopologicalSorter(graph).static_order():
            depth[app] = 1 + max((depth[one] for one in graph.get(app, ())), default=-1)
    except CycleError as error:
        ring = " → ".join(reversed(error.args[1]))
        raise Cyclic("Dependency graph has cyclic dependencies.", hint=ring) from None
    return depth


def _graph(apps: Mapping[str, App], groups: Mapping[str, Group]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for name, app in apps.items():
        if app.dependencies:
            graph.setdefault(name, set()).update(_meant(app.dependencies, apps))
    for name, group in groups.items():
        if group.dependencies:
            meant = _meant(group.dependencies, apps)
            for app_id in _within(name, apps):
                graph.setdefault(app_id, set()).update(meant)
    return graph


def _meant(names: Iterable[str], apps: Mapping[str, App]) -> set[str]:
    return {app for name in names for app in _within(name, apps)}


def _within(name: str, apps: Mapping[str, App]) -> list[str]:
    return [name] if name in apps else [app for app in apps if ids.within(app, name)]
