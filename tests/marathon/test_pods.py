"""Pods: their definition, and what they are as apps and units."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fleetish.resources import Resources
from fleetish.units.health import CheckKind
from marathon_compat.apps.app import App
from marathon_compat.apps.errors import BadBody, Violation
from marathon_compat.apps.pods import Pod, read_pod
from marathon_compat.apps.pods_app import as_app, pod_of, show
from marathon_compat.apps.validate import violations
from tests.marathon.translated import UUID, started


def container(name: str = "web", shell: str = "sleep 1", **fields: Any) -> dict[str, Any]:
    return {"name": name, "exec": {"command": {"shell": shell}}, **fields}


def pod(*containers: dict[str, Any], **fields: Any) -> Pod:
    body = {"id": "/shop/pod", "containers": containers or (container(),), **fields}
    return read_pod(json.dumps(body).encode())


def faults(**fields: Any) -> tuple[Violation, ...]:
    with pytest.raises(BadBody) as found:
        pod(**fields)
    assert found.value.status == 422
    assert isinstance(found.value.details, tuple)
    return found.value.details


FULL = {
    "labels": {"a": "b"},
    "environment": {"POD": "1", "PW": {"secret": "pw"}},
    "secrets": {"pw": {"source": "/etc/pw"}},
    "volumes": [{"name": "etc", "host": "/etc"}, {"name": "tmp"}],
    "scaling": {"kind": "fixed", "instances": 3},
    "scheduling": {
        "backoff": {"backoff": 2, "backoffFactor": 1.5, "maxLaunchDelay": 60},
        "upgrade": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.25},
        "placement": {"constraints": [{"fieldName": "hostname", "operator": "UNIQUE"}]},
    },
}
WEB = container(
    resources={"cpus": 0.5, "mem": 64},
    endpoints=[{"name": "http-api", "hostPort": 0, "protocol": ["tcp"]}],
    environment={"OWN": "it's $1", "KEY": {"secret": "pw"}},
    healthCheck={"http": {"endpoint": "http-api", "path": "/ok"}, "intervalSeconds": 5},
    volumeMounts=[
        {"name": "etc", "mountPath": "conf", "readOnly": True},
        {"name": "tmp", "mountPath": "/shared"},
    ],
    artifacts=[{"uri": "http://h/a.tgz"}],
    lifecycle={"killGracePeriodSeconds": 9.6},
)
SIDE = container(
    "side",
    "tail -f x",
    resources={"cpus": 0.25, "mem": 32, "disk": 10},
    healthCheck={"exec": {"command": {"argv": ["test", "-e", "a b"]}}},
    volumeMounts=[{"name": "tmp", "mountPath": "/shared"}],
)


def test_a_pod_is_an_app_with_the_sum_of_its_containers() -> None:
    app = as_app(pod(WEB, SIDE, **FULL))
    assert violations(app) == []
    assert (app.id, app.instances, app.cpus, app.mem, app.disk) == ("/shop/pod", 3, 0.75, 96, 10)
    assert (app.backoff_seconds, app.backoff_factor, app.max_launch_delay_seconds) == (2, 1.5, 60)
    assert app.upgrade_strategy.maximum_over_capacity == 0.25
    assert app.constraints == (("hostname", "UNIQUE"),)
    found = started(app)
    assert found.wants.resources == Resources(750, 96 << 20, 10 << 20)
    assert found.properties["TimeoutStopUSec"] == 10_000_000
    assert [str(one) for one in found.wants.fetch] == ["http://h/a.tgz extract dest=web/"]
    assert found.properties["LoadCredential"] == [["pw", "/etc/pw"]]


def test_the_checks_of_all_containers_are_checks_of_the_unit() -> None:
    http, command = started(as_app(pod(WEB, SIDE, **FULL))).wants.health
    assert (http.kind, http.index, http.path, http.interval) == (CheckKind.HTTP, 0, "/ok", 5.0)
    assert command.kind is CheckKind.COMMAND
    assert "test -e" in command.command


def test_volumes_are_shared_and_secrets_and_directories_there() -> None:
    found = started(as_app(pod(WEB, SIDE, **FULL))).properties
    box = f"/var/lib/fleetish/sandbox/marathon_shop_pod@{UUID}.service"
    assert [row[:2] for row in found["BindPaths"]] == [[f"{box}/volumes/tmp", "/shared"]]
    assert [row[:2] for row in found["BindReadOnlyPaths"]] == [["/etc", f"{box}/web/conf"]]
    assert f"{box}/volumes/tmp".removeprefix("/var/lib/") in found["StateDirectory"]


def test_each_container_starts_in_its_own_directory_with_its_own_variables() -> None:
    bash, flag, script = started(as_app(pod(WEB, SIDE, **FULL))).argv[-3:]
    assert (bash, flag) == ("/bin/bash", "-c")
    first, second, last = script.split("\n")
    assert first == (
        '( mkdir -p "$MESOS_SANDBOX/web" && cd "$MESOS_SANDBOX/web"'
        ' && export MESOS_SANDBOX="$MESOS_SANDBOX/web"'
        ' MESOS_TASK_ID="${MESOS_TASK_ID/._app./.web.}" && export ENDPOINT_HTTP_API="$PORT0"'
        ' && KEY=$(cat "$CREDENTIALS_DIRECTORY/pw") && export KEY'
        " && exec /usr/bin/systemd-cat --identifier=web -- /usr/bin/env MARATHON_CONTAINER_ID=web"
        " MARATHON_CONTAINER_RESOURCE_CPUS=0.5 MARATHON_CONTAINER_RESOURCE_MEM=64.0"
        " MARATHON_CONTAINER_RESOURCE_DISK=0.0 MARATHON_CONTAINER_RESOURCE_GPUS=0"
        " 'OWN=it'\"'\"'s $1' /bin/sh -c 'sleep 1' ) &"
    )
    assert "--identifier=side" in second
    assert last == "for _ in web side; do wait -n || exit; done"


def test_containers_of_several_users_change_to_theirs() -> None:
    app = as_app(pod(container(user="www"), container("side"), user="app"))
    assert app.user is None
    first, second, _ = started(app).argv[-1].split("\n")
    assert 'setpriv --reuid=www --regid="$(id -g www)" --init-groups' in first
    assert 'setpriv --reuid=app --regid="$(id -g app)" --init-groups' in second
    assert as_app(pod(user="app")).user == "app"


def test_a_pod_comes_back_as_it_was_given_and_scaling_alone_is_no_other_pod() -> None:
    given = pod(WEB, SIDE, **FULL)
    app = as_app(given)
    stored = msgspec.json.decode(msgspec.json.encode(app), type=App)
    assert pod_of(stored) == given
    more = as_app(msgspec.structs.replace(given, scaling=pod(scaling={"instances": 5}).scaling))
    assert more == msgspec.structs.replace(app, instances=5)


def test_how_a_pod_is_shown() -> None:
    app = msgspec.structs.replace(as_app(pod()), version="2026-01-01T00:00:00.000Z")
    assert show(app) == {
        "id": "/shop/pod",
        "containers": [
            {
                "name": "web",
                "exec": {"command": {"shell": "sleep 1"}},
                "resources": {"cpus": 1.0, "mem": 128.0, "disk": 0.0, "gpus": 0},
            }
        ],
        "networks": [{"mode": "host"}],
        "scaling": {"kind": "fixed", "instances": 1},
        "scheduling": {
            "backoff": {"backoff": 1.0, "backoffFactor": 1.15, "maxLaunchDelay": 300.0},
            "upgrade": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 1.0},
            "killSelection": "YOUNGEST_FIRST",
            "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        },
        "role": "*",
        "version": "2026-01-01T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"id": "/A"}, "/id"),
        ({"containers": []}, "/containers"),
        ({"containers": [container(), container()]}, "/containers(1)/name"),
        ({"containers": [container("A")]}, "/containers(0)/name"),
        ({"containers": [{"name": "a"}]}, "/containers(0)/exec"),
        ({"containers": [container(image={"kind": "DOCKER", "id": "x"})]}, "/containers(0)/image"),
        ({"containers": [container(exec={"command": {}})]}, "/containers(0)/exec/command"),
        (
            {"containers": [container(volumeMounts=[{"name": "x", "mountPath": "y"}])]},
            "/containers(0)/volumeMounts(0)/name",
        ),
        (
            {"containers": [container(healthCheck={"tcp": {"endpoint": "x"}})]},
            "/containers(0)/healthCheck",
        ),
        ({"environment": {"A": {"secret": "x"}}}, "/environment/A"),
        ({"scaling": {"instances": -1}}, "/scaling/instances"),
        ({"scaling": {"instances": "x"}}, "/scaling/instances"),
    ],
)
def test_everything_that_is_wrong_with_a_pod_is_told_with_its_path(
    fields: dict[str, Any], path: str
) -> None:
    assert path in [fault.path for fault in faults(**fields)]


def test_two_volumes_cannot_be_at_one_place() -> None:
    mounts = [[{"name": name, "mountPath": "/data"}] for name in ("a", "b")]
    two = [container(name, volumeMounts=row) for name, row in zip("xy", mounts, strict=True)]
    (fault,) = faults(containers=two, volumes=[{"name": "a"}, {"name": "b"}])
    assert fault.path == "/containers(1)/volumeMounts(0)/mountPath"
