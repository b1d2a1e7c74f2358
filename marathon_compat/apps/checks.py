"""When an instance is so unhealthy that it is killed; pure.

Of checks that Marathon ran itself (HTTP, HTTPS, TCP) one failure more than
``maxConsecutiveFailures`` kills, and 0 never does; of those that Mesos ran on the agent (MESOS_*,
COMMAND) as many do, and 0 means the first. All are run by the agent here.
"""

from __future__ import annotations

from marathon_compat.apps.app import App, HealthCheck, HealthProtocol
from marathon_compat.apps.instances import Condition, Member

_LEADERS = frozenset({HealthProtocol.HTTP, HealthProtocol.HTTPS, HealthProtocol.TCP})


def fatal(check: HealthCheck) -> int:
    """The failures in a row that kill; 0 for never."""
    most = check.max_consecutive_failures
    if check.protocol in _LEADERS:
        return most + 1 if most else 0
    return max(1, most)


def too_sick(member: Member, definition: App) -> str:
    """Why an instance is to be killed by its health checks, beginning with "unhealthy", or ""."""
    if member.condition is not Condition.RUNNING or member.state is None:
        return ""
    for check, shown in zip(definition.health_checks, member.probed, strict=False):
        if fatal(check) and shown.failures >= fatal(check):
            why = f": {shown.cause}" if shown.cause else ""
            times = f"{shown.failures} {check.protocol} health checks in a row failed"
            return f"unhealthy: {times}{why}"
    return ""
