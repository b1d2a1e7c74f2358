"""Each answer of the API against Marathon's own description of it.

Three things differ on purpose, or are not in the description: ``taskStats`` has the name that
clients know; keys that strict clients refuse are left out; an error's details have a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.marathon import raml

#: Keys that strict clients refuse.
LEFT_OUT = frozenset({"enforceRole", "role"})

Pick = Callable[[Any], list[Any]]


def _whole(body: Any) -> list[Any]:
    return [body]


def _under(key: str) -> Pick:
    return lambda body: body[key] if isinstance(body[key], list) else [body[key]]


#: What is answered to a GET: the path, what to take of the body, file and name of its type.
ROWS: tuple[tuple[str, Pick, str, str], ...] = (
    (r"/v2/apps/?", _under("apps"), "app.raml", "AppInfo"),
    (r"/v2/apps/(.*/)?\*", _under("*"), "app.raml", "AppInfo"),
    (r"/v2/(apps/.*/)?tasks", _whole, "task.raml", "TaskList"),
    (r"/v2/apps/.*/versions/.*", _whole, "app.raml", "App"),
    (r"/v2/apps/.*/versions", _under("versions"), "", "datetime"),
    (r"/v2/apps/.*", _under("app"), "app.raml", "AppInfo"),
    (r"/v2/groups/(.*/)?versions", list, "", "datetime"),
    (r"/v2/groups/.*/apps", list, "app.raml", "AppInfo"),
    (r"/v2/groups(/.*)?", _whole, "group.raml", "GroupInfo"),
    (r"/v2/queue", _under("queue"), "queue.raml", "QueueItem"),
    (r"/v2/info", _whole, "info.raml", "MarathonInfo"),
    (r"/v2/leader", _whole, "info.raml", "LeaderInfo"),
    (r"/v2/deployments", list, "deploymentPlan.raml", "DeploymentPlan"),
    (r"/v2/pods/(.*)::versions", list, "", "datetime"),
    (r"/v2/pods/::status", list, "podStatus.raml", "PodStatus"),
    (r"/v2/pods/.*::status", _whole, "podStatus.raml", "PodStatus"),
    (r"/v2/pods/.*", _whole, "pod.raml", "Pod"),
    (r"/v2/pods", list, "pod.raml", "Pod"),
    (r"/metrics", _whole, "newMetrics.raml", "NewMetrics"),
)
#: What the description does not know of a deployment that is listed.
_LISTED = ("affectedApps", "affectedPods", "currentActions", "currentStep", "totalSteps")


def faults(method: str, path: str, status: int, body: Any) -> list[str]:
    """How an answer differs from its description; nothing where that cannot be read."""
    if status >= 400:
        return [] if set(body) <= {"message", "details", "deployments"} else [f"keys: {set(body)}"]
    if not raml.here():
        return []
    if isinstance(body, dict) and "deploymentId" in body:
        return _checked("deploymentResult.raml", "DeploymentResult", body)
    if method != "GET":
        return (
            _checked("app.raml", "AppInfo", body) if (method, path) == ("POST", "/v2/apps") else []
        )
    for pattern, pick, file, name in ROWS:
        if re.fullmatch(pattern, re.sub("/+", "/", path.partition("?")[0])):
            return [fault for one in pick(body) for fault in _checked(file, name, one)]
    return []


def _checked(file: str, name: str, body: Any) -> list[str]:
    if not file:
        form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        return [] if re.fullmatch(form, body) else [f"{body} is no timestamp"]
    return raml.faults(file, name, _known(body), missing=LEFT_OUT)


def _known(value: Any) -> Any:
    """A body in the description's words: see above; and without what is one of several types."""
    if isinstance(value, list):
        return [_known(one) for one in value]
    if not isinstance(value, dict):
        return value
    body = {key: _known(item) for key, item in value.items()}
    if "taskStats" in body:
        body["tasksStats"] = body.pop("taskStats")
    if body.get("scaling", {}) == {**body.get("scaling", {}), "kind": "fixed"}:
        body.pop("scaling", None)
    if "totalSteps" in body:
        body = {key: item for key, item in body.items() if key not in _LISTED}
    return body
