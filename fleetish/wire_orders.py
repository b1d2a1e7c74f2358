"""What goes over the native API about standing orders: rolling updates and rebalances.

As :mod:`fleetish.wire`: times are seconds since the epoch.
"""

from __future__ import annotations

import msgspec

from fleetish.wire import Body, View


class ReplaceBody(Body, frozen=True, kw_only=True):
    """The body of POST /v1/rollouts: give units another text, a few at a time.

    ``units`` are names; a template stands for itself and all of its instances. ``texts`` are by
    unit or template; an instance without one takes that of its template, given or stored.
    ``max_unavailable``: how many may be down at a time, as ``2`` or ``25%``. ``on_failure``: stop,
    rollback or continue. ``settle``: seconds that a unit must have been active to count as up.
    """

    units: tuple[str, ...]
    texts: dict[str, str] = msgspec.field(default_factory=dict)
    max_unavailable: str = "1"
    on_failure: str = "stop"
    settle: float = 1.0


class MemberView(View, frozen=True, kw_only=True):
    """A unit of a rollout, a global one on each of its machines.

    ``stands``: waiting (has its old text), starting, done, failed or kept (will not be replaced).
    """

    unit: str
    machine: str = ""
    host: str = ""
    stands: str = "waiting"
    reason: str = ""


class RolloutView(View, frozen=True, kw_only=True):
    """A rolling update. ``stage``: replacing, undoing, done, undone, stopped or cancelled; the
    first two are ``going`` on. ``done`` of ``total`` have the text that is wanted, and are up."""

    id: str
    stage: str
    going: bool = False
    reason: str = ""
    total: int = 0
    done: int = 0
    max_unavailable: str = "1"
    on_failure: str = "stop"
    since: float = 0.0
    ended: float = 0.0
    units: tuple[MemberView, ...] = ()


class Rollouts(View, frozen=True, kw_only=True):
    rollouts: tuple[RolloutView, ...]


class RebalanceBody(Body, frozen=True, kw_only=True):
    """The body of POST /v1/rebalance: move at most ``most`` units, ``at_once`` at a time."""

    dry_run: bool = False
    most: int = 100
    at_once: int = 1


class ShiftView(View, frozen=True, kw_only=True):
    """A move that makes the machines more even."""

    unit: str
    source: str
    machine: str
    source_host: str = ""
    host: str = ""
    reason: str = ""


class RebalanceView(View, frozen=True, kw_only=True):
    """A rebalance. ``going``: one goes on, has ``moved`` so many, ``moving`` are on their way.
    ``shifts``: what would be moved by what is known now, when that was asked for."""

    going: bool = False
    moved: int = 0
    moving: tuple[str, ...] = ()
    shifts: tuple[ShiftView, ...] = ()
