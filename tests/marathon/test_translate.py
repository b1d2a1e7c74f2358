"""Apps that are processes of their host, as unit files."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.errors import BadUnit
from fleetish.resources import Resources
from fleetish.units.constraint import Constraint, Operator
from fleetish.units.health import CheckKind, written
from fleetish.units.health import HealthCheck as Check
from fleetish.units.xfleet import Class
from marathon_compat.apps.app import (
    App,
    Artifact,
    Command,
    Container,
    HealthCheck,
    HealthProtocol,
    Network,
    PortDefinition,
    ReadinessCheck,
    ResourceLimits,
    Volume,
)
from marathon_compat.apps.ids import unit_name
from marathon_compat.apps.translate import unit_text
from tests.marathon.translated import UUID, started

ANYTHING = st.text(
    st.one_of(
        st.sampled_from("$%\\\"'{}; \n\t\r@-:+!#=äß€😀"),
        st.characters(exclude_categories=["Cc", "Cs"]),
    ),
    min_size=1,
)


def app(name: str = "/shop/web", cmd: str | None = "sleep 1", **fields: object) -> App:
    return App(id=name, cmd=cmd, **fields)  # type: ignore[arg-type]


def refusal(broken: App) -> BadUnit:
    with pytest.raises(BadUnit) as found:
        unit_text(broken, unit_name(broken.id, UUID))
    return found.value


def test_the_unit_of_the_simplest_app() -> None:
    assert started(app(version="2026-01-01T00:00:00.000Z")).text == (
        "[Unit]\n"
        "Description=Marathon app /shop/web\n"
        "\n"
        "[Service]\n"
        "Type=exec\n"
        "TimeoutStopSec=3s\n"
        "Environment=MARATHON_APP_ID=/shop/web\n"
        "Environment=MARATHON_APP_VERSION=2026-01-01T00:00:00.000Z\n"
        "Environment=MARATHON_APP_RESOURCE_CPUS=1.0\n"
        "Environment=MARATHON_APP_RESOURCE_MEM=128.0\n"
        "Environment=MARATHON_APP_RESOURCE_DISK=0.0\n"
        "Environment=MARATHON_APP_RESOURCE_GPUS=0\n"
        "Environment=MARATHON_APP_ENFORCE_GROUP_ROLE=FALSE\n"
        "Environment=MARATHON_APP_LABELS=\n"
        "Environment=HOST=%H\n"
        "Environment=MESOS_SANDBOX=%S/fleetish/sandbox/%n\n"
        'ExecStart=/bin/sh -c "sleep 1"\n'
        "\n"
        "[X-Fleet]\n"
        "Environment=MESOS_TASK_ID=shop_web.instance-%i._app.${LAUNCH}\n"
        "CPUs=1\n"
        "Memory=128M\n"
        "Class=pinned\n"
        "Sandbox=yes\n"
    )


def test_all_instances_of_a_definition_have_one_text() -> None:
    names = [unit_name("/a", UUID), unit_name("/a", UUID.replace("0", "1"))]
    assert len({unit_text(app("/a"), name) for name in names}) == 1


@given(ANYTHING)
def test_a_command_reaches_the_shell_as_it_is(cmd: str) -> None:
    assert started(app(cmd=cmd)).argv == ["/bin/sh", "-c", cmd]


@given(st.lists(ANYTHING, max_size=4))
def test_arguments_reach_the_program_as_they_are(rest: list[str]) -> None:
    found = started(app(cmd=None, args=("/bin/echo", *rest)))
    assert found.argv == ["/bin/echo", *rest]


@pytest.mark.parametrize("program", ["./run", "python3", "bin/x y", "-x", ""])
def test_a_program_without_an_absolute_path_is_looked_up_by_a_shell(program: str) -> None:
    found = started(app(cmd=None, args=(program, "$1")))
    assert found.argv == ["/bin/sh", "-c", 'exec "$@"', "sh", program, "$1"]


@given(ANYTHING)
def test_variables_keep_their_values(value: str) -> None:
    found = started(app(env={"A": value, "a.b": value}))
    assert found.environ["A"] == value
    assert found.argv == ["/usr/bin/env", f"a.b={value}", "/bin/sh", "-c", "sleep 1"]


@pytest.mark.parametrize("cmd", ["echo \0", "echo \x1b[0m", "echo \x85"])
def test_a_control_character_in_a_command_is_refused(cmd: str) -> None:
    assert "holds the control character" in refusal(app(cmd=cmd)).message


def test_a_variable_with_a_name_that_nothing_can_hold_is_refused() -> None:
    assert refusal(app(env={"a=b": "1"})).message.endswith("no environment can hold that name")


def test_an_app_knows_itself_its_host_its_task_and_its_labels() -> None:
    labels = {"HAPROXY_0_VHOST": "a b", "x-y": "%n", "long": "x" * 600}
    found = started(app(labels=labels, cpus=0.5, role="shop"), launch=3).environ
    assert found["MARATHON_APP_ID"] == "/shop/web"
    assert found["MARATHON_APP_RESOURCE_CPUS"] == "0.5"
    assert found["MARATHON_APP_ENFORCE_GROUP_ROLE"] == "TRUE"
    assert found["MARATHON_APP_LABELS"] == "HAPROXY_0_VHOST X_Y"
    assert found["MARATHON_APP_LABEL_X_Y"] == "%n"
    assert found["HOST"] == "node1"
    assert found["MESOS_TASK_ID"] == f"shop_web.instance-{UUID}._app.3"
    assert found["MESOS_SANDBOX"] == f"/var/lib/fleetish/sandbox/marathon_shop_web@{UUID}.service"


def test_ports_are_in_the_environment_by_number_name_and_declaration() -> None:
    defined = (PortDefinition(port=10001, name="http-api"), PortDefinition(port=10002))
    found = started(app(port_definitions=defined))
    assert found.wants.ports == (0, 0)
    told = {name: value for name, value in found.environ.items() if name.startswith("PORT")}
    assert told == {
        "PORT": "31000",
        "PORTS": "31000,31001",
        "PORT0": "31000",
        "PORT1": "31001",
        "PORT_10001": "31000",
        "PORT_10002": "31001",
        "PORT_HTTP_API": "31000",
    }
    assert found.argv[:2] == ["/usr/bin/env", "PORT_HTTP-API=31000"]


def test_required_ports_are_claimed_as_they_are() -> None:
    defined = (PortDefinition(port=8080), PortDefinition(port=0))
    assert started(app(port_definitions=defined, require_ports=True)).wants.ports == (8080, 0)


def test_what_an_app_sets_itself_wins() -> None:
    own = {"PORT0": "1", "HOST": "me", "MARATHON_APP_ID": "x", "MESOS_TASK_ID": "y"}
    found = started(app(env=own, port_definitions=(PortDefinition(),))).environ
    assert own.items() <= found.items()
    assert found["PORT"] == "31000"


def test_requests_are_reserved_and_the_driver_alone_moves_and_restarts() -> None:
    found = started(app(cpus=0.1234, mem=64.5, disk=10))
    assert found.wants.resources == Resources(124, 67633152, 10 << 20)
    assert found.wants.klass is Class.PINNED
    assert (found.properties["CPUWeight"], found.properties["MemoryMax"]) == (12, 67633152)
    assert "Restart" not in found.properties


def test_resource_limits_are_hard_and_requests_then_soft() -> None:
    found = started(app(resource_limits=ResourceLimits(cpus=1.5, mem=256)))
    assert found.properties["CPUQuotaPerSecUSec"] == 1_500_000
    assert (found.properties["MemoryLow"], found.properties["MemoryMax"]) == (128 << 20, 256 << 20)
    assert found.wants.resources == Resources(1000, 128 << 20)


def test_unlimited_resources_have_no_limit() -> None:
    found = started(app(resource_limits=ResourceLimits(cpus="unlimited", mem="unlimited")))
    assert "CPUQuotaPerSecUSec" not in found.properties
    assert found.properties["MemoryMax"] == 2**64 - 1


@pytest.mark.parametrize(("given", "microseconds"), [(None, 3e6), (0, 1000), (120, 120e6)])
def test_the_kill_grace_is_the_stop_timeout(given: int | None, microseconds: float) -> None:
    found = started(app(task_kill_grace_period_seconds=given))
    assert found.properties["TimeoutStopUSec"] == microseconds


def test_user_terminal_and_private_queues() -> None:
    info = {"ipcInfo": {"mode": "PRIVATE", "shmSize": 64}, "seccomp": {"profileName": "default"}}
    found = started(app(user="www", tty=True, container=Container(type="MESOS", linux_info=info)))
    assert found.properties["User"] == "www"
    script = ["/usr/bin/script", "--quiet", "--return", "--command", "sleep 1", "/dev/null"]
    assert found.argv == script
    assert found.properties["PrivateIPC"] is True
    assert found.properties["TemporaryFileSystem"] == [["/dev/shm", "size=64M,mode=1777"]]
    assert found.properties["SystemCallFilter"] == [True, ["@system-service"]]


def test_checks_ask_where_the_process_listens() -> None:
    checks = (
        HealthCheck(path="x y", port_index=1),
        HealthCheck(protocol=HealthProtocol.MESOS_TCP, port=25, ip_protocol="IPv6"),
        HealthCheck(protocol=HealthProtocol.COMMAND, command=Command(value='test 1% = "$A"\n\'')),
    )
    ready = (ReadinessCheck(port_name="admin", protocol="HTTPS"),)
    ports = (PortDefinition(), PortDefinition(name="admin"))
    found = started(app(health_checks=checks, readiness_checks=ready, port_definitions=ports))
    assert found.wants.health == (
        Check(index=1, path="/x%20y", interval=60.0, timeout=20.0),
        Check(kind=CheckKind.TCP, port=25, interval=60.0, timeout=20.0, delay=15.0, loopback=True,
              ipv6=True),
        Check(kind=CheckKind.COMMAND, command="test 1% = \"$A\"\n'", interval=60.0, timeout=20.0,
              delay=15.0),
    )  # fmt: skip
    assert found.wants.readiness is not None
    assert (found.wants.readiness.kind, found.wants.readiness.index) == (CheckKind.HTTPS, 1)


@pytest.mark.parametrize(
    ("check", "line"),
    [
        ({"http": {"path": "/x", "portIndex": 1}}, "http index=1 path=/x"),
        ({"http": {"port": 80, "scheme": "HTTPS"}}, "https port=80"),
        ({"tcp": {}}, "tcp"),
        ({"exec": {"command": {"shell": "test -e a"}}}, 'command command="test -e a"'),
        ({"exec": {"command": {"argv": ["test", "-e", "a b"]}}}, r"test -e \x27a b\x27"),
    ],
)
def test_a_check_is_one_more_that_counts_for_nothing(check: dict[str, Any], line: str) -> None:
    given = {"intervalSeconds": 2, "timeoutSeconds": 1, **check}
    ports = (PortDefinition(), PortDefinition())
    made = started(app(check=given, health_checks=(HealthCheck(),), port_definitions=ports))
    counts, told = made.wants.health
    assert (counts.advisory, told.advisory, told.interval, told.delay) == (False, True, 2.0, 15.0)
    assert told.loopback is (told.kind is not CheckKind.COMMAND)
    assert line in written(told).replace("interval=2s timeout=1s ", "")


def test_a_check_of_a_port_that_the_app_does_not_have_is_refused() -> None:
    words = "cannot check port 0: the app has 0 ports"
    assert words in refusal(app(health_checks=(HealthCheck(),))).message


def test_constraints_and_files_to_fetch() -> None:
    found = started(
        app(
            constraints=(("hostname", "UNIQUE"), ("rack", "LIKE", "r%n[12]")),
            fetch=(Artifact(uri="http://h/a%20b.tgz", cache=True, dest_path="x"),),
        )
    )
    assert found.wants.constraints == (
        Constraint("hostname", Operator.UNIQUE),
        Constraint("rack", Operator.LIKE, r"r\x25n[12]"),
    )
    assert [str(one) for one in found.wants.fetch] == ["http://h/a%20b.tgz extract cache dest=x"]


def test_a_small_app_has_the_memory_to_fetch_what_it_needs() -> None:
    files = (Artifact(uri="http://h/a"),)
    tops = [started(app(mem=mem, fetch=files)).properties["MemoryMax"] for mem in (16.0, 64.0)]
    assert tops == [32 << 20, 64 << 20]
    assert started(app(mem=16.0)).properties["MemoryMax"] == 16 << 20


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (app(fetch=(Artifact(uri="hdfs://h/x"),)), "cannot fetch: hdfs://h/x is not http://"),
        (app(constraints=(("rack", "LIKE", "("),)), "cannot use the constraint rack LIKE ("),
        (app(networks=(Network(mode="container/bridge"),)), "a network of its own"),
        (app(cmd=None), "neither cmd, args nor an image"),
        (
            app(container=Container(type="MESOS", volumes=(
                Volume(container_path="x", external={"name": "v"}),))),
            "external volumes need a driver of Mesos",
        ),
    ],
)  # fmt: skip
def test_what_no_systemd_host_can_do_is_refused_in_the_words_of_the_app(
    broken: App, words: str
) -> None:
    assert words in refusal(broken).message
