"""What is asked of the server itself: who leads, which version, is it there, and small pages."""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response

from fleetish import __version__
from fleetish.errors import NotFound
from fleetish.store.leading import depose
from marathon_compat.apps.endpoints import Call, Endpoint
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.ports import FIRST, LAST
from marathon_compat.apps.replies import json, plain

#: The Marathon whose API this is.
VERSION = "1.11.24"

PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>fleetish: Marathon's API</title>
<h1>Marathon's API on fleetish {__version__}</h1>
<p>There is no dashboard here. The API's parts:</p>
<ul>
<li><a href="/v2/apps">/v2/apps</a>, <a href="/v2/groups">/v2/groups</a>,
<a href="/v2/tasks">/v2/tasks</a></li>
<li><a href="/v2/deployments">/v2/deployments</a>, <a href="/v2/queue">/v2/queue</a>,
/v2/events</li>
<li><a href="/v2/info">/v2/info</a>, <a href="/v2/leader">/v2/leader</a>,
<a href="/metrics">/metrics</a>, <a href="/ping">/ping</a></li>
</ul>
<p>On the command line: <code>fleetish app --help</code>.</p>
</html>
"""


async def info(call: Call) -> Response:
    """GET /v2/info: in Marathon's words; its three inner objects are always there."""
    face = call.face
    world = (await face.look()).world
    leader = face.leader(world)
    body: dict[str, Any] = {
        "name": "marathon",
        "version": VERSION,
        "buildref": f"fleetish-{__version__}",
        "elected": face.leads(world),
        "frameworkId": face.config.cluster,
        "marathon_config": _config(call, leader),
        "zookeeper_config": {
            "zk": ",".join(face.config.etcd),
            "zk_connection_timeout": 10_000,
            "zk_max_versions": 50,
            "zk_session_timeout": face.config.engine_ttl * 1000,
            "zk_timeout": 10_000,
        },
        "http_config": {"http_port": face.here.port, "https_port": 0},
    }
    return json(body | ({"leader": leader} if leader else {}))


def _config(call: Call, leader: str) -> dict[str, Any]:
    here = call.face.here
    return {
        "features": ["secrets"],
        "framework_name": "marathon",
        "ha": True,
        "checkpoint": True,
        "hostname": here.host,
        "mesos_role": "*",
        "local_port_min": FIRST,
        "local_port_max": LAST,
        "task_lost_expunge_initial_delay": 300_000,
        "task_lost_expunge_interval": 30_000,
        "webui_url": f"http://{leader or here.host}",
    }


async def leader(call: Call) -> Response:
    """GET /v2/leader."""
    found = call.face.leader((await call.face.look()).world)
    if not found:
        raise NotFound("There is no leader")
    return json({"leader": found})


async def abdicate(call: Call) -> Response:
    """DELETE /v2/leader: another node's engine takes over; this process goes on."""
    asked = {"backup", "restore"} & {*call.request.query_params}
    if asked:
        raise BadBody(
            422, f"cannot {min(asked)}: the cluster's state is etcd's; use etcdctl snapshot"
        )
    if not await depose(call.face.kv, call.face.config.prefix):
        raise NotFound("There is no leader")
    return json({"message": "Leadership abdicated"})


async def ping(call: Call) -> Response:
    """GET /ping: ``pong``, as the client likes to have it."""
    accept = call.request.headers.get("accept", "*/*")
    if any(word in accept for word in ("*/*", "text/plain", "text/*")):
        return plain("pong")
    return json("pong") if "application/json" in accept else Response(status_code=204)


async def plugins(call: Call) -> Response:
    """GET /v2/plugins: there are none."""
    return json({"plugins": []})


async def no_plugin(call: Call) -> Response:
    """Any method on a plugin's path: there is no such plugin."""
    raise NotFound(f"Plugin '{call.id[1:].partition('/')[0]}' does not exist")


async def no_artifacts(call: Call) -> Response:
    """/v2/artifacts of 1.4: answered as by a Marathon without a store for them."""
    raise NotFound("cannot keep artifacts: no artifact store is configured")


async def to_ui(_: Call) -> Response:
    """GET /: as Marathon's."""
    return RedirectResponse("/ui/", 302)


async def to_help(_: Call) -> Response:
    """GET /help: as Marathon's."""
    return RedirectResponse("/api-console/index.html", 302)


async def page(_: Call) -> Response:
    """GET /ui/ and /api-console/: what there is."""
    return HTMLResponse(PAGE)


_ANY = ("GET", "POST", "PUT", "DELETE", "PATCH")

ROUTES = (
    Endpoint("/v2/info", {"GET": info}),
    Endpoint("/v2/leader", {"GET": leader, "DELETE": abdicate}),
    Endpoint("/v2/plugins", {"GET": plugins}),
    Endpoint("/v2/plugins/{id}", dict.fromkeys(_ANY, no_plugin)),
    Endpoint("/v2/artifacts", dict.fromkeys(_ANY, no_artifacts)),
    Endpoint("/v2/artifacts/{id}", dict.fromkeys(_ANY, no_artifacts)),
    Endpoint("/ping", {"GET": ping}),
    Endpoint("/", {"GET": to_ui}),
    Endpoint("/help", {"GET": to_help}),
    Endpoint("/ui", {"GET": page}),
    Endpoint("/api-console", {"GET": page}),
    Endpoint("/api-console/{page}", {"GET": page}),
)
