"""Who stands for election, and how patient the elected one is."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from fleetish.engine.policy import DEFAULT, Policy
from fleetish.model import Leader
from fleetish.store.lease import SHARE

#: etcd before these may end a lease early, when a member that led before is still up
#: (etcd PR 17465); newer minor versions never did.
REPAIRED = {(3, 4): 31, (3, 5): 13}
#: etcd looks for leases that are over twice a second.
LATE = 0.5


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """``ttl``: of the leader's lease, ``machine_ttl``: of a machine's, ``relist``: between two
    looks at everything; all in seconds. ``machine`` and ``host`` default to this machine."""

    prefix: str = "/fleetish/v1"
    ttl: int = 5
    machine_ttl: int = 10
    relist: float = 30.0
    machine: str = ""
    host: str = ""
    policy: Policy = DEFAULT


def candidate(settings: EngineSettings, now: float) -> Leader:
    """The record under which this process leads; ``now`` in seconds since the epoch."""
    return Leader(
        machine=settings.machine or _machine_id(),
        host=settings.host or socket.gethostname(),
        since=now,
    )


def _machine_id() -> str:
    """machine-id(5), or "" where there is none."""
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def patience(settings: EngineSettings, version: str) -> Policy:
    """The policy beside an etcd of this version: exclusive units wait out a lease that ended early.

    The host fences them within the lease's time to live, counted from the last good renewal; if
    the lease may end before that, the mover waits a whole one more. Machines that die together are
    missed one after the other, as each renewed last at another time.
    """
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    policy = replace(settings.policy, spread=settings.machine_ttl * SHARE + LATE)
    if found:
        minor, patch = (int(found[1]), int(found[2])), int(found[3])
        if minor >= (3, 4) and patch >= REPAIRED.get(minor, 0):
            return policy
    return replace(policy, exclusive_settle=policy.exclusive_settle + settings.machine_ttl)
