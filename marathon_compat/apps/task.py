"""A task as the API answers it: one run of an instance; and what is counted over an app's. Pure.

An instance whose run is over has no task until the next run; how the last one ended is told by the
app's ``lastTaskFailure``. All lists are there also when they are empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from statistics import fmean, median
from typing import Any

from fleetish.model import CheckState
from fleetish.world import World
from marathon_compat.apps import ids, timestamps
from marathon_compat.apps.app import App
from marathon_compat.apps.instances import Condition, Member, task_id
from marathon_compat.apps.records import Failure, Instance

#: The conditions in which an instance has a task.
ALIVE = frozenset(
    {
        Condition.STAGING,
        Condition.STARTING,
        Condition.RUNNING,
        Condition.KILLING,
        Condition.UNREACHABLE,
    }
)
_STAGED = frozenset({Condition.STAGING, Condition.STARTING})
_BEGUN = ("active", "reloading", "refreshing", "deactivating")


def shown(
    world: World, app: App | None, member: Member, service_ports: Sequence[int] = ()
) -> dict[str, Any]:
    """A task; ``app`` is the definition that it was made from, None when that is not kept."""
    instance, machine = member.instance, member.machine
    held = world.assignment(instance.unit, machine)
    body: dict[str, Any] = {
        "appId": instance.app,
        "healthCheckResults": health_results(member),
        "host": world.host(machine),
        "id": task_id(member),
        "ipAddresses": _addresses(world, machine),
        "ports": list(held.ports) if held else [],
        "servicePorts": list(service_ports),
        "slaveId": machine,
        "state": member.task_state,
        "version": instance.version,
        "localVolumes": _volumes(app, instance) if app else [],
        "role": app.role if app else "*",
    }
    if instance.staged:
        body["stagedAt"] = timestamps.text(instance.staged)
    if started := started_at(member):
        body["startedAt"] = timestamps.text(started)
    if app is not None and app.check is not None:
        body |= check_result(app, member)
    metadata = world.metadata(machine)
    return body | {key: metadata[key] for key in ("region", "zone") if key in metadata}


def started_at(member: Member) -> float:
    """When the run began (seconds since the epoch); 0.0 before that."""
    state = member.state
    return state.since if state and state.active in _BEGUN else 0.0


def _addresses(world: World, machine: str) -> list[dict[str, str]]:
    known = world.machine(machine)
    text, version = _address(known.address if known else "")
    return [{"ipAddress": text, "protocol": f"IPv{version}"}] if version else []


@lru_cache(4096)
def _address(text: str) -> tuple[str, int]:
    """An address in its usual spelling, and its version; 0 for what is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return "", 0
    return str(found), found.version


def _volumes(app: App, instance: Instance) -> list[dict[str, str]]:
    volumes = app.container.volumes if app.container else ()
    uuid, path = ids.uuid_of_unit(instance.unit), instance.app[1:].replace("/", "_")
    return [
        {
            "runSpecId": instance.app,
            "containerPath": one.container_path,
            "persistenceId": f"{path}#{one.container_path}#{uuid}",
            "uuid": uuid,
        }
        for one in volumes
        if one.persistent is not None
    ]


def health_results(member: Member) -> list[dict[str, Any]]:
    """What each health check has shown of this run; none for checks without an answer yet."""
    state = member.state
    if state is None or state.launch < member.launch:
        return []
    name = ids.instance_id(member.instance.app, ids.uuid_of_unit(member.instance.unit))
    return [_result(one, name) for one in member.probed if one.alive is not None]


def check_result(app: App, member: Member) -> dict[str, Any]:
    """``checkResult``: what the app's ``check`` was answered last; {} before that."""
    row, check = member.told, app.check or {}
    if row is None or member.state is None or member.state.launch < member.launch:
        return {}
    if "tcp" in check:
        return {"checkResult": {"tcp": {"succeeded": bool(row.alive)}}}
    if "http" in check:
        return {"checkResult": {"http": {"statusCode": row.code} if row.code else {}}}
    known = row.alive or row.code
    return {"checkResult": {"command": {"exitCode": row.code} if known else {}}}


def _result(check: CheckState, instance: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "alive": bool(check.alive),
        "consecutiveFailures": check.failures,
        "instanceId": instance,
    }
    times = (
        ("firstSuccess", check.first_success),
        ("lastSuccess", check.last_success),
        ("lastFailure", check.last_failure),
    )
    body |= {key: timestamps.text(when) for key, when in times if when}
    return body | ({"lastFailureCause": check.cause} if check.cause else {})


def last_failure(app: str, failure: Failure) -> dict[str, str]:
    """``lastTaskFailure``."""
    return {
        "appId": app,
        "host": failure.host,
        "message": failure.message,
        "state": failure.state,
        "taskId": failure.task,
        "timestamp": timestamps.text(failure.at),
        "version": failure.version,
        "slaveId": failure.machine,
    }


def counts(members: Iterable[Member]) -> dict[str, int]:
    """The counters of an app; without health checks nothing is healthy, nor unhealthy."""
    staged = running = healthy = unhealthy = 0
    for member in members:
        staged += member.condition in _STAGED
        if member.condition is Condition.RUNNING:
            running += 1
            results = member.probed
            unhealthy += any(one.alive is False for one in results)
            healthy += bool(results) and all(one.alive for one in results)
    return {
        "tasksStaged": staged,
        "tasksRunning": running,
        "tasksHealthy": healthy,
        "tasksUnhealthy": unhealthy,
    }


def readiness(app: App, members: Iterable[Member]) -> list[dict[str, Any]]:
    """What the readiness check has shown of each running task of an app."""
    return [
        {"name": check.name, "taskId": task_id(one), "ready": one.ready}
        for check in app.readiness_checks
        for one in members
        if one.condition is Condition.RUNNING
    ]


def stats(app: App, members: Sequence[Member], now: float) -> dict[str, Any]:
    """``taskStats``: counts and life times of the tasks, by what they were started from."""
    info = app.version_info
    config = info.last_config_change_at if info else app.version
    scaled = timestamps.seconds(info.last_scaling_at) if info else 0.0
    groups = {
        "startedAfterLastScaling": [one for one in members if one.instance.staged >= scaled],
        "withLatestConfig": [one for one in members if one.instance.config == config],
        "withOutdatedConfig": [one for one in members if one.instance.config != config],
        "totalSummary": list(members),
    }
    return {name: {"stats": _stats(rows, now)} for name, rows in groups.items() if rows}


def _stats(members: Sequence[Member], now: float) -> dict[str, Any]:
    told = {key[5:].lower(): value for key, value in counts(members).items()}
    lives = [max(0.0, now - began) for one in members if (began := started_at(one))]
    if not lives:
        return {"counts": told}
    times = {"averageSeconds": fmean(lives), "medianSeconds": median(lives)}
    return {"counts": told, "lifeTime": times}
