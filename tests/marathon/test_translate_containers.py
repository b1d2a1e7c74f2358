"""Apps that are images, as unit files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleetish.errors import BadUnit
from marathon_compat.apps.app import (
    App,
    Command,
    Container,
    Docker,
    HealthCheck,
    HealthProtocol,
    Network,
    Parameter,
    PortDefinition,
    PortMapping,
)
from marathon_compat.apps.containers import reference
from marathon_compat.apps.docker_parameters import LIMITS, NOTHING, PASSED
from tests.marathon.translated import UUID, started

BRIDGE = (Network(mode="container/bridge"),)


def image(
    name: str = "web",
    cmd: str | None = None,
    args: tuple[str, ...] | None = None,
    parameters: dict[str, str] | None = None,
    mappings: tuple[PortMapping, ...] | None = None,
    docker: dict[str, object] | None = None,
    **fields: object,
) -> App:
    given = tuple(Parameter(key=key, value=value) for key, value in (parameters or {}).items())
    inner = Docker(image=name, parameters=given or None, **(docker or {}))  # type: ignore[arg-type]
    container = Container(docker=inner, port_mappings=mappings)
    return App(id="/a", cmd=cmd, args=args, container=container, **fields)  # type: ignore[arg-type]


def without_env(argv: list[str]) -> list[str]:
    return [word for word in argv if not word.startswith("--env=")]


def test_an_image_is_run_by_podman_inside_the_unit() -> None:
    found = started(image(cmd="echo $HOME", user="1000"))
    unit = f"marathon_a@{UUID}.service"
    assert without_env(found.argv) == [
        "/usr/bin/podman",
        "--events-backend=none",
        "run",
        f"--name=marathon_a.{UUID}",
        "--replace",
        "--rm",
        "--detach",
        "--sdnotify=conmon",
        "--cgroups=disabled",
        "--runtime=crun",
        "--log-driver=passthrough",
        "--pull=missing",
        "--network=host",
        "--user=1000",
        f"--volume=/var/lib/fleetish/sandbox/{unit}:/mnt/mesos/sandbox",
        "--entrypoint=/bin/sh",
        "docker.io/library/web",
        "-c",
        "echo $HOME",
    ]
    assert found.properties["Type"] == "notify"
    assert "User" not in found.properties


def test_arguments_go_to_the_entry_point_of_the_image() -> None:
    argv = started(image(args=("serve", "--port=$PORT0", "")), ports=()).argv
    assert argv[-4:] == ["docker.io/library/web", "serve", "--port=$PORT0", ""]
    assert "--entrypoint=/bin/sh" not in argv


def test_a_container_is_stopped_by_podman_within_the_grace_and_leaves_nothing() -> None:
    found = started(image(task_kill_grace_period_seconds=7)).properties
    (stop,), (clean,) = found["ExecStop"], found["ExecStopPost"]
    name = f"marathon_a.{UUID}"
    assert stop[1][2:] == ["stop", "--ignore", "--time=7", name]
    assert clean[1][2:] == ["rm", "--force", "--ignore", "--time=0", name]
    assert found["TimeoutStopUSec"] == 22_000_000


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("ubuntu", "docker.io/library/ubuntu"),
        ("ubuntu:22.04", "docker.io/library/ubuntu:22.04"),
        ("docker:///ubuntu", "docker.io/library/ubuntu"),
        ("mesosphere/marathon:v1", "docker.io/mesosphere/marathon:v1"),
        ("docker:///registry.example:5000/a/b@sha256:0", "registry.example:5000/a/b@sha256:0"),
        ("docker://localhost/x", "localhost/x"),
    ],
)
def test_an_image_is_asked_for_where_docker_would_look(given: str, asked: str) -> None:
    assert reference(given) == asked


@pytest.mark.parametrize("name", ["", "-v", "a b", "--privileged", "x;y"])
def test_what_is_no_name_of_an_image_is_refused(name: str) -> None:
    with pytest.raises(BadUnit, match="it is no name of an image"):
        started(image(name))


def test_rights_pulling_and_terminal() -> None:
    argv = started(image(docker={"force_pull_image": True, "privileged": True}, tty=True)).argv
    assert {"--pull=always", "--privileged", "--tty", "--log-driver=journald"} <= set(argv)


def test_variables_go_by_name_but_for_those_that_podman_would_take_for_its_own() -> None:
    env = {
        "A": "1",
        "LD_PRELOAD": "/x.so",
        "https_proxy": "p",
        "PATH": "/b",
        "a.b": "$%",
        "HOST": "h",
    }
    found = started(image(env=env, port_definitions=(PortDefinition(name="x-y"),)))
    given = {word.removeprefix("--env=") for word in found.argv if word.startswith("--env=")}
    assert {"A", "HOST", "PORT0", "PORTS", "MESOS_TASK_ID", "PORT_X_Y"} <= given
    assert {"LD_PRELOAD=/x.so", "https_proxy=p", "PATH=/b", "a.b=$%", "PORT_X-Y=31000"} <= given
    assert found.environ["HOST"] == "h"
    assert not {"LD_PRELOAD", "https_proxy", "PATH"} & set(found.environ)
    assert found.environ["MESOS_SANDBOX"] == "/mnt/mesos/sandbox"


def test_port_mappings_are_published_and_named_by_the_port_in_the_container() -> None:
    mappings = (
        PortMapping(container_port=80, name="web"),
        PortMapping(container_port=0, host_port=0, protocol="udp,tcp"),
        PortMapping(container_port=443, host_port=8443),
    )
    found = started(image(mappings=mappings, networks=BRIDGE), ports=(31000, 31001, 8443))
    assert found.wants.ports == (0, 0, 8443)
    assert "--network=bridge" in found.argv
    assert [word for word in found.argv if word.startswith("--publish=")] == [
        "--publish=31000:80/tcp",
        "--publish=31001:31001/udp",
        "--publish=31001:31001/tcp",
        "--publish=8443:443/tcp",
    ]
    told = {name: found.environ[name] for name in ("PORT_80", "PORT_WEB", "PORT_443", "PORTS")}
    assert told == {
        "PORT_80": "31000",
        "PORT_WEB": "31000",
        "PORT_443": "8443",
        "PORTS": "31000,31001,8443",
    }


def test_a_mapping_without_a_port_of_the_host_is_reached_in_its_network_only() -> None:
    mappings = (PortMapping(container_port=80), PortMapping(container_port=81, host_port=0))
    networks = (Network(mode="container", name="lan"),)
    found = started(image(mappings=mappings, networks=networks))
    assert found.wants.ports == (0,)
    assert [word for word in found.argv if word.startswith(("--network", "--publish"))] == [
        "--network=lan",
        "--publish=31000:81/tcp",
    ]
    assert {name: found.environ[name] for name in ("PORT", "PORT0", "PORT1", "PORT_81")} == {
        "PORT": "31000",
        "PORT0": "80",
        "PORT1": "31000",
        "PORT_81": "31000",
    }


def test_a_port_that_an_app_calls_otherwise_is_published_all_the_same() -> None:
    mappings = (PortMapping(container_port=80),)
    found = started(image(mappings=mappings, networks=BRIDGE, env={"PORT0": "80"}))
    assert "--publish=31000:80/tcp" in found.argv
    assert found.environ["PORT0"] == "80"


def test_a_network_of_its_own_is_refused_where_the_host_cannot_make_one() -> None:
    (kind, *_, path), = started(image(networks=BRIDGE)).properties["Asserts"]  # fmt: skip
    assert (kind, path) == ("AssertPathIsReadWrite", "/proc/sys/net")


def test_parameters_become_options_of_podman_or_limits_of_the_unit() -> None:
    parameters = {
        "v": "/a:/b",
        "cap-add": "NET_ADMIN",
        "init": "",
        "log-driver": "syslog",
        "memory": "512m",
        "cpus": "1.5",
        "cpu-shares": "512",
        "pids-limit": "-1",
    }
    found = started(image(parameters=parameters))
    at = found.argv.index("--volume=/a:/b")
    assert found.argv[at : at + 3] == ["--volume=/a:/b", "--cap-add=NET_ADMIN", "--init"]
    assert found.properties["MemoryMax"] == 512 << 20
    assert found.properties["CPUQuotaPerSecUSec"] == 1_500_000
    assert found.properties["CPUWeight"] == 50
    assert found.properties["TasksMax"] == 2**64 - 1


@pytest.mark.parametrize("key", ["a-docker-option", "cgroups", "name", "restart", "network", "pod"])
def test_other_parameters_are_refused(key: str) -> None:
    with pytest.raises(BadUnit, match=f"the option --{key}: it is not one of those taken"):
        started(image(parameters={key: "x"}))


def test_a_health_command_runs_in_the_container() -> None:
    check = HealthCheck(protocol=HealthProtocol.COMMAND, command=Command(value="test 'a' = \"$B\""))
    found = started(image(health_checks=(check,)))
    assert found.wants.health[0].command == (
        "exec /usr/bin/podman exec \"$FLEETISH_CONTAINER\" /bin/sh -c 'test '\\''a'\\'' = \"$B\"'"
    )
    assert found.environ["FLEETISH_CONTAINER"] == f"marathon_a.{UUID}"


def test_the_docs_name_every_parameter_that_is_taken() -> None:
    page = (Path(__file__).parents[2] / "docs" / "marathon-units.md").read_text()
    words = set(re.findall(r"[a-z][a-z-]*", page))
    assert (PASSED | set(LIMITS) | NOTHING) <= words
