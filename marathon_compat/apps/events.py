"""Marathon's events as values: their kinds, what each says, and how that is written.

    api_post_event  pod_created_event  pod_updated_event  pod_deleted_event
    group_change_success  group_change_failed
    deployment_info  deployment_step_success  deployment_step_failure
    deployment_success  deployment_failed
    status_update_event  instance_changed_event  unknown_instance_terminated_event
    add_health_check_event  remove_health_check_event  failed_health_check_event
    health_status_changed_event  instance_health_changed_event  unhealthy_instance_kill_event
    app_terminated_event
    event_stream_attached  event_stream_detached  event_stream_restarted
    subscribe_event  unsubscribe_event

``event_stream_restarted`` is our own; only who sends ``Last-Event-ID`` is ever told it. A change of
health is told by two kinds, the one before Marathon 1.4 and the one since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from marathon_compat.apps import ids, timestamps
from marathon_compat.apps.app import App
from marathon_compat.apps.records import Action, Deployment, Past
from marathon_compat.apps.show import show

_encode = msgspec.json.Encoder().encode

#: What clients of Marathon before 1.8 look for in a plan, and those since never read.
NO_GROUPS: Mapping[str, Any] = {"original": {}, "target": {}}


class Event(NamedTuple):
    """One event. ``at``: seconds since the epoch, 0.0 where the store does not say when."""

    kind: str
    body: Mapping[str, Any]
    at: float = 0.0


class Task(NamedTuple):
    """What events say of an instance's newest run. ``state`` is "" while it has no task.

    ``healthy``: None while nothing is known. ``checks``: of each health check whether it is alive
    (None: not known) and how often in a row it failed. ``leaving``: why it is being killed.
    ``containers``: names of a pod's; an app has none, its tasks are of the container ``app``.
    """

    app: str
    instance: str
    task: str
    state: str
    condition: str
    message: str
    version: str
    machine: str = ""
    host: str = ""
    address: str = ""
    ports: tuple[int, ...] = ()
    healthy: bool | None = None
    checks: tuple[tuple[bool | None, int], ...] = ()
    leaving: str = ""
    since: float = 0.0
    containers: tuple[str, ...] = ()


def data(event: Event, now: float, *, light: bool = False) -> bytes:
    """An event as JSON on one line; ``now`` stands in where the event has no time of its own.

    ``light``: a plan without its groups, as ``plan-format=light`` asks for.
    """
    body = dict(event.body)
    if "plan" in body and not light:
        body["plan"] = {**body["plan"], **NO_GROUPS}
    body["eventType"] = event.kind
    body["timestamp"] = timestamps.text(event.at or now)
    return _encode(body)


def api_post(client: str, uri: str, app: App, at: float) -> Event:
    """Somebody created or changed an app."""
    body = {"clientIp": client, "uri": uri, "appDefinition": show(app)}
    return Event("api_post_event", body, at)


def pod(verb: str, client: str, uri: str, at: float) -> Event:
    """Somebody created, updated or deleted a pod; ``verb`` is that word."""
    return Event(f"pod_{verb}_event", {"clientIp": client, "uri": uri}, at)


def group_change_success(group: str, version: str, at: float) -> Event:
    """A change of the tree was taken."""
    return Event("group_change_success", {"groupId": group, "version": version}, at)


def group_change_failed(group: str, version: str, reason: str) -> Event:
    """A change of the tree was refused; nothing of that is stored."""
    body = {"groupId": group, "version": version, "reason": reason}
    return Event("group_change_failed", body)


def plan(deployment: str, version: str, steps: tuple[tuple[Action, ...], ...]) -> dict[str, Any]:
    """A deployment's plan as events show it."""
    return {"id": deployment, "version": version, "steps": [step(one) for one in steps]}


def step(actions: tuple[Action, ...]) -> dict[str, Any]:
    """One step of a plan."""
    return {"actions": [action(one) for one in actions]}


def action(one: Action) -> dict[str, str]:
    """One action of a step, as deployments and events show it."""
    if one.pod:
        return {"action": one.kind.replace("Application", "Pod"), "pod": one.app}
    return {"action": one.kind, "app": one.app}


def deployment_step(kind: str, one: Deployment | Past, number: int, at: float = 0.0) -> Event:
    """A step, counted from 0, begins (``deployment_info``) or is over."""
    name = one.id if isinstance(one, Deployment) else one.deployment
    body = {"plan": plan(name, one.version, one.steps), "currentStep": step(one.steps[number])}
    return Event(kind, body, at)


def deployment_over(past: Past) -> Event:
    """A deployment was done, or was given up."""
    body: dict[str, Any] = {
        "id": past.deployment,
        "plan": plan(past.deployment, past.version, past.steps),
    }
    if past.outcome == "success":
        return Event("deployment_success", body, past.ended)
    return Event("deployment_failed", {**body, "reason": past.reason or past.outcome}, past.ended)


def status_updates(task: Task) -> list[Event]:
    """A task's state changed; of a pod's instance, those of all its containers."""
    names = [f".{name}." for name in task.containers] or ["._app."]
    return [_status_update(task, task.task.replace("._app.", name)) for name in names]


def _status_update(task: Task, name: str) -> Event:
    addresses = [{"ipAddress": task.address, "protocol": _protocol(task.address)}]
    body = {
        "slaveId": task.machine,
        "taskId": name,
        "taskStatus": task.state,
        "message": task.message,
        "appId": task.app,
        "host": task.host,
        "ipAddresses": addresses if task.address else [],
        "ports": task.ports,
        "version": task.version,
    }
    return Event("status_update_event", body, task.since)


def _protocol(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def instance_changed(task: Task) -> Event:
    """An instance's condition changed."""
    body = {
        "instanceId": task.instance,
        "condition": task.condition,
        "runSpecId": task.app,
        "agentId": task.machine,
        "host": task.host,
        "runSpecVersion": task.version,
    }
    return Event("instance_changed_event", body, task.since)


def unknown_instance_terminated(unit: str, condition: str) -> Event | None:
    """A unit ended that is no app's instance any more; None for a unit that never was one."""
    app = ids.app_of_unit(unit)
    if app is None:
        return None
    body = {
        "instanceId": ids.instance_id(app, ids.uuid_of_unit(unit)),
        "runSpecId": app,
        "condition": condition,
    }
    return Event("unknown_instance_terminated_event", body)


def unhealthy_kill(task: Task) -> Event:
    """An instance is killed since its health checks say so."""
    body = {
        "appId": task.app,
        "taskId": task.task,
        "instanceId": task.instance,
        "version": task.version,
        "reason": task.leaving,
        "host": task.host,
        "slaveId": task.machine,
    }
    return Event("unhealthy_instance_kill_event", body)


def failed_health_check(task: Task, app: App, number: int) -> Event:
    """A health check of an app failed once more; ``taskId`` holds the instance's id, as in
    Marathon."""
    check = show(app)["healthChecks"][number]
    body = {"appId": task.app, "taskId": task.instance, "healthCheck": check}
    return Event("failed_health_check_event", body)


def health_status_changed(task: Task, *, alive: bool) -> Event:
    """A health check of an instance changed its mind."""
    body = {
        "appId": task.app,
        "instanceId": task.instance,
        "version": task.version,
        "alive": alive,
    }
    return Event("health_status_changed_event", body)


def instance_health_changed(task: Task) -> Event:
    """An instance became healthy or unhealthy."""
    body = {
        "instanceId": task.instance,
        "runSpecId": task.app,
        "healthy": task.healthy,
        "runSpecVersion": task.version,
    }
    return Event("instance_health_changed_event", body)


def health_checks_changed(app: str, before: int, after: App | None) -> list[Event]:
    """The health checks of an app's former definition go, those of its new one come."""
    gone = [Event("remove_health_check_event", {"appId": app}) for _ in range(before)]
    if after is None:
        return gone
    shown = show(after).get("healthChecks", ())
    body = {"appId": app, "version": after.version}
    return gone + [Event("add_health_check_event", {**body, "healthCheck": one}) for one in shown]


def app_terminated(app: str) -> Event:
    """The last task of an app that was removed is gone."""
    return Event("app_terminated_event", {"appId": app})


def stream_changed(verb: str, address: str) -> Event:
    """A reader of this node's stream was ``attached`` or ``detached``."""
    return Event(f"event_stream_{verb}", {"remoteAddress": address})


def stream_restarted(asked: str, reason: str) -> Event:
    """What came after the id that was asked for cannot be told; look at the whole."""
    return Event("event_stream_restarted", {"lastEventId": asked, "reason": reason})


def subscription(verb: str, client: str, url: str, at: float) -> Event:
    """A callback was added (``subscribe``) or removed (``unsubscribe``)."""
    return Event(f"{verb}_event", {"clientIp": client, "callbackUrl": url}, at)
