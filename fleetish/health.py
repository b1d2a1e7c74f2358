"""What the checks of a unit say of it as a whole; pure.

    a check    failed as often in a row as makes it unhealthy ─▶ unhealthy
               has succeeded in this run                      ─▶ healthy
               else                                           ─▶ unknown
    a unit     the worst of its checks: unhealthy, unknown, healthy

So a single failure changes nothing, and a success makes good at once. Advisory checks say nothing
of the unit.
"""

from __future__ import annotations

from enum import StrEnum

from fleetish.model import CheckState, UnitState
from fleetish.units.health import HealthCheck
from fleetish.units.xfleet import Requirements

#: Active states in which a unit is probed (systemd(1)).
PROBED = ("active", "reloading", "refreshing")


class Health(StrEnum):
    """How a unit is; "" when it has no health checks or is not active."""

    UNCHECKED = ""
    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


_WORST = (Health.UNHEALTHY, Health.UNKNOWN, Health.HEALTHY, Health.UNCHECKED)


def check_health(check: HealthCheck, found: CheckState) -> Health:
    """What one check says. With ``failures=0`` the first failure makes it unhealthy."""
    if found.failures and found.failures >= check.failures:
        return Health.UNHEALTHY
    return Health.HEALTHY if found.first_success else Health.UNKNOWN


def health(asked: Requirements, state: UnitState) -> Health:
    """What all checks of a unit say together."""
    if not asked.health or state.active not in PROBED:
        return Health.UNCHECKED
    if len(state.health) != len(asked.health):
        return Health.UNKNOWN  # its machine has not taken it in yet
    pairs = zip(asked.health, state.health, strict=True)
    found = {check_health(*pair) for pair in pairs if not pair[0].advisory}
    return next((word for word in _WORST if word in found), Health.UNCHECKED)


def lacks(asked: Requirements, state: UnitState) -> str:
    """What an active unit that was started still has to show: "healthy", "ready" or ""."""
    if state.active not in PROBED:
        return ""
    if health(asked, state) in (Health.UNKNOWN, Health.UNHEALTHY):
        return "healthy"
    return "ready" if asked.readiness and not state.ready else ""


def cause(state: UnitState) -> str:
    """Why a check failed last, of the first that is failing now; "" when none is."""
    return next((row.cause for row in state.health if row.failures), "")
