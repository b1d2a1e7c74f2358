"""What is forgotten when a deployment is over; pure.

Kept are the newest :data:`KEPT` deployments, of each app as many versions, and beyond that every
version that somebody still names: a running deployment, an instance, or, of an app that is gone, a
kept deployment (so a group can be put back to what it was).
"""

from __future__ import annotations

from collections.abc import Iterable

from fleetish.changes import Change
from marathon_compat.apps import records
from marathon_compat.apps.records import Deployment, Edit, Past
from marathon_compat.apps.tree import Tree, drop, version_id

#: Versions of an app, and of the tree, that are kept.
KEPT = 50


def forgotten(tree: Tree, ending: Deployment) -> list[Change]:
    """What nobody needs any more when a deployment has ended."""
    kept, gone = _split(tree)
    apps = {*ending.edit.after, *(app for past in gone for app in past.edit.after)}
    why = f"more than {KEPT} newer ones are kept"
    found: list[Change] = [drop(records.HISTORY, past.deployment, why) for past in gone]
    needed = _needed(tree, apps, [*(past.edit for past in kept), ending.edit])
    for app in sorted(apps):
        found += _versions(tree, app, needed)
        if app not in tree.apps and app in tree.delays and len(tree.locks.get(app, ())) < 2:
            found.append(drop(records.QUEUE, app, f"{app} was removed"))
    return found


def _split(tree: Tree) -> tuple[list[Past], list[Past]]:
    """The deployments that stay remembered beside the one that ends, and the others."""
    rows = sorted(tree.history.values(), key=lambda past: past.version, reverse=True)
    return rows[: KEPT - 1], rows[KEPT - 1 :]


def _needed(tree: Tree, apps: set[str], kept: Iterable[Edit]) -> set[tuple[str, str]]:
    """Versions that are named by somebody, as (app, version)."""
    live = [one.edit for one in tree.deployments.values()]
    found = {row for edit in live for row in _named(edit)}
    gone = apps - tree.apps.keys()
    found |= {row for edit in kept for row in _named(edit) if row[0] in gone}
    for app in apps:
        found |= {(app, tree.instances[unit].version) for unit in tree.units(app)}
    return found


def _named(edit: Edit) -> Iterable[tuple[str, str]]:
    return (*edit.before.items(), *edit.after.items())


def _versions(tree: Tree, app: str, needed: set[tuple[str, str]]) -> list[Change]:
    exists = app in tree.apps
    held = tree.stored_versions(app)
    extra = held[KEPT:] if exists else held
    return [
        drop(records.VERSION, version_id(app, version), "nobody needs it any more")
        for version in extra
        if (app, version) not in needed
    ]
