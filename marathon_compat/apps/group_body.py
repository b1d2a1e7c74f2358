"""Bodies of groups: a tree of groups and apps, whose ids may be relative to the group around them.

A body says one of three things: all that the group is to hold; ``{"version"}``, to be again what
it was; ``{"scaleBy"}``, so many times the instances. The latter two stand alone.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from marathon_compat.apps import ids, shape, timestamps
from marathon_compat.apps.app import App, Piece
from marathon_compat.apps.bounds import MAX_INSTANCES
from marathon_compat.apps.decode import ABOVE_ROOT, Findings, Tree, define, object_of
from marathon_compat.apps.errors import BadBody, Violation, bad_shape
from marathon_compat.apps.json_text import parse
from marathon_compat.apps.records import Group

ALONE = "not allowed in conjunction with other properties"
UNIQUE_IDS = "Every app and every group must have an id of its own"


class GroupUpdate(NamedTuple):
    """What a body says of a group. ``apps`` and ``groups`` are all within it, at any depth and
    itself included, with absolute ids. ``version`` or ``scale_by``: nothing else is said."""

    id: str
    apps: tuple[App, ...] = ()
    groups: tuple[Group, ...] = ()
    version: str = ""
    scale_by: float | None = None


class SentGroup(Piece, frozen=True, kw_only=True, rename="camel"):
    """A group's own fields as a body has them."""

    id: str | None = None
    dependencies: tuple[str, ...] = ()
    version: str | None = None
    scale_by: float | None = None
    enforce_role: bool | None = None
    apps: tuple[dict[str, object], ...] = ()
    groups: tuple[dict[str, object], ...] = ()


def read_group(body: bytes, group_id: str = ids.ROOT) -> GroupUpdate:
    """What is to become of the group that the URL names, or of the one in it that the body names.
    Raises BadBody with all that is wrong."""
    reader = _Reader()
    given = object_of(parse(body), "", reader.findings) or {}
    reader.findings.raise_any()
    sent = reader.shape(given, "")
    name = ids.canonical(sent.id or "", group_id)
    if ids.climbs(sent.id or "", group_id):
        reader.findings.wrong.append(Violation("/id", ABOVE_ROOT))
    found = _alone(sent, given, name, reader.findings)
    if found is None:
        reader.group(sent, given, name, "")
        reader.check_unique()
        found = GroupUpdate(name, tuple(reader.apps), tuple(reader.groups))
    reader.findings.raise_any()
    return found


def read_enforce_role(body: bytes) -> bool:
    """What ``PATCH`` says of a group: the one thing that it can. Raises BadBody."""
    sent = shape.read_whole(SentGroup, parse(body))
    if sent.enforce_role is None:
        raise bad_shape((Violation("/enforceRole", shape.MISSING),))
    return sent.enforce_role


def _alone(sent: SentGroup, given: Tree, name: str, findings: Findings) -> GroupUpdate | None:
    """A body that only says a version or a factor; a version with more is refused."""
    if sent.version is None and sent.scale_by is None:
        return None
    field = "scaleBy" if sent.version is None else "version"
    if not given.keys() <= {"id", field}:
        findings.wrong.append(Violation(f"/{field}", ALONE))
    if sent.version is not None:
        try:
            return GroupUpdate(name, version=timestamps.normal(sent.version))
        except BadBody as error:
            findings.wrong.append(Violation("/version", error.message))
    elif sent.scale_by is not None and not 0 <= sent.scale_by <= MAX_INSTANCES:
        reason = f"got {sent.scale_by:g}, expected 0 to {MAX_INSTANCES}"
        findings.wrong.append(Violation("/scaleBy", reason))
    return GroupUpdate(name, scale_by=sent.scale_by)


class _Reader:
    """Gathers the apps and groups of a body, and everything that is wrong with it."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.apps: list[App] = []
        self.groups: list[Group] = []

    def shape(self, given: Tree, path: str) -> SentGroup:
        """A group's own fields; none, with findings, when they have another shape."""
        before = len(self.findings.faults)
        faults: list[Violation] = []
        sent = shape.read(SentGroup, given, path, faults)
        self.findings.faults.extend(faults)
        return sent if len(self.findings.faults) == before else SentGroup()

    def group(self, sent: SentGroup, given: Tree, name: str, path: str) -> None:
        """Take in a group, its apps, and the groups in it."""
        self._name(name, path)
        dependencies = tuple(ids.canonical(row, name) for row in sent.dependencies)
        for at, row in enumerate(dependencies):
            self._wrong(f"{path}/dependencies({at})", ids.problems(row))
        self.groups.append(
            Group(id=name, dependencies=dependencies, enforce_role=sent.enforce_role)
        )
        for at, tree in enumerate(sent.apps):
            self._app(tree, f"{path}/apps({at})", name)
        for at, inner in enumerate(sent.groups):
            self._inner(inner, f"{path}/groups({at})", name)

    def _app(self, tree: Tree, path: str, group: str) -> None:
        app = define(tree, path, group, self.findings)
        if app is not None:
            self._child(app.id, path, group)
            self.apps.append(app)

    def _inner(self, tree: Tree, path: str, group: str) -> None:
        given = {key: value for key, value in tree.items() if value is not None}
        sent = self.shape(given, path)
        if sent.id is None:
            self.findings.faults.append(Violation(f"{path}/id", shape.MISSING))
            return
        name = ids.canonical(sent.id, group)
        self._child(name, path, group)
        self.group(sent, given, name, path)

    def _name(self, name: str, path: str) -> None:
        if name != ids.ROOT:
            self._wrong(f"{path}/id", ids.problems(name))

    def _child(self, name: str, path: str, group: str) -> None:
        if ids.parent(name) != group or name == group:
            reason = f"Identifier is not child of {group}. Hint: use relative paths."
            self._wrong(f"{path}/id", (reason,))

    def _wrong(self, path: str, errors: tuple[str, ...]) -> None:
        self.findings.wrong.extend(Violation(path, error) for error in errors)

    def check_unique(self) -> None:
        """No two of them have one id."""
        names = Counter([*(app.id for app in self.apps), *(group.id for group in self.groups)])
        twice = ", ".join(name for name, count in names.items() if count > 1)
        if twice:
            self._wrong("/", (f"{UNIQUE_IDS}: {twice}",))
