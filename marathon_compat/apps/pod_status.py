"""How a pod and its instances are, as ``::status`` tells it; pure.

An instance is one unit, so its containers have one state between them. What only each container
could know of itself (its own exit, its own memory) is not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleetish.world import World
from marathon_compat.apps import ids, timestamps
from marathon_compat.apps.app import App
from marathon_compat.apps.instances import Condition, Member, task_id
from marathon_compat.apps.pods import PodContainer
from marathon_compat.apps.pods_app import pod_of, show

_STATES = {
    Condition.SCHEDULED: "PENDING",
    Condition.STAGING: "STAGING",
    Condition.STARTING: "STAGING",
    Condition.KILLING: "TERMINAL",
    Condition.KILLED: "TERMINAL",
}


def status(world: World, app: App, members: Sequence[Member]) -> dict[str, Any]:
    """A pod: STABLE when as many instances as wanted are."""
    rows = [instance(world, app, one) for one in members]
    stable = sum(row["status"] == "STABLE" for row in rows)
    since = max((_since(one, app) for one in members), default=timestamps.seconds(app.version))
    when = timestamps.text(since)
    return {
        "id": app.id,
        "spec": show(app),
        "status": "STABLE" if stable >= app.instances else "DEGRADED",
        "statusSince": when,
        "instances": rows,
        "terminationHistory": [],
        "lastUpdated": when,
        "lastChanged": when,
    }


def instance(world: World, app: App, member: Member) -> dict[str, Any]:
    """One instance, with a row for each of its containers."""
    when = timestamps.text(_since(member, app))
    name = ids.instance_id(app.id, ids.uuid_of_unit(member.name))
    body: dict[str, Any] = {
        "id": name,
        "status": _state(member),
        "statusSince": when,
        "conditions": [],
        "resources": {"cpus": app.cpus, "mem": app.mem, "disk": app.disk, "gpus": app.gpus},
        "networks": [],
        "containers": [],
        "specReference": f"/v2/pods{app.id}::versions/{member.instance.version}",
        "localVolumes": [],
        "lastUpdated": when,
        "lastChanged": when,
        "role": app.role,
    }
    if member.message:
        body["message"] = member.message
    if not member.machine:
        return body
    known = world.machine(member.machine)
    address = {"addresses": [known.address]} if known and known.address else {}
    return body | {
        "agentHostname": world.host(member.machine),
        "agentId": member.machine,
        "networks": [address] if address else [],
        "containers": _containers(world, app, member, when),
    }


def _state(member: Member) -> str:
    return _STATES.get(member.condition) or ("STABLE" if member.fit else "DEGRADED")


def _since(member: Member, app: App) -> float:
    return member.since or member.instance.staged or timestamps.seconds(app.version)


def _containers(world: World, app: App, member: Member, when: str) -> list[dict[str, Any]]:
    held = world.assignment(member.name, member.machine)
    ports = iter(held.ports if held else ())
    return [_container(one, member, when, ports) for one in pod_of(app).containers]


def _container(one: PodContainer, member: Member, when: str, ports: Any) -> dict[str, Any]:
    """A container; it takes as many of the instance's ports as it has endpoints."""
    given = one.resources
    endpoints: list[dict[str, Any]] = []
    for endpoint in one.endpoints:
        row: dict[str, Any] = {"name": endpoint.name}
        if port := next(ports, 0):
            row["allocatedHostPort"] = port
        if one.health_check is not None and member.healthy is not None:
            row["healthy"] = member.healthy
        endpoints.append(row)
    body: dict[str, Any] = {
        "name": one.name,
        "status": member.task_state,
        "statusSince": when,
        "conditions": [],
        "containerId": task_id(member).replace("._app.", f".{one.name}."),
        "endpoints": endpoints,
        "resources": {
            "cpus": given.cpus,
            "mem": given.mem,
            "disk": given.disk,
            "gpus": given.gpus,
        },
        "lastUpdated": when,
        "lastChanged": when,
    }
    return body | ({"message": member.message} if member.message else {})
