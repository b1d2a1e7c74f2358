"""All rules of a definition, and everything that breaks them at once.

A rule takes a complete app (defaults filled in, old fields turned into today's) and yields a path
below the app and a sentence for each thing that is wrong; "" is the app itself. Where Marathon has
a sentence for it, that sentence is used, for scripts look for it.
"""

from __future__ import annotations

from collections.abc import Callable

from marathon_compat.apps import (
    bounds,
    ids,
    rules_container,
    rules_network,
    rules_placement,
    rules_text,
)
from marathon_compat.apps.app import App, UnreachableStrategy
from marathon_compat.apps.defaults import is_single, keeps_data
from marathon_compat.apps.errors import Violation, Wrong

Rule = Callable[[App], Wrong]


def violations(app: App, prefix: str = "") -> list[Violation]:
    """Every breach of a rule; ``prefix`` is where the app stands in its body, as ``/apps(0)``."""
    return [
        Violation(f"{prefix}{path}" or "/", error) for rule in RULES for path, error in rule(app)
    ]


def _id(app: App) -> Wrong:
    for problem in ids.problems(app.id):
        yield "/id", problem


def _dependencies(app: App) -> Wrong:
    for at, row in enumerate(app.dependencies):
        for problem in ids.problems(row):
            yield f"/dependencies({at})", problem


def _resources(app: App) -> Wrong:
    if app.gpus > 0 and app.container and app.container.type == "DOCKER":
        yield "", "GPU resources only work with the Mesos containerizer"
    elif app.gpus > 0:
        yield "/gpus", "Feature gpu_resources is not enabled: no machine offers any"
    limits = app.resource_limits
    for name in ("cpus", "mem") if limits else ():
        limit, request = getattr(limits, name), getattr(app, name)
        if isinstance(limit, float) and limit < request:
            yield f"/resourceLimits/{name}", f"got {limit:g}, expected {request:g} or more"


def _roles(app: App) -> Wrong:
    group = app.id.split("/")[1]
    if app.role not in ("*", group):
        yield "/role", f"got {app.role[:80]}, expected one of: *, {group}"
    roles = app.accepted_resource_roles
    if roles is None:
        return
    if not roles:
        yield "/acceptedResourceRoles", "must not be empty"
    elif not set(roles) <= {"*", app.role}:
        known = ", ".join(dict.fromkeys(("*", app.role)))
        yield "/acceptedResourceRoles", f"acceptedResourceRoles may only hold: {known}"


def _single_instance(app: App) -> Wrong:
    if not is_single(app):
        return
    if app.instances > 1:
        yield "", "Single instance app may only have one instance"
    strategy = app.upgrade_strategy
    for name, value in (
        ("minimumHealthCapacity", strategy.minimum_health_capacity),
        ("maximumOverCapacity", strategy.maximum_over_capacity),
    ):
        if value != 0:
            yield f"/upgradeStrategy/{name}", f"got {value:g}, expected 0.0"


def _residency(app: App) -> Wrong:
    if app.residency is not None and not keeps_data(app):
        yield "", "App must contain persistent volumes and define residency"
    if not keeps_data(app):
        return
    over = app.upgrade_strategy.maximum_over_capacity
    if over != 0:
        yield "/upgradeStrategy/maximumOverCapacity", f"got {over:g}, expected 0.0"
    if app.unreachable_strategy != "disabled":
        yield "", "unreachableStrategy must be disabled for resident tasks"


def _unreachable(app: App) -> Wrong:
    strategy = app.unreachable_strategy
    if not isinstance(strategy, UnreachableStrategy):
        return
    if strategy.inactive_after_seconds > strategy.expunge_after_seconds:
        yield (
            "/unreachableStrategy",
            "inactiveAfterSeconds must be less than or equal to expungeAfterSeconds",
        )


#: In the order in which their breaches are told.
RULES: tuple[Rule, ...] = (
    _id,
    rules_container.command,
    bounds.out_of_bounds,
    _resources,
    rules_text.names,
    rules_text.sizes,
    rules_placement.constraints,
    rules_network.networks,
    rules_network.ports,
    rules_network.health_checks,
    rules_network.readiness_checks,
    rules_container.container,
    rules_container.check,
    rules_container.secrets,
    rules_container.artifacts,
    _dependencies,
    _roles,
    _single_instance,
    _residency,
    _unreachable,
    rules_text.characters,
)
