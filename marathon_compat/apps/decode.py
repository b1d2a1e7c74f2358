"""From the bytes of a body to definitions: parsed, checked, complete.

    bytes ─json_text─► tree ─shape─► App as sent, and its old fields ─legacy─► today's fields
          ─defaults─► complete App ─validate─► App, or everything that is wrong with it

The shape is told first: while a field has the wrong type, rules mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from marathon_compat.apps import defaults, ids, legacy, shape, timestamps, validate
from marathon_compat.apps.app import App
from marathon_compat.apps.errors import BadBody, Violation, bad_shape, not_valid
from marathon_compat.apps.json_text import parse
from marathon_compat.apps.legacy import OldApp
from marathon_compat.apps.loose import LooseApp

Tree = dict[str, object]

ABOVE_ROOT = "must not lead above the root"
VERSION_ALONE = "The 'version' field may only be combined with the 'id' field."


class Sent(NamedTuple):
    """An app as a body has it: in today's fields, in old ones, and the names of those given."""

    app: App
    old: OldApp
    given: Mapping[str, object]


class Update(NamedTuple):
    """What a body says of one app; ``given`` has no nulls. ``whole``: it says all there is, and
    what it leaves out is to be as in a new app."""

    id: str
    given: Mapping[str, object]
    whole: bool = False
    prefix: str = ""


class Rollback(NamedTuple):
    """An app is to be again what it was in a version (a timestamp in Marathon's one form)."""

    id: str
    version: str


class Findings:
    """Everything that is wrong with a body, in shape and by rule."""

    def __init__(self) -> None:
        self.faults: list[Violation] = []
        self.wrong: list[Violation] = []

    def raise_any(self) -> None:
        """Raises BadBody 422, of the shape first, when something was found."""
        if self.faults:
            raise bad_shape(self.faults)
        if self.wrong:
            raise not_valid(self.wrong)


def read_app(body: bytes) -> App:
    """One new app. Raises BadBody."""
    findings = Findings()
    app = define(parse(body), "", ids.ROOT, findings)
    findings.raise_any()
    assert app is not None
    return app


def read_update(body: bytes, app_id: str, whole: bool = False) -> Update | Rollback:
    """What is to become of the app that the URL names; an id in the body counts for nothing.
    Raises BadBody."""
    findings = Findings()
    given = object_of(parse(body), "", findings)
    found = None if given is None else _update({**given, "id": app_id}, "", whole, findings)
    findings.raise_any()
    assert found is not None
    return found


def read_updates(body: bytes, whole: bool = False) -> tuple[Update | Rollback, ...]:
    """What is to become of several apps, each named by its id. Raises BadBody."""
    tree, findings = parse(body), Findings()
    if not isinstance(tree, list):
        raise bad_shape((Violation("/", shape.ARRAY),))
    found: list[Update | Rollback | None] = []
    for at, row in enumerate(tree):
        given = object_of(row, f"({at})", findings)
        found.append(None if given is None else _update(given, f"({at})", whole, findings))
    names = [row.id for row in found if row]
    findings.wrong.extend(
        Violation(f"({at})/id", "is given twice in one body")
        for at, name in enumerate(names)
        if name in names[:at]
    )
    findings.raise_any()
    return tuple(row for row in found if row)


def define(tree: object, path: str, base: str, findings: Findings) -> App | None:
    """The complete app that stands at ``path``; None, with findings, when it cannot be taken."""
    given = object_of(tree, path, findings)
    sent = None if given is None else read_sent(given, path, findings)
    if sent is None:
        return None
    app = defaults.completed(legacy.upgraded(sent.app, sent.old), sent.given.keys(), base)
    if ids.climbs(sent.app.id, base):
        findings.wrong.append(Violation(f"{path}/id", ABOVE_ROOT))
    judge(sent, app, path, findings)
    return app


def read_sent(given: Tree, path: str, findings: Findings) -> Sent | None:
    """An app in the shape that it was sent in; None, with findings, when it has another."""
    before = len(findings.faults)
    faults: list[Violation] = []
    given = {key: value for key, value in given.items() if key != "pod"}  # pods have their own body
    app = shape.read(App, given, path, faults)
    old = shape.read(OldApp, given, path, faults)
    shape.read(LooseApp, given, path, faults)
    findings.faults.extend(dict.fromkeys(faults))
    return None if len(findings.faults) > before else Sent(app, old, given)


def judge(sent: Sent, app: App, path: str, findings: Findings) -> None:
    """Add what was said twice in ``sent``, and the rules that the complete ``app`` breaks."""
    twice = legacy.conflicts(sent.app, sent.old, sent.given)
    findings.wrong.extend(Violation(f"{path}{where}" or "/", error) for where, error in twice)
    findings.wrong.extend(validate.violations(app, path))


def object_of(tree: object, path: str, findings: Findings) -> Tree | None:
    """The fields of an object that are not null; None, with a finding, for anything else."""
    if not isinstance(tree, dict):
        findings.faults.append(Violation(path or "/", shape.OBJECT))
        return None
    return {key: value for key, value in tree.items() if value is not None}


def _update(given: Tree, path: str, whole: bool, findings: Findings) -> Update | Rollback | None:
    version = given.get("version")
    alone = given.keys() <= {"id", "version"}
    sent = read_sent(given, path, findings)
    if sent is None:
        return None
    app_id = ids.canonical(sent.app.id)
    if version is not None and alone:
        return _rollback(app_id, str(version), path, findings)
    if version is not None and not whole:
        findings.wrong.append(Violation(path or "/", VERSION_ALONE))
    return Update(app_id, given, whole, path)


def _rollback(app_id: str, version: str, path: str, findings: Findings) -> Rollback | None:
    try:
        return Rollback(app_id, timestamps.normal(version))
    except BadBody as error:
        findings.wrong.append(Violation(f"{path}/version", error.message))
        return None
