"""What somebody asks of the tree, as a value that :func:`~marathon_compat.apps.deploy.propose`
takes; pure. Each of these raises NotFound for what does not exist, and changes nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from fleetish.errors import NotFound
from marathon_compat.apps import ids
from marathon_compat.apps.app import App
from marathon_compat.apps.records import Group
from marathon_compat.apps.tree import Tree

_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Draft:
    """The definitions that apps and groups are to have; None: to be removed.

    ``former``: apps whose definition is that of an older version, so that instances which still
    run it are right. ``restart``: apps whose instances are all to be replaced. ``kills``: units to
    be killed first. ``undoes``: it takes another change back, and is itself never taken back.
    """

    apps: Mapping[str, App | None] = field(default_factory=dict)
    groups: Mapping[str, Group | None] = field(default_factory=dict)
    former: frozenset[str] = frozenset()
    restart: frozenset[str] = frozenset()
    kills: tuple[str, ...] = ()
    undoes: bool = False


def set_apps(tree: Tree, apps: Iterable[App]) -> Draft:
    """Apps, new or changed. The groups that they are in come to be with them."""
    wanted = {app.id: app for app in apps}
    return Draft(wanted, _missing_groups(tree, wanted))


def _missing_groups(tree: Tree, names: Iterable[str]) -> dict[str, Group | None]:
    needed = {group for name in names for group in ids.parents(name)} - {ids.ROOT}
    return {group: Group(id=group) for group in sorted(needed) if group not in tree.groups}


def restart_app(tree: Tree, app: str) -> Draft:
    """Replace every instance of an app."""
    _app(tree, app)
    return Draft(restart=frozenset({app}))


def remove_app(tree: Tree, app: str) -> Draft:
    """Stop an app and forget it."""
    _app(tree, app)
    return Draft({app: None})


def remove_group(tree: Tree, group: str) -> Draft:
    """Stop and forget all that is in a group, and the group; of the root, all that is in it."""
    return _replaced(tree, group, {}, {})


def set_group(tree: Tree, group: str, apps: Iterable[App], groups: Iterable[Group]) -> Draft:
    """Make these apps and groups all that a group holds (``groups`` with itself, at any depth).

    The group need not exist."""
    wanted = {app.id: app for app in apps}
    said = {one.id: one for one in groups}
    missing = _missing_groups(tree, (*wanted, *said, group))
    made: dict[str, Group | None] = {**{name: Group(id=name) for name in missing}, **said}
    if group != ids.ROOT:
        made.setdefault(group, Group(id=group))
    kept = _groups_within(tree, group)
    return Draft(
        {**dict.fromkeys(tree.below(group), None), **wanted},
        {**dict.fromkeys(kept, None), **made},
    )


def _replaced(
    tree: Tree, group: str, apps: Mapping[str, App | None], groups: Mapping[str, Group | None]
) -> Draft:
    _group(tree, group)
    gone = dict.fromkeys(_groups_within(tree, group), None)
    return Draft({**dict.fromkeys(tree.below(group), None), **apps}, {**gone, **groups})


def _groups_within(tree: Tree, group: str) -> list[str]:
    return sorted(name for name in tree.groups if ids.within(name, group))


def scale_group(tree: Tree, group: str, factor: float) -> Draft:
    """Multiply the instances of every app in a group, rounded up."""
    _group(tree, group)
    return Draft({name: _scaled(tree.apps[name], factor) for name in tree.below(group)})


def _scaled(app: App, factor: float) -> App:
    return _replace(app, instances=math.ceil(app.instances * factor))


def app_at(tree: Tree, app: str, version: str) -> Draft:
    """Give an app the definition that it had in a version."""
    _app(tree, app)
    return Draft({app: _definition(tree, app, version)}, former=frozenset({app}))


def group_at(tree: Tree, group: str, version: str) -> Draft:
    """Make all that is in a group what it was in a version of the tree."""
    _group(tree, group)
    if version not in tree.group_versions(ids.ROOT):
        raise NotFound(f"cannot find version {version} of group {group}")
    held, said = tree.at(version)
    apps: dict[str, App | None] = {
        name: _definition(tree, name, then)
        for name, then in held.items()
        if name != group and ids.within(name, group)
    }
    groups: dict[str, Group | None] = {
        name: one for name, one in said.items() if ids.within(name, group)
    }
    draft = _replaced(tree, group, apps, groups)
    return Draft(draft.apps, draft.groups, former=frozenset(apps))


def kill_and_scale(tree: Tree, units: Iterable[str]) -> Draft:
    """Kill instances for good: their apps want so many fewer. Unknown units are left out."""
    chosen = [
        one
        for unit in dict.fromkeys(units)
        if (one := tree.instances.get(unit)) is not None
        and not one.leaving
        and one.app in tree.apps
    ]
    fewer = Counter(one.app for one in chosen)
    apps = {
        name: _replace(tree.apps[name], instances=max(0, tree.apps[name].instances - count))
        for name, count in fewer.items()
    }
    return Draft(apps, kills=tuple(one.unit for one in chosen))


def undo(tree: Tree, deployment: str) -> Draft:
    """What a deployment changed, put back; what others changed stays."""
    known = tree.deployments.get(deployment)
    if known is None:
        raise NotFound(f"DeploymentPlan {deployment} does not exist")
    apps = {
        name: _definition(tree, name, version) if version else None
        for name, version in known.edit.before.items()
        if known.edit.after.get(name, "") == _version(tree, name)
    }
    former = frozenset(name for name, app in apps.items() if app is not None)
    return Draft(apps, known.edit.groups_before, former=former, undoes=True)


def _version(tree: Tree, app: str) -> str:
    known = tree.apps.get(app)
    return known.version if known else ""


def _definition(tree: Tree, app: str, version: str) -> App:
    found = tree.definition(app, version)
    if found is None:
        raise NotFound(f"cannot find version {version} of app {app}")
    return found


def _app(tree: Tree, app: str) -> None:
    if app not in tree.apps:
        raise NotFound(f"App '{app}' does not exist")


def _group(tree: Tree, group: str) -> None:
    if not tree.has_group(group):
        raise NotFound(f"Group '{group}' does not exist")
