"""How patient the planner is; values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in seconds.

    ``settle``: how long a machine must be gone before its units move. ``exclusive_settle``: the
    same for exclusive units; etcd before 3.4.31 may let a lease end early, then it is a TTL more.
    ``forget_after``: when a machine is gone for this long, global units are no longer kept for it.
    ``spread``: how far apart the leases of machines that died together may end; where the brake
    could hold, all of them are to be seen before anything moves.
    The mass-loss brake holds when more than ``brake_share`` of the known machines and more than
    ``brake_above`` of them are lost; when it ends, those still lost have ``after_brake`` to return,
    as hosts come back one after the other. ``most``: changes in one round, after which it stops to
    place.
    """

    settle: float = 1.0
    exclusive_settle: float = 1.0
    forget_after: float = 3600.0
    brake_share: float = 0.5
    brake_above: int = 2
    after_brake: float = 10.0
    spread: float = 0.0
    most: int = 2000


DEFAULT = Policy()
