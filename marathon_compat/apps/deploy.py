"""From what is asked of the tree to a deployment and the writes that start it; pure.

    versions ─▶ cancelled deployments ─▶ the deployment ─▶ documents of apps and groups
                                          └ the commit point

1. Steps: stop what goes, all at once; start what comes, with no instances; then, layer by layer of
   the dependencies, scale or restart. Empty steps are left out.
2. A deployment locks the apps that it affects: those whose definition changes, and those restarted.
   ``force`` cancels who holds them, without undoing anything.
3. Asked again under the same id, what is there already is not asked for twice.
4. Instances that already run what is wanted stay: a former definition comes back with the time of
   its own last change, by which its instances are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

import msgspec

from fleetish.changes import Change
from fleetish.errors import Conflict, NotFound, Refused
from marathon_compat.apps import merge, ports, records, timestamps
from marathon_compat.apps.app import App, VersionInfo
from marathon_compat.apps.dependencies import layers
from marathon_compat.apps.edits import Draft
from marathon_compat.apps.records import Action, Deployment, Edit, Group, Outcome, Past
from marathon_compat.apps.tree import Tree, drop, put, unsettled, version_id

_replace = msgspec.structs.replace

#: Deployments that may run at the same time.
MOST = 100
#: Seconds after which a deployment of an app with this label fails and is undone.
DEADLINE_LABEL = "FLEETISH_DEPLOYMENT_DEADLINE"

Steps = tuple[tuple[Action, ...], ...]


class Locked(Conflict):
    """Another deployment holds an app; ``holders`` are those that do."""

    def __init__(self, holders: tuple[Deployment, ...], now: float) -> None:
        names = ", ".join(f"{one.id} (for {max(0.0, now - one.since):.0f} s)" for one in holders)
        super().__init__(
            "App is locked by one or more deployments. Override with the option '?force=true'."
            " View details at '/v2/deployments/<DEPLOYMENT_ID>'.",
            hint=f"held by {names}",
        )
        self.holders = holders


class TooMany(Refused):
    """No further deployment may run."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a change is to be made, under which id, and when (seconds since the epoch).

    ``deadline``: seconds that it may take, 0 for what a label of its apps says; what is late is
    undone when ``rollback``. ``outcome`` and ``reason``: what becomes of deployments in its way.
    """

    id: str
    now: float
    force: bool = False
    deadline: float = 0.0
    rollback: bool = True
    client: str = ""
    uri: str = ""
    outcome: Outcome = "cancelled"
    reason: str = "overridden by a forced change"


@dataclass(frozen=True, slots=True)
class Proposal:
    """The writes that start a deployment, and the apps as they will then be defined."""

    changes: tuple[Change, ...]
    deployment: Deployment
    apps: Mapping[str, App | None]

    @property
    def id(self) -> str:
        return self.deployment.id

    @property
    def version(self) -> str:
        return self.deployment.version


def propose(tree: Tree, draft: Draft, terms: Terms) -> Proposal:
    """What it takes to make a change. Raises Locked, TooMany, Cyclic, NoPorts."""
    known = tree.deployments.get(terms.id) or _ended(tree, terms.id)
    if known is not None:
        return Proposal((), known, {name: tree.apps.get(name) for name in known.edit.after})
    version = _next_version(tree, draft, terms.now)
    wanted = _definitions(tree, draft, version)
    edit = _edit(tree, wanted, draft.groups, version)
    depth = _layers(tree, wanted, edit)
    holders = _holders(tree, edit.after)
    if holders and not terms.force:
        raise Locked(holders, terms.now)
    if len(tree.deployments) - len(holders) >= MOST:
        raise TooMany(f"cannot start a deployment: {MOST} are running", hint="wait for one to end")
    affected = {name: wanted[name] for name in edit.after}
    deployment = Deployment(
        id=terms.id,
        version=version,
        since=terms.now,
        steps=_steps(tree, affected, depth),
        edit=edit,
        kills=draft.kills,
        deadline=0.0 if draft.undoes else _deadline(affected, terms),
        rollback=terms.rollback and not draft.undoes,
        force=terms.force,
        client=terms.client,
        uri=terms.uri,
    )
    return Proposal(_changes(tree, deployment, affected, holders, terms), deployment, wanted)


def _ended(tree: Tree, deployment: str) -> Deployment | None:
    """A deployment that is over already, as far as that is remembered."""
    past = tree.history.get(deployment)
    if past is None:
        return None
    return Deployment(
        id=deployment, version=past.version, since=past.since, steps=past.steps, edit=past.edit
    )


def _next_version(tree: Tree, draft: Draft, now: float) -> str:
    """A version later than any of the tree and of the apps concerned."""
    held = [tree.apps[name].version for name in {*draft.apps, *draft.restart} if name in tree.apps]
    newest = [version for version, _ in tree.edits()[:1]]
    return timestamps.after(now, *newest, *held)


def _definitions(tree: Tree, draft: Draft, version: str) -> dict[str, App | None]:
    """The definitions asked for, with service ports and versions; those unchanged stay the same."""
    names = dict.fromkeys((*draft.apps, *sorted(draft.restart)))
    asked = {name: draft.apps.get(name, tree.apps.get(name)) for name in names}
    others = (app for name, app in tree.apps.items() if name not in asked)
    taken = ports.taken_by((*others, *(app for app in asked.values() if app is not None)))
    found: dict[str, App | None] = {}
    for name, app in asked.items():
        before = tree.apps.get(name)
        if app is None:
            found[name] = None
        elif name in draft.former:
            found[name] = _former(before, app, version)
        else:
            whole = ports.assigned(app, before, taken)
            again = name in draft.restart
            found[name] = (
                merge.restarted(whole, version)
                if again
                else merge.versioned(before, whole, version)
            )
    return found


def _former(before: App | None, app: App, version: str) -> App:
    """A former definition as a new version; the time of its last change is its own."""
    info = app.version_info or VersionInfo(last_scaling_at=version, last_config_change_at=version)
    held = before.version_info if before else None
    if before is not None and held is not None:
        same = held.last_config_change_at == info.last_config_change_at
        if same and before.instances == app.instances:
            return before
    scaled = version if before is None or before.instances != app.instances else ""
    last = scaled or (held.last_scaling_at if held else version)
    fresh = VersionInfo(last_scaling_at=last, last_config_change_at=info.last_config_change_at)
    return _replace(app, version=version, version_info=fresh)


def _edit(
    tree: Tree, wanted: Mapping[str, App | None], groups: Mapping[str, Group | None], version: str
) -> Edit:
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for name, app in sorted(wanted.items()):
        had = tree.apps.get(name)
        if app != had:
            before[name] = had.version if had else ""
            after[name] = app.version if app else ""
    said = {
        name: group and _replace(group, version=version)
        for name, group in sorted(groups.items())
        if not _same_group(tree.groups.get(name), group)
    }
    return Edit(
        before=before,
        after=after,
        groups_before={name: tree.groups.get(name) for name in said},
        groups_after=said,
    )


def _same_group(one: Group | None, other: Group | None) -> bool:
    if one is None or other is None:
        return one is other
    return _replace(one, version="") == _replace(other, version="")


def _layers(tree: Tree, wanted: Mapping[str, App | None], edit: Edit) -> dict[str, int]:
    """The layers of the tree as it will be. Raises Cyclic."""
    apps = {**tree.apps, **wanted}
    groups = {**tree.groups, **edit.groups_after}
    return layers(
        {name: app for name, app in apps.items() if app is not None},
        {name: group for name, group in groups.items() if group is not None},
    )


def _steps(tree: Tree, affected: Mapping[str, App | None], depth: Mapping[str, int]) -> Steps:
    stop = [
        Action(kind="StopApplication", app=name, pod=_is_pod(tree.apps.get(name)))
        for name, app in affected.items()
        if app is None
    ]
    start = [
        Action(kind="StartApplication", app=name, pod=_is_pod(app))
        for name, app in affected.items()
        if app is not None and name not in tree.apps
    ]
    by_layer: dict[int, list[Action]] = {}
    for name, app in affected.items():
        if app is not None:
            action = Action(kind=_kind(tree, name, app), app=name, pod=_is_pod(app))
            by_layer.setdefault(depth.get(name, 0), []).append(action)
    rows = (stop, start, *(by_layer[layer] for layer in sorted(by_layer)))
    return tuple(tuple(row) for row in rows if row)


def _is_pod(app: App | None) -> bool:
    return app is not None and app.pod is not None


def _kind(tree: Tree, name: str, app: App) -> str:
    """Whether an app's instances are to be replaced, or only their number is to change."""
    before, config = tree.apps.get(name), config_of(app)
    if before is None:
        others = any(tree.instances[unit].config != config for unit in tree.units(name))
    else:
        others = config_of(before) != config
    return "RestartApplication" if others and app.instances else "ScaleApplication"


def config_of(app: App) -> str:
    """The version at which anything but the number of instances last changed."""
    return app.version_info.last_config_change_at if app.version_info else app.version


def _holders(tree: Tree, names: Iterable[str]) -> tuple[Deployment, ...]:
    found = {one for name in names for one in tree.locks.get(name, ())}
    return tuple(tree.deployments[one] for one in sorted(found))


def _deadline(affected: Mapping[str, App | None], terms: Terms) -> float:
    """When it must be over (seconds since the epoch); the longest time that a label allows."""
    said = [_seconds(app.labels.get(DEADLINE_LABEL, "")) for app in affected.values() if app]
    longest = terms.deadline or max(said, default=0.0)
    return terms.now + longest if longest > 0 else 0.0


def _seconds(text: str) -> float:
    try:
        found = float(text or 0)
    except ValueError:
        return 0.0
    return found if isfinite(found) else 0.0


def _changes(
    tree: Tree,
    deployment: Deployment,
    affected: Mapping[str, App | None],
    holders: Iterable[Deployment],
    terms: Terms,
) -> tuple[Change, ...]:
    why = f"deployment {deployment.id}"
    edit = deployment.edit
    found: list[Change] = [
        put(records.VERSION, version_id(name, app.version), app, why)
        for name, app in affected.items()
        if app is not None
    ]
    for other in holders:
        found += _left(tree, other, edit)
        found += over(other, terms.outcome, terms.reason, terms.now)
    found.append(put(records.DEPLOYMENT, deployment.id, deployment, f"asked for: {terms.uri}"))
    for name, app in affected.items():
        found += _stored(records.APP, name, app, name in tree.stored, why)
    for name, group in edit.groups_after.items():
        found += _stored(records.GROUP, name, group, name in tree.stored_groups, why)
    return tuple(found)


def _left(tree: Tree, other: Deployment, edit: Edit) -> list[Change]:
    """What a deployment that ends has not written yet, but for what the next one writes."""
    why = f"deployment {other.id}"
    return [
        change
        for (kind, name), body in unsettled(tree, other).items()
        if name not in (edit.after if kind == records.APP else edit.groups_after)
        for change in _stored(kind, name, body, True, why)
    ]


def _stored(kind: str, name: str, body: App | Group | None, held: bool, why: str) -> list[Change]:
    if body is not None:
        return [put(kind, name, body, why)]
    return [drop(kind, name, why)] if held else []


def settle(tree: Tree, deployment: Deployment) -> list[Change]:
    """What a deployment has not written yet of its apps and groups."""
    return _left(tree, deployment, Edit())


def over(deployment: Deployment, outcome: Outcome, reason: str, now: float) -> list[Change]:
    """The end of a deployment: its locks go with it."""
    last = max(0, len(deployment.steps) - 1)
    past = Past(
        version=deployment.version,
        deployment=deployment.id,
        since=deployment.since,
        ended=now,
        outcome=outcome,
        reason=reason,
        steps=deployment.steps,
        step=last if outcome == "success" else deployment.step,
        edit=deployment.edit,
        client=deployment.client,
        uri=deployment.uri,
    )
    why = f"deployment {deployment.id}: {outcome}{f', {reason}' if reason else ''}"
    return [
        put(records.HISTORY, deployment.id, past, why),
        drop(records.DEPLOYMENT, deployment.id, why),
    ]


def cancel(tree: Tree, deployment: str, now: float) -> tuple[Change, ...]:
    """End a deployment where it stands; nothing is undone. Raises NotFound."""
    known = tree.deployments.get(deployment)
    if known is None:
        raise NotFound(f"DeploymentPlan {deployment} does not exist")
    return (*settle(tree, known), *over(known, "cancelled", "cancelled on request", now))
