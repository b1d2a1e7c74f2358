"""Marathon's tree, kept current over a World's documents; pure.

1. A deployment's word counts before the documents of its apps and groups, which may be written a
   moment later than it; of an app that is being removed nothing is left but instances.
2. Looking again costs what has changed: documents are told apart by identity, and a World never
   changes one in place. Definitions of old versions are read only when somebody asks.
3. A document that cannot be read is in ``unreadable``; whoever plans leaves its app alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fleetish.changes import DropDocument, PutDocument
from fleetish.model import Document
from fleetish.world import Touched, World
from marathon_compat.apps import ids, records
from marathon_compat.apps.app import App
from marathon_compat.apps.records import Delay, Deployment, Edit, Group, Instance, Past

Key = tuple[str, str]

_TYPES: dict[str, type] = {
    records.APP: App,
    records.GROUP: Group,
    records.DEPLOYMENT: Deployment,
    records.INSTANCE: Instance,
    records.QUEUE: Delay,
    records.HISTORY: Past,
}
_KINDS = {*_TYPES, records.VERSION}
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(of) for kind, of in _TYPES.items()
}
_APP_DECODER = msgspec.json.Decoder(App)
_encode = msgspec.json.Encoder().encode


def put(kind: str, name: str, body: object, reason: str) -> PutDocument:
    """The change that stores a document of Marathon's."""
    return PutDocument(Document(kind=kind, id=name, body=msgspec.Raw(_encode(body))), reason)


def drop(kind: str, name: str, reason: str) -> DropDocument:
    """The change that forgets one."""
    return DropDocument(kind, name, reason)


def version_id(app: str, version: str) -> str:
    """The id of the document that holds a version of an app."""
    return f"{app}@{version}"


class Tree:
    """Apps, groups, instances and deployments by the names that the API uses.

    ``apps`` and ``groups`` are what they are to be now, ``locks`` the deployments that hold an app.
    ``stored`` and ``stored_groups`` are what their own documents say.
    """

    def __init__(self) -> None:
        self.revision = -1
        self.apps: dict[str, App] = {}
        self.groups: dict[str, Group] = {}
        self.stored: dict[str, App] = {}
        self.stored_groups: dict[str, Group] = {}
        self.instances: dict[str, Instance] = {}
        self.deployments: dict[str, Deployment] = {}
        self.locks: dict[str, set[str]] = {}
        self.delays: dict[str, Delay] = {}
        self.history: dict[str, Past] = {}
        self.unreadable: dict[Key, str] = {}
        self._seen: dict[Key, Document] = {}
        self._units: dict[str, set[str]] = {}
        self._versions: dict[str, set[str]] = {}
        self._definitions: dict[Key, App | None] = {}

    @staticmethod
    def of(world: World) -> Tree:
        """The tree of a world."""
        tree = Tree()
        tree.sync(world)
        return tree

    def sync(self, world: World) -> set[str]:
        """Take in whatever differs from what was seen; the apps that this concerns."""
        return set() if world.revision == self.revision else self._look(world)

    def _look(self, world: World) -> set[str]:
        self.revision = world.revision
        documents = world.documents
        fresh = [
            key
            for key, document in documents.items()
            if key[0] in _KINDS and self._seen.get(key) is not document
        ]
        return self._take(world, [*fresh, *(key for key in self._seen if key not in documents)])

    def update(self, world: World, touched: Touched) -> set[str]:
        """Take in what was touched since the last look; the apps that this concerns."""
        if touched.everything:
            return self._look(world)
        self.revision = world.revision
        return self._take(world, [key for key in touched.documents if key[0] in _KINDS])

    def units(self, app: str) -> tuple[str, ...]:
        """The units of an app's instances, in order."""
        return tuple(sorted(self._units.get(app, ())))

    def definition(self, app: str, version: str) -> App | None:
        """An app's definition as of a version; None for one that is not kept."""
        key = (app, version)
        if key not in self._definitions:
            document = self._seen.get((records.VERSION, version_id(app, version)))
            self._definitions[key] = _definition(document) if document else None
        return self._definitions[key]

    def stored_versions(self, app: str) -> tuple[str, ...]:
        """All versions that are kept under an app's id, newest first."""
        return tuple(sorted(self._versions.get(app, ()), reverse=True))

    def versions(self, app: str) -> tuple[str, ...]:
        """The versions of an app that exists, newest first; not those of a former app of its name,
        nor any that is being written."""
        known = self.apps.get(app)
        if known is None:
            return ()
        born = self._born(app)
        return tuple(v for v in self.stored_versions(app) if born <= v <= known.version)

    def _born(self, app: str) -> str:
        """The version with which the app was created last, as far as that is remembered."""
        return max((v for v, edit in self.edits() if _creates(edit, app)), default="")

    def edits(self) -> list[tuple[str, Edit]]:
        """What deployments, live or over, changed; newest first."""
        live = ((one.version, one.edit) for one in self.deployments.values())
        past = ((one.version, one.edit) for one in self.history.values())
        return sorted((*live, *past), key=lambda row: row[0], reverse=True)

    def below(self, group: str) -> list[str]:
        """The ids of all apps in a group and in its groups, in order."""
        return sorted(app for app in self.apps if app != group and ids.within(app, group))

    def group_ids(self) -> set[str]:
        """Every group that there is: said so, or since something is in it."""
        found = {ids.ROOT, *self.groups}
        for name in (*self.apps, *self.groups):
            found.update(ids.parents(name))
        return found

    def has_group(self, group: str) -> bool:
        """True when there is such a group; the root always is."""
        if group == ids.ROOT or group in self.groups:
            return True
        return any(name != group and ids.within(name, group) for name in (*self.apps, *self.groups))

    def group_versions(self, group: str) -> tuple[str, ...]:
        """The versions in which something at or below a group changed, newest first."""
        return tuple(
            version
            for version, edit in self.edits()
            if group == ids.ROOT or any(ids.within(name, group) for name in _named(edit))
        )

    def at(self, version: str) -> tuple[dict[str, str], dict[str, Group]]:
        """The version of each app, and the groups, as they were when ``version`` was made."""
        apps: dict[str, str] = {name: app.version for name, app in self.apps.items()}
        groups: dict[str, Group | None] = {**self.groups}
        for later, edit in self.edits():
            if later <= version:
                break
            apps.update(edit.before)
            groups.update(edit.groups_before)
        return (
            {name: held for name, held in apps.items() if held},
            {name: group for name, group in groups.items() if group is not None},
        )

    def _take(self, world: World, keys: Iterable[Key]) -> set[str]:
        """Take in documents as they are now; the apps concerned."""
        concerned: set[str] = set()
        groups: set[str] = set()
        for key in keys:
            document = world.documents.get(key)
            before, after = self._replace(key, document)
            for one in (before, after):
                concerned |= _apps_of(key, one)
                groups |= _groups_of(key, one)
        for app in concerned:
            self._decide(app)
        for group in groups:
            self._decide_group(group)
        return concerned

    def _replace(self, key: Key, document: Document | None) -> tuple[object, object]:
        """Put a document in the place of another one; what they say, None for nothing."""
        kind, name = key
        self.unreadable.pop(key, None)
        if document is None:
            self._seen.pop(key, None)
        else:
            self._seen[key] = document
        if kind == records.VERSION:
            self._note_version(name, present=document is not None)
            return None, None
        held = self._table(kind)
        before, after = held.pop(name, None), None
        if document is not None:
            try:
                after = _DECODERS[kind].decode(document.body)
            except (msgspec.DecodeError, ValueError) as error:
                self.unreadable[key] = str(error)
            else:
                held[name] = after
        self._index(kind, name, before, after)
        return before, after

    def _table(self, kind: str) -> dict[str, Any]:
        tables: dict[str, dict[str, Any]] = {
            records.APP: self.stored,
            records.GROUP: self.stored_groups,
            records.DEPLOYMENT: self.deployments,
            records.INSTANCE: self.instances,
            records.QUEUE: self.delays,
            records.HISTORY: self.history,
        }
        return tables[kind]

    def _note_version(self, name: str, *, present: bool) -> None:
        app, _, version = name.rpartition("@")
        known = self._versions.setdefault(app, set())
        known.add(version) if present else known.discard(version)
        if not known:
            del self._versions[app]
        self._definitions.pop((app, version), None)

    def _index(self, kind: str, name: str, before: Any, after: Any) -> None:
        if kind == records.INSTANCE:
            if before is not None:
                _discard(self._units, before.app, name)
            if after is not None:
                self._units.setdefault(after.app, set()).add(name)
        elif kind == records.DEPLOYMENT:
            for app in before.edit.after if before is not None else ():
                _discard(self.locks, app, name)
            for app in after.edit.after if after is not None else ():
                self.locks.setdefault(app, set()).add(name)

    def holder(self, app: str) -> Deployment | None:
        """The deployment that an app is locked by; if it should be several, the newest."""
        held = [self.deployments[one] for one in self.locks.get(app, ())]
        return max(held, key=lambda one: one.version, default=None)

    def _decide(self, app: str) -> None:
        """What an app is to be now: a deployment's word, else its document's."""
        found = self.stored.get(app)
        held = self.holder(app)
        if held is not None:
            version = held.edit.after[app]
            if not version:
                found = None
            elif found is None or found.version != version:
                found = self.definition(app, version) or found
        if found is None:
            self.apps.pop(app, None)
        else:
            self.apps[app] = found

    def _decide_group(self, group: str) -> None:
        found = self.stored_groups.get(group)
        held = [one for one in self.deployments.values() if group in one.edit.groups_after]
        if held:
            found = max(held, key=lambda one: one.version).edit.groups_after[group]
        if found is None:
            self.groups.pop(group, None)
        else:
            self.groups[group] = found


def _definition(document: Document) -> App | None:
    try:
        return _APP_DECODER.decode(document.body)
    except (msgspec.DecodeError, ValueError):
        return None


def _creates(edit: Edit, app: str) -> bool:
    return bool(edit.after.get(app)) and not edit.before.get(app)


def _named(edit: Edit) -> Iterable[str]:
    return (*edit.after, *edit.groups_after)


def _apps_of(key: Key, body: object) -> set[str]:
    """The apps that a document says something of."""
    if key[0] in (records.APP, records.QUEUE):
        return {key[1]}
    if isinstance(body, Instance):
        return {body.app}
    return set(body.edit.after) if isinstance(body, Deployment) else set()


def _groups_of(key: Key, body: object) -> set[str]:
    if key[0] == records.GROUP:
        return {key[1]}
    return set(body.edit.groups_after) if isinstance(body, Deployment) else set()


def _discard(index: dict[str, set[str]], key: str, value: str) -> None:
    held = index.get(key)
    if held is not None:
        held.discard(value)
        if not held:
            del index[key]


def unsettled(tree: Tree, deployment: Deployment) -> Mapping[Key, App | Group | None]:
    """The documents that are not yet what a deployment made of them; None: to be dropped. What a
    newer deployment holds is that one's."""
    found: dict[Key, App | Group | None] = {}
    for name, version in deployment.edit.after.items():
        stored = tree.stored.get(name)
        definition = tree.definition(name, version)
        held = tree.holder(name) in (deployment, None)
        if (stored.version if stored else "") != version and held and (definition or not version):
            found[records.APP, name] = definition
    for name, group in deployment.edit.groups_after.items():
        if tree.stored_groups.get(name) != group:
            found[records.GROUP, name] = group
    return found
