"""What Marathon's face keeps in the store, as documents; the kinds, and their bodies.

    kind                  id                     body
    marathon-app          /a/b                   App, the current definition
    marathon-version      /a/b@2026-…Z           App, as it was; newest 50 of each app
    marathon-group        /a                     Group: what is said of a group itself
    marathon-deployment   uuid                   Deployment, while it runs
    marathon-instance     the unit's name        Instance
    marathon-queue        /a/b                   Delay: back-off and the last failure of an app
    marathon-history      uuid                   Past: a deployment that is over; newest 50
    marathon-callback     a URL                  Callback: where events are posted to

1. A definition is stored under its version; whoever else means it, names the version. So no value
   grows with what it changes, but for the names in it.
2. A deployment is the commit point of a change: versions are written before it, and what it makes
   of apps and groups (their own documents) with it or after it. Until then the deployment's word
   counts: see :mod:`marathon_compat.apps.tree`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

APP = "marathon-app"
VERSION = "marathon-version"
GROUP = "marathon-group"
DEPLOYMENT = "marathon-deployment"
INSTANCE = "marathon-instance"
QUEUE = "marathon-queue"
HISTORY = "marathon-history"
CALLBACK = "marathon-callback"


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is stored. Times are seconds since the epoch, versions Marathon's timestamps."""


class Group(Body, frozen=True, kw_only=True, omit_defaults=True):
    """What is said of a group itself; its apps and groups follow from the ids."""

    id: str
    dependencies: tuple[str, ...] = ()
    version: str = ""
    enforce_role: bool | None = None


class Instance(Body, frozen=True, kw_only=True, omit_defaults=True):
    """One instance of an app, which is one unit; its runs are the unit's launches, from 1.

    ``config`` is the ``lastConfigChangeAt`` of the definition that it was made from, ``version``
    that definition's version, ``staged`` when it was launched last. ``leaving``: why it is being
    killed; the document stays until the unit is off its machine. ``failed`` is the launch whose end
    was counted last, ``failures`` how many in a row failed. ``parked``: scaled away, but its unit
    stays where it is, stopped, since data waits there for its next run.
    """

    unit: str
    app: str
    version: str
    config: str
    staged: float = 0.0
    leaving: str = ""
    failed: int = 0
    failures: int = 0
    parked: bool = False


class Failure(Body, frozen=True, kw_only=True, omit_defaults=True):
    """The last failure of an app's tasks (``lastTaskFailure``)."""

    task: str
    state: str
    message: str
    host: str
    machine: str
    version: str
    at: float


class Delay(Body, frozen=True, kw_only=True, omit_defaults=True):
    """The back-off of an app's config version; ``seconds`` is the current delay, ``until`` its end.

    0 seconds: none. ``failure`` stays when the delay is over. ``made`` counts the instances that
    were ever made: whoever makes some writes it, so two never make the same."""

    app: str
    made: int = 0
    config: str = ""
    seconds: float = 0.0
    until: float = 0.0
    failure: Failure | None = None


class Action(Body, frozen=True, kw_only=True, omit_defaults=True):
    """``kind`` is StartApplication, StopApplication, ScaleApplication or RestartApplication; where
    ``pod`` says that the app stands for one, the API calls it …Pod."""

    kind: str
    app: str
    pod: bool = False


class Edit(Body, frozen=True, kw_only=True, omit_defaults=True):
    """What a change makes of the tree: of each affected app the version before and after ("": it
    did not, or shall not, exist), of each affected group what is said of it."""

    before: dict[str, str] = {}
    after: dict[str, str] = {}
    groups_before: dict[str, Group | None] = {}
    groups_after: dict[str, Group | None] = {}


class Deployment(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A change under way. ``step`` counts from 0.

    ``kills`` are units that a kill-and-scale chose. ``deadline``: seconds since the epoch, 0 for
    none; what is not done then fails, and is undone when ``rollback``. ``client`` and ``uri``: who
    asked for it, and where.
    """

    id: str
    version: str
    since: float
    steps: tuple[tuple[Action, ...], ...]
    step: int = 0
    edit: Edit = Edit()
    kills: tuple[str, ...] = ()
    deadline: float = 0.0
    rollback: bool = False
    force: bool = False
    client: str = ""
    uri: str = ""


Outcome = Literal["success", "failed", "cancelled"]


class Past(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A deployment that is over; ``step`` is the one that it had come to."""

    version: str
    deployment: str
    since: float
    ended: float
    outcome: Outcome
    reason: str = ""
    steps: tuple[tuple[Action, ...], ...] = ()
    step: int = 0
    edit: Edit = Edit()
    client: str = ""
    uri: str = ""


class Callback(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Who asked for events to be posted to a URL (the document's id), and when."""

    client: str = ""
    since: float = 0.0
