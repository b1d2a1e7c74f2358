"""The records that a cluster consists of, as they are stored in etcd and shown by the API.

Times are seconds since the epoch (wall clock, for people); nothing is decided by them. Amounts are
those of :mod:`fleetish.resources`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleetish.resources import NOTHING, Resources
from fleetish.units.xfleet import Requirements


class Target(StrEnum):
    """What a person wants of a unit; fleet's three words."""

    INACTIVE = "inactive"
    LOADED = "loaded"
    LAUNCHED = "launched"


class Record(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Base of everything stored."""


class Machine(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A registered machine; the key hangs on its presence lease, so its absence means: lost.

    ``ports`` are the first and last port that the engine may hand out here, ``boot`` is the
    kernel's boot id, ``since`` when it registered.
    """

    id: str
    host: str
    address: str = ""
    endpoint: str = ""
    metadata: dict[str, str] = {}
    capacity: Resources = NOTHING
    ports: tuple[int, int] = (31000, 32000)
    boot: str = ""
    version: str = ""
    systemd: str = ""
    since: float = 0.0


class Overlay(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator said about a machine; outlives the machine's registration.

    ``metadata`` wins over the machine's own, ``None`` removes a key. ``cordoned``: nothing new is
    placed here. ``draining``: what runs here moves away; implies cordoned.
    """

    machine: str
    metadata: dict[str, str | None] = {}
    cordoned: bool = False
    draining: bool = False
    reason: str = ""


class Unit(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A unit that somebody submitted. ``launch`` grows with each start or restart asked for."""

    name: str
    hash: str
    target: Target = Target.INACTIVE
    launch: int = 0
    requirements: Requirements = Requirements()
    since: float = 0.0


class Content(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A unit file's text, stored once under its hash."""

    hash: str
    text: str


class Placement(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Where a unit is: one key per unit, so a unit cannot be placed twice.

    ``leaving``: asked to stop there; the key stays until the machine says it has.
    ``failed_on``: machines that this unit left because it kept failing.
    """

    unit: str
    machine: str
    reason: str = ""
    leaving: bool = False
    failed_on: tuple[str, ...] = ()
    moves: int = 0
    since: float = 0.0


class Assignment(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What one machine shall do with one unit; the only thing an agent watches.

    ``generation`` grows with each rewrite, so that a state can say which wish it answers.
    ``ports`` are the granted ports in the order asked. ``target`` inactive means: stop, and say so.
    """

    unit: str
    machine: str
    hash: str
    target: Target
    launch: int = 0
    generation: int = 1
    ports: tuple[int, ...] = ()
    requirements: Requirements = Requirements()


class CheckState(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What one health check of a run has shown; times are those of the last write.

    ``alive``: whether the last answer that counts was a good one; None before the first.
    ``failures``: bad ones since, counted to one more than make the unit unhealthy. ``cause`` is
    that of the last bad one. ``code``: of an advisory check the status of the answer, or
    the exit status of the command; 0 for none.
    """

    alive: bool | None = None
    failures: int = 0
    first_success: float = 0.0
    last_success: float = 0.0
    last_failure: float = 0.0
    cause: str = ""
    code: int = 0


class UnitState(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What systemd says of a unit on a machine, written by that machine's agent by change only.

    ``load``, ``active``, ``sub`` are systemd's words. ``seen`` is the assignment's generation that
    this state answers, ``launch`` the launch that was started last. ``failures`` counts entries
    into ``failed`` on this machine since the assignment. ``error`` says why it cannot be run here.
    ``memory`` is in bytes, ``cpu`` in seconds used, both when this was written. While the unit is
    active, ``health`` has a row for each of its health checks, in their order, and ``ready`` says
    that its readiness check has succeeded in this run.
    """

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
    invocation: str = ""
    restarts: int = 0
    failures: int = 0
    memory: int = 0
    cpu: float = 0.0
    launch: int = 0
    seen: int = 0
    error: str = ""
    health: tuple[CheckState, ...] = ()
    ready: bool = False


class Leader(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Who leads the engine; the key hangs on the leader's lease."""

    machine: str
    host: str = ""
    since: float = 0.0


class Document(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A record of a face that the core stores but does not read."""

    kind: str
    id: str
    body: msgspec.Raw = msgspec.Raw(b"null")
