"""What is wanted of an app's instances now: by itself, or by the deployment that holds it; pure.

the deployment's step is …        wanted
--------------------------------  ------------------------------------------
before the app's                  what was before
the app's                         what the action says
after the app's                   what is to be from now on
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from marathon_compat.apps.app import App
from marathon_compat.apps.records import Deployment
from marathon_compat.apps.tree import Tree


class Kind(StrEnum):
    """How instances are to become right."""

    HOLD = "hold"
    SCALE = "scale"
    REPLACE = "replace"
    STOP = "stop"
    WAIT = "wait"


_KINDS = {
    "ScaleApplication": Kind.SCALE,
    "RestartApplication": Kind.REPLACE,
    "StopApplication": Kind.STOP,
}


@dataclass(frozen=True, slots=True)
class Aim:
    """The definition that instances shall have, and how many there shall be; ``before``: how many
    there were to be until now, ``kills``: units that go first."""

    kind: Kind
    app: App | None = None
    before: int = 0
    kills: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return self.app.instances if self.app else 0


def aim_of(tree: Tree, app: str) -> Aim:
    """What is wanted of an app, which may be on its way out or not known at all."""
    known, held = tree.apps.get(app), tree.holder(app)
    if held is None:
        return Aim(Kind.HOLD, known, known.instances) if known else Aim(Kind.STOP)
    place, kind = _action(held, app)
    before = tree.definition(app, held.edit.before.get(app, ""))
    count = before.instances if before else 0
    if held.step < place:
        return Aim(Kind.HOLD, before, count) if before else Aim(Kind.WAIT)
    if held.step == place:
        return Aim(kind, None if kind is Kind.STOP else known, count, held.kills)
    return Aim(Kind.HOLD, known, known.instances) if known else Aim(Kind.STOP)


def _action(held: Deployment, app: str) -> tuple[int, Kind]:
    """In which step a deployment acts on an app, and how; before all steps when in none."""
    for place, step in enumerate(held.steps):
        for action in step:
            if action.app == app and action.kind in _KINDS:
                return place, _KINDS[action.kind]
    return -1, Kind.HOLD
