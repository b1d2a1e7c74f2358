"""Drives Debian's python3-marathon as its users do: ``/usr/bin/python3 python_client.py URL``.

Prints what the client saw as JSON. What the client cannot read, it raises.
"""

# mypy: ignore-errors

from __future__ import annotations

import json
import sys
import time

from marathon import MarathonApp, MarathonClient
from marathon.exceptions import NotFoundError
from marathon.models import MarathonGroup, MarathonHealthCheck
from marathon.models.constraint import MarathonConstraint
from marathon.models.container import (
    MarathonContainer,
    MarathonContainerPortMapping,
    MarathonContainerVolume,
    MarathonDockerContainer,
)

#: An app as people wrote it for Marathon up to 1.4.
COMPLEX = {
    "id": "/test/complex",
    "cmd": "sleep 30",
    "cpus": 0.1,
    "mem": 16,
    "instances": 1,
    "container": MarathonContainer(
        type="DOCKER",
        docker=MarathonDockerContainer(
            image="localhost/alpine:none",
            network="BRIDGE",
            port_mappings=[MarathonContainerPortMapping(container_port=8080, host_port=0)],
            parameters=[{"key": "add-host", "value": "a:127.0.0.1"}],
            force_pull_image=False,
        ),
        volumes=[
            MarathonContainerVolume(container_path="/etc/a", host_path="/var/data/a", mode="RO")
        ],
    ),
    "env": {"LANG": "C", "PORTS": "x"},
    "uris": ["file:///nowhere/archive.tar.gz"],
    "constraints": [MarathonConstraint("hostname", "UNIQUE")],
    "health_checks": [
        MarathonHealthCheck(path="/health", protocol="HTTP", port_index=0, interval_seconds=5)
    ],
    "labels": {"team": "a"},
    "accepted_resource_roles": ["*"],
    "upgrade_strategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.5},
}


def until(what, seconds=60.0):
    """Look again and again, as this client's users must, until something is so."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)
    return found


def running(client, name, count):
    """The app, when it runs with so many tasks and nothing is being deployed."""
    app = client.get_app(name)
    return app if app.tasks_running == count and not app.deployments else None


def life(client, seen):
    """An app's life: created, scaled, changed, its tasks killed."""
    made = client.create_app(
        "/test/app",
        MarathonApp(cmd="sleep 1000", cpus=0.1, mem=16, instances=3, labels={"tier": "web"}),
    )
    seen["created"] = [made.id, made.instances, len(made.deployments)]
    app = until(lambda: running(client, "/test/app", 3))
    seen["tasks"] = sorted({task.state for task in app.tasks})
    seen["filtered"] = [one.id for one in client.list_apps(label="tier==web", embed_tasks=True)]
    client.scale_app("/test/app", instances=4, force=True)
    until(lambda: running(client, "/test/app", 4))
    client.update_app("/test/app", MarathonApp(cmd="sleep 2000"), force=True)
    app = until(lambda: running(client, "/test/app", 4))
    seen["changed"] = app.cmd
    client.kill_task("/test/app", app.tasks[0].id, scale=True)
    until(lambda: running(client, "/test/app", 3))
    victims = [task.id for task in client.get_app("/test/app").tasks][:2]
    client.kill_given_tasks(victims, scale=True)
    app = until(lambda: running(client, "/test/app", 1))
    seen["left"] = len(app.tasks)
    seen["endpoints"] = len(client.list_endpoints())
    seen["versions"] = len(client.list_versions("/test/app"))
    old = client.get_version("/test/app", client.list_versions("/test/app")[-1])
    seen["oldest"] = [old.cmd, old.instances]
    client.restart_app("/test/app", force=True)
    until(lambda: running(client, "/test/app", 1))
    client.kill_tasks("/test/app", host="*")
    until(lambda: running(client, "/test/app", 1))


def complex_app(client, seen):
    """An app in the old style is taken and shown, whether or not it can run, and deleted."""
    made = client.create_app("/test/complex", MarathonApp(**COMPLEX))
    seen["complex"] = [made.id, made.container.docker.image, len(made.health_checks)]
    seen["queued"] = until(lambda: [row.app.id for row in client.list_queue()])
    seen["deploying"] = [one.affected_apps for one in client.list_deployments()]
    client.delete_app("/test/complex", force=True)
    until(lambda: not client.list_deployments())
    try:
        client.get_app("/test/complex")
    except NotFoundError as error:
        seen["gone"] = error.status_code


def group(client, seen):
    """A group is made, changed, scaled, gone back, removed."""
    rows = [MarathonApp(id="a", cmd="sleep 100", cpus=0.1, mem=16, instances=1)]
    client.create_group(MarathonGroup(id="/flock", apps=rows))
    until(lambda: not client.list_deployments())
    first = (
        client.list_group_versions("/flock")[0]
        if hasattr(client, "list_group_versions")
        else client.get_group("/flock").version
    )
    client.scale_group("/flock", 2)
    until(lambda: running(client, "/flock/a", 2))
    seen["group"] = [client.get_group("/flock").apps[0].instances]
    client.rollback_group("/flock", str(first))
    until(lambda: running(client, "/flock/a", 1))
    client.delete_group("/flock")
    until(lambda: not client.list_deployments())
    seen["groups"] = [one.id for one in client.list_groups()]


def rest(client, seen):
    """What is asked of the server itself."""
    info = client.get_info()
    seen["info"] = [info.name, info.elected]
    seen["leader"] = bool(client.get_leader()["leader"])
    seen["ping"] = client.ping().decode()
    seen["metrics"] = sorted(client.get_metrics())


def events(client, seen):
    """The stream tells what is done meanwhile."""
    stream = client.event_stream()
    first = next(stream)
    client.create_app("/test/told", MarathonApp(cmd="sleep 1", cpus=0.1, mem=16, instances=0))
    found = {first.event_type}
    while "deployment_success" not in found:
        found.add(next(stream).event_type)
    seen["events"] = sorted(found & {"api_post_event", "deployment_success", "deployment_info"})
    client.delete_app("/test/told")


def main():
    client = MarathonClient(sys.argv[1])
    seen = {}
    for part in (rest, life, complex_app, group, events):
        part(client, seen)
    client.delete_app("/test/app", force=True)
    until(lambda: not client.list_tasks())
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
