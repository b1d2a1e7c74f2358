"""What goes over the native API: one struct for each body, used by the server and the client.

Field names are the JSON keys. Times are seconds since the epoch, memory is in bytes, CPU in seconds
used. A listing is an object with one list in it, so that it can grow.
"""

from __future__ import annotations

import msgspec

from fleetish.resources import NOTHING, Resources


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is answered."""


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is asked: an unknown key is an error, not something to ignore."""


class MachineView(View, frozen=True, kw_only=True):
    """A machine. ``state`` is ready, cordoned, draining, lost or
    unreadable; ``used`` of ``capacity``."""

    id: str
    host: str = ""
    ip: str = ""
    endpoint: str = ""
    state: str = "ready"
    metadata: dict[str, str] = {}
    capacity: Resources = NOTHING
    used: Resources = NOTHING
    units: int = 0
    version: str = ""
    systemd: str = ""
    since: float = 0.0
    reason: str = ""


class Machines(View, frozen=True, kw_only=True):
    machines: tuple[MachineView, ...]


class CheckView(View, frozen=True, kw_only=True):
    """A health check as it is written, and what it has shown: ``health`` is unknown, healthy or
    unhealthy; ``alive`` whether the last answer was a good one; ``failures`` bad ones since."""

    check: str
    health: str
    alive: bool | None = None
    failures: int = 0
    first_success: float = 0.0
    last_success: float = 0.0
    last_failure: float = 0.0
    cause: str = ""


class StateView(View, frozen=True, kw_only=True):
    """What systemd says of a unit on a machine; ``stale`` when that machine is lost. ``health`` is
    the worst of its checks, "" without any; ``ready``: its readiness check has succeeded."""

    unit: str
    machine: str
    hash: str = ""
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    since: float = 0.0
    result: str = ""
    exit_code: str = ""
    exit_status: int = 0
    main_pid: int = 0
    restarts: int = 0
    failures: int = 0
    memory: int = 0
    cpu: float = 0.0
    error: str = ""
    stale: bool = False
    health: str = ""
    ready: bool = False
    checks: tuple[CheckView, ...] = ()


class States(View, frozen=True, kw_only=True):
    states: tuple[StateView, ...]


class UnitView(View, frozen=True, kw_only=True):
    """A unit: what is wanted of it (``target``), how far that got, and where.

    ``current`` is fleet's word for it (inactive, loaded, launched). ``settled``: what was wanted
    is so. ``problem``: why it will not be so by itself. ``waiting``: what it waits for.
    """

    name: str
    hash: str
    target: str
    launch: int = 0
    current: str = "inactive"
    machine: str = ""
    reason: str = ""
    settled: bool = False
    problem: str = ""
    waiting: str = ""
    is_global: bool = msgspec.field(default=False, name="global")
    klass: str = msgspec.field(default="shared", name="class")
    since: float = 0.0
    states: tuple[StateView, ...] = ()
    desc: str = ""
    text: str | None = None


class Units(View, frozen=True, kw_only=True):
    units: tuple[UnitView, ...]


class Wish(Body, frozen=True, kw_only=True):
    """One row of a bulk request: what is wanted of a unit.

    The text is given as it is, or as ``hash``: of a text in the request's ``texts``, or of one
    that the cluster has. Without either the unit must exist, or be an instance of a stored
    template.
    """

    name: str
    text: str | None = None
    hash: str = ""
    target: str = ""


class BulkWish(Body, frozen=True, kw_only=True):
    """Many wishes, checked together: when one is wrong, none is done.

    A unit that exists with another text: refused, unless ``replace`` (it gets the new text) or
    ``keep`` (it stays as it is, and the answer says so). ``at_least``: a target is only raised,
    never lowered, so that loading what runs does not stop it.
    """

    units: tuple[Wish, ...]
    texts: dict[str, str] = {}
    replace: bool = False
    keep: bool = False
    at_least: bool = False


class OneWish(Body, frozen=True, kw_only=True):
    """The body of PUT /v1/units/NAME."""

    text: str | None = None
    hash: str = ""
    target: str = ""
    replace: bool = False
    keep: bool = False


class TargetWish(Body, frozen=True, kw_only=True):
    """The body of POST /v1/units/NAME/target."""

    target: str


class TargetsWish(Body, frozen=True, kw_only=True):
    """The body of POST /v1/targets: one target for many units that exist.

    ``restart`` starts those that are launched once more. ``destroy`` forgets them; names that do
    not exist are then passed over.
    """

    names: tuple[str, ...]
    target: str = ""
    restart: bool = False
    destroy: bool = False


class MachinePatch(Body, frozen=True, kw_only=True):
    """The body of PATCH /v1/machines/ID: null removes a key; other keys stay."""

    metadata: dict[str, str | None]


class WhyBody(Body, frozen=True, kw_only=True):
    """The body of cordon, uncordon and drain: the reason is shown to whoever asks."""

    reason: str = ""


class Outcome(View, frozen=True, kw_only=True):
    """What came of a wish: created, replaced, target, unchanged, kept or destroyed.

    ``launch`` is the launch number that was asked for: a state answers it, or does not yet.
    """

    name: str
    outcome: str
    target: str = ""
    launch: int = 0
    hash: str = ""


class Written(View, frozen=True, kw_only=True):
    """The answer to a write: the etcd revision at which it is done, and a row a unit."""

    revision: int
    units: tuple[Outcome, ...] = ()


class FileText(Body, frozen=True, kw_only=True):
    """A unit file to look at, by the name that it shall have."""

    name: str
    text: str


class VerifyBody(Body, frozen=True, kw_only=True):
    """The body of POST /v1/verify."""

    files: tuple[FileText, ...]


class Problem(View, frozen=True, kw_only=True):
    """One thing wrong with a file; ``where`` is file:line."""

    name: str
    message: str
    where: str = ""
    directive: str = ""


class Verdict(View, frozen=True, kw_only=True):
    problems: tuple[Problem, ...]


class ExplainRow(View, frozen=True, kw_only=True):
    """Why one machine does, or does not, take a unit."""

    machine: str
    host: str = ""
    fits: bool = False
    reason: str = ""


class Explanation(View, frozen=True, kw_only=True):
    """Where a unit is and why; or per machine the first check that turned it away."""

    unit: str
    target: str
    machine: str = ""
    reason: str = ""
    machines: tuple[ExplainRow, ...] = ()


class LiveFigures(View, frozen=True, kw_only=True):
    """A unit's use of its machine now: bytes, and seconds of CPU since it started."""

    unit: str
    machine: str
    active: str = ""
    sub: str = ""
    memory: int = 0
    cpu: float = 0.0
    tasks: int = 0


class Top(View, frozen=True, kw_only=True):
    """``silent``: machines that did not answer in time."""

    units: tuple[LiveFigures, ...]
    silent: tuple[str, ...] = ()


class LeaderView(View, frozen=True, kw_only=True):
    """Who leads the engine; all empty while nobody does."""

    machine: str = ""
    host: str = ""
    since: float = 0.0


class Version(View, frozen=True, kw_only=True):
    fleetish: str
    api: str = "v1"


class Health(View, frozen=True, kw_only=True):
    """``status`` is ok, or stale with the seconds since etcd was last heard."""

    status: str
    stale_seconds: float = 0.0
    revision: int = 0
    alarms: tuple[str, ...] = ()


class ClusterEvent(View, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened; ``revision`` is etcd's, and the ``id:`` of the event stream.

    kinds: hello (the stream stands), unit, state, placement, machine, leader, alarm, rollout and
    rebalance (``text`` is their id).
    ``what`` is a word of the kind: created changed destroyed gone (nothing of it is left) · placed
    leaving removed · joined lost changed · elected gone · raised cleared. ``view`` is set for
    unit, state and placement events
    as long as the unit exists.
    """

    kind: str
    what: str = ""
    revision: int = 0
    unit: str = ""
    machine: str = ""
    text: str = ""
    state: StateView | None = None
    view: UnitView | None = None
