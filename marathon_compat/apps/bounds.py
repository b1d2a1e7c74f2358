"""The least and the most that each number of a definition may be, as one table.

Where Marathon knows no upper bound, it is set so far off that only a slip of the pen reaches it.
"""

from __future__ import annotations

from collections.abc import Iterator

from marathon_compat.apps.app import (
    App,
    HealthCheck,
    PersistentVolume,
    Piece,
    PortDefinition,
    PortMapping,
    ReadinessCheck,
    ResourceLimits,
    UnreachableStrategy,
    UpgradeStrategy,
)
from marathon_compat.apps.errors import Wrong

MAX_INSTANCES = 100_000
MAX_CPUS = 100_000.0
MAX_MIB = 2.0**40
MAX_SECONDS = 2**31 - 1
MAX_PORT = 65535

#: Of each kind of piece: field, its name in JSON, least, most.
BOUNDS: dict[type[Piece], tuple[tuple[str, str, float, float], ...]] = {
    App: (
        ("instances", "instances", 0, MAX_INSTANCES),
        ("cpus", "cpus", 0.001, MAX_CPUS),
        ("mem", "mem", 0, MAX_MIB),
        ("disk", "disk", 0, MAX_MIB),
        ("gpus", "gpus", 0, 1024),
        ("backoff_seconds", "backoffSeconds", 0, MAX_SECONDS),
        ("backoff_factor", "backoffFactor", 1, 1e6),
        ("max_launch_delay_seconds", "maxLaunchDelaySeconds", 0, MAX_SECONDS),
        ("task_kill_grace_period_seconds", "taskKillGracePeriodSeconds", 0, MAX_SECONDS),
    ),
    UpgradeStrategy: (
        ("minimum_health_capacity", "minimumHealthCapacity", 0, 1),
        ("maximum_over_capacity", "maximumOverCapacity", 0, 1),
    ),
    UnreachableStrategy: (
        ("inactive_after_seconds", "inactiveAfterSeconds", 0, MAX_SECONDS),
        ("expunge_after_seconds", "expungeAfterSeconds", 0, MAX_SECONDS),
    ),
    ResourceLimits: (("cpus", "cpus", 0.001, MAX_CPUS), ("mem", "mem", 0, MAX_MIB)),
    HealthCheck: (
        ("port", "port", 0, MAX_PORT),
        ("port_index", "portIndex", 0, MAX_PORT),
        ("grace_period_seconds", "gracePeriodSeconds", 0, MAX_SECONDS),
        ("interval_seconds", "intervalSeconds", 0, MAX_SECONDS),
        ("timeout_seconds", "timeoutSeconds", 0, MAX_SECONDS),
        ("max_consecutive_failures", "maxConsecutiveFailures", 0, MAX_SECONDS),
        ("delay_seconds", "delaySeconds", 0, MAX_SECONDS),
    ),
    ReadinessCheck: (
        ("interval_seconds", "intervalSeconds", 0, MAX_SECONDS),
        ("timeout_seconds", "timeoutSeconds", 1, MAX_SECONDS),
    ),
    PortDefinition: (("port", "port", 0, MAX_PORT),),
    PortMapping: (
        ("container_port", "containerPort", 0, MAX_PORT),
        ("host_port", "hostPort", 0, MAX_PORT),
        ("service_port", "servicePort", 0, MAX_PORT),
    ),
    PersistentVolume: (("size", "size", 1, MAX_MIB), ("max_size", "maxSize", 1, MAX_MIB)),
}

#: Of an executor's resources: least.
EXECUTOR = {"cpus": 0.1, "mem": 32.0, "disk": 10.0}


def out_of_bounds(app: App) -> Wrong:
    """(path, sentence) of each number of the app that is too small or too large."""
    for path, piece in _pieces(app):
        for field, key, least, most in BOUNDS[type(piece)]:
            value = getattr(piece, field)
            if isinstance(value, int | float) and not least <= value <= most:
                wanted = f"{least:g} or more" if value < least else f"{most:g} or less"
                yield f"{path}/{key}", f"got {value:g}, expected {wanted}"
    for key, value in (app.executor_resources or {}).items():
        if value < EXECUTOR.get(key, 0.0):
            yield f"/executorResources/{key}", f"got {value:g}, expected {EXECUTOR[key]:g} or more"


def _pieces(app: App) -> Iterator[tuple[str, Piece]]:
    yield "", app
    yield "/upgradeStrategy", app.upgrade_strategy
    if isinstance(app.unreachable_strategy, UnreachableStrategy):
        yield "/unreachableStrategy", app.unreachable_strategy
    if app.resource_limits:
        yield "/resourceLimits", app.resource_limits
    lists: list[tuple[str, tuple[Piece, ...]]] = [
        ("/healthChecks", app.health_checks),
        ("/readinessChecks", app.readiness_checks),
        ("/portDefinitions", app.port_definitions or ()),
    ]
    if app.container:
        lists.append(("/container/portMappings", app.container.port_mappings or ()))
        for at, volume in enumerate(app.container.volumes):
            if volume.persistent:
                yield f"/container/volumes({at})/persistent", volume.persistent
    for path, pieces in lists:
        for at, piece in enumerate(pieces):
            yield f"{path}({at})", piece
