"""Ids that cannot stand beside each other: an app is never a group; pure."""

from __future__ import annotations

from marathon_compat.apps import ids
from marathon_compat.apps.edits import Draft
from marathon_compat.apps.errors import Violation, not_valid
from marathon_compat.apps.tree import Tree


def checked(tree: Tree, draft: Draft) -> Draft:
    """The draft, when the tree that it makes has no id twice. Raises BadBody 422."""
    apps = {*tree.apps, *draft.apps} - {name for name, app in draft.apps.items() if app is None}
    gone = {name for name, group in draft.groups.items() if group is None}
    groups = {name for name in (*tree.groups, *draft.groups) if name not in gone}
    for name in (*apps, *groups):
        groups.update(ids.parents(name))
    fresh = {name for name, app in draft.apps.items() if app and name not in tree.apps}
    twice = sorted(apps & groups) if fresh or draft.groups else []
    if twice:
        names = ", ".join(twice[:5])
        raise not_valid(
            [Violation("/", f"Groups and Applications may not have the same identifier: {names}")]
        )
    return draft
