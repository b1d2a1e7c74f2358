"""Marathon apps as units on a real host: processes get what the definition says to the byte, and
containers are held by their unit's limits. The image is made on the host, from Debian's busybox."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import pytest

from fleetish.wire import StateView, Wish
from marathon_compat.apps.app import (
    App,
    Command,
    Container,
    Docker,
    HealthCheck,
    HealthProtocol,
    Network,
    PersistentVolume,
    PortDefinition,
    ResourceLimits,
    SecretRef,
    SecretSource,
    Volume,
)
from marathon_compat.apps.ids import unit_name
from marathon_compat.apps.pods import read_pod
from marathon_compat.apps.pods_app import as_app
from marathon_compat.apps.translate import unit_text
from tests.lab.hearing import Cluster, cluster

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not shutil.which("podman"), reason="needs podman (apt-get install podman)"),
]

HOST = "node1"
UUID = "0f9a3bde-1111-4222-8333-444455556666"

#: Podman's storage goes to a tmpfs: the host's root is an overlay, on which none can be stacked.
PREPARE = r"""
set -e
mkdir -p /etc/containers /tmp/image/bin /tmp/image/etc /tmp/image/run /tmp/image/tmp
printf '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/run"\n%s\n' \
    'graphroot = "/run/containers/graph"' > /etc/containers/storage.conf
cp /bin/busybox /tmp/image/bin/busybox
for name in sh sleep cat env dd id touch test rm; do ln -s busybox /tmp/image/bin/$name; done
printf 'root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n' > /tmp/image/etc/passwd
tar -C /tmp/image -c . | podman import --quiet - docker.io/library/box
printf 'from the store' > /etc/secret
"""


@pytest.fixture(scope="module")
def c() -> Iterator[Cluster]:
    with cluster(f"tm{os.getpid()}", 1, roles=["agent", "engine", "api"]) as found:
        found.lab.exec(HOST, ["sh", "-c", PREPARE], check=True)
        yield found


class Instance:
    """One instance of an app on the host."""

    def __init__(self, c: Cluster, app: App) -> None:
        self._c = c
        self.unit = unit_name(app.id, UUID)
        self._app = app

    def __enter__(self) -> Instance:
        text = unit_text(self._app, self.unit)
        self._c.fleet.submit([Wish(name=self.unit, text=text, target="launched")])
        return self

    def __exit__(self, *_: object) -> None:
        self._c.destroy(self.unit)

    @property
    def state(self) -> StateView:
        return next(iter(self._c.fleet.unit(self.unit).states), StateView(unit="", machine=""))

    @property
    def pid(self) -> int:
        """The main process; of a container, that in it."""
        if not self._app.container or not self._app.container.docker:
            return self.state.main_pid
        shown = self.run("podman", "inspect", self.container)
        return int(json.loads(shown)[0]["State"]["Pid"])

    @property
    def container(self) -> str:
        return self.unit.removesuffix(".service").replace("@", ".")

    def run(self, *argv: str) -> str:
        return self._c.lab.exec(HOST, argv, check=True).stdout

    def running(self) -> None:
        self._c.until(lambda: self.state.sub == "running")

    def ended(self) -> StateView:
        """Its state once it has run."""
        done = ("inactive", "failed")
        self._c.until(lambda: (found := self.state).result and found.active in done)
        return self.state

    def words(self, name: str) -> list[str]:
        """The command line or environment of the process."""
        found = self.run("cat", f"/proc/{self.pid}/{name}").removesuffix("\0")
        return found.split("\0")


def box(name: str, cmd: str, **fields: object) -> App:
    """An app that runs a command in the image."""
    given = {"docker": Docker(image="box"), **fields.pop("container", {})}  # type: ignore[dict-item]
    return App(id=name, cmd=cmd, container=Container(**given), **fields)  # type: ignore[arg-type]


PORT_NAMES = ("PORTS", "PORT0", "PORT_10001", "PORT_HTTP_API", "PORT_HTTP-API")
HARSH = "$HOME ${X} $$ 100% %n \\ \\n \" ' ; # & @ - ä€😀\n\ttab"
FOREVER = "sleep 10000 & wait"


def test_a_process_gets_its_command_and_variables_to_the_byte(c: Cluster) -> None:
    cmd = f": '{HARSH.replace(chr(39), '')}'; {FOREVER}"
    defined = (PortDefinition(port=10001, name="http-api"),)
    app = App(id="/t/web", cmd=cmd, env={"A": HARSH, "a.b": HARSH}, port_definitions=defined)
    with Instance(c, app) as one:
        one.running()
        c.until(lambda: one.words("cmdline") == ["/bin/sh", "-c", cmd])
        environ = dict(word.split("=", 1) for word in one.words("environ"))
        assert (environ["A"], environ["a.b"]) == (HARSH, HARSH)
        assert 31000 <= int(environ["PORT"]) <= 32000
        assert {environ[name] for name in PORT_NAMES} == {environ["PORT"]}
        assert environ["MESOS_TASK_ID"] == f"t_web.instance-{UUID}._app.1"
        assert environ["HOST"] == HOST
        assert environ["MESOS_SANDBOX"] == one.run("readlink", f"/proc/{one.pid}/cwd").strip()


LOOK = (
    "{ cat /run/key; echo; cat /mnt/secret; echo; ! touch /mnt/x && id -un; } > kept/said;"
    " touch kept/done; " + FOREVER
)


def test_arguments_secrets_and_volumes_of_a_process(c: Cluster) -> None:
    volumes = (
        Volume(container_path="/run/key", secret="pw"),
        Volume(container_path="kept", persistent=PersistentVolume(size=1), mode="RW"),
        Volume(container_path="/mnt", host_path="/etc", mode="RO"),
    )
    app = App(
        id="/t/args",
        args=("sh", "-c", LOOK, HARSH),
        user="nobody",
        env={"PW": SecretRef(secret="pw")},
        secrets={"pw": SecretSource(source="/etc/secret")},
        container=Container(type="MESOS", volumes=volumes),
    )
    with Instance(c, app) as one:
        one.running()
        c.until(lambda: one.words("cmdline") == ["sh", "-c", LOOK, HARSH])
        assert "PW=from the store" in one.words("environ")
        kept = f"/var/lib/fleetish/volumes/{one.unit}/kept"
        c.until(lambda: "done" in one.run("ls", kept))
        assert one.run("cat", f"{kept}/said") == "from the store\nfrom the store\nnobody\n"
    c.until(lambda: one.run("ls", "/var/lib/fleetish/volumes") == "")


def test_a_container_gets_its_command_and_variables_to_the_byte(c: Cluster) -> None:
    cmd = f": '{HARSH.replace(chr(39), '')}'; {FOREVER}"
    env = {"A": HARSH, "a.b": HARSH, "LD_PRELOAD": "x.so", "PW": SecretRef(secret="pw")}
    secrets = {"pw": SecretSource(source="/etc/secret")}
    defined = (PortDefinition(port=10001, name="http-api"),)
    app = box("/c/web", cmd, env=env, secrets=secrets, user="app", port_definitions=defined)
    with Instance(c, app) as one:
        one.running()
        c.until(lambda: one.words("cmdline") == ["/bin/sh", "-c", cmd])
        environ = dict(word.split("=", 1) for word in one.words("environ"))
        given = {name: environ[name] for name in env}
        assert given == {"A": HARSH, "a.b": HARSH, "LD_PRELOAD": "x.so", "PW": "from the store"}
        assert 31000 <= int(environ["PORT"]) <= 32000
        assert {environ[name] for name in PORT_NAMES} == {environ["PORT"]}
        assert environ["MESOS_SANDBOX"] == "/mnt/mesos/sandbox"
        assert one.run("stat", "-c", "%u", f"/proc/{one.pid}") == "1000\n"
        main = one.state.main_pid
        assert one.run("cat", f"/proc/{one.pid}/cgroup") == one.run("cat", f"/proc/{main}/cgroup")


POD = {
    "id": "/t/pod",
    "environment": {"WITH": "pod"},
    "volumes": [{"name": "common"}],
    "containers": [
        {
            "name": "one",
            "exec": {"command": {"shell": "echo $WITH $OWN $ENDPOINT_WEB; until test -e /common/go;"
             " do sleep 0.1; done; exit 3"}},
            "environment": {"OWN": "it's $1"},
            "endpoints": [{"name": "web", "hostPort": 0}],
            "volumeMounts": [{"name": "common", "mountPath": "/common"}],
            "user": "nobody",
        },
        {
            "name": "two",
            "exec": {"command": {"argv": ["sh", "-c", "pwd; id -un; sleep 10000"]}},
            "volumeMounts": [{"name": "common", "mountPath": "in", "readOnly": True}],
            "healthCheck": {"exec": {"command": {"shell": "test -d in"}}, "delaySeconds": 0},
        },
    ],
}  # fmt: skip


def test_the_containers_of_a_pod_share_what_a_pod_shares_and_end_together(c: Cluster) -> None:
    with Instance(c, as_app(read_pod(json.dumps(POD).encode()))) as one:
        one.running()
        c.until(lambda: one.state.health == "healthy")
        box = f"/var/lib/fleetish/sandbox/{one.unit}"
        journal = ("journalctl", "--output=cat", f"--unit={one.unit}", "--identifier")
        c.until(lambda: one.run(*journal, "two") == f"{box}/two\nroot\n")
        port = dict(word.split("=", 1) for word in one.words("environ"))["PORT"]
        c.until(lambda: one.run(*journal, "one") == f"pod it's $1 {port}\n")
        group = one.run("systemctl", "show", "--value", "--property=ControlGroup", one.unit).strip()
        pids = f"cat /sys/fs/cgroup/{{unified,systemd,.}}/{group}/cgroup.procs 2>/dev/null"
        held = one.run("bash", "-c", f"{pids} | sort -u").split()
        assert len(held) > 2
        one.run("touch", f"{box}/volumes/common/go")
        found = one.ended()
        assert (found.active, found.exit_status) == ("failed", 3)
        gone = " && ".join(f"test ! -e /proc/{pid}" for pid in held)
        c.until(lambda: not c.lab.exec(HOST, ["sh", "-c", gone]).returncode)


FILL = "dd if=/dev/zero of=/dev/null bs=100M count=1"  # needs so much memory at once


@pytest.mark.parametrize(("mem", "status"), [(64.0, 137), (256.0, 0)])
def test_the_memory_of_the_app_is_the_limit_of_its_container(
    c: Cluster, mem: float, status: int
) -> None:
    with Instance(c, box("/c/memory", f"{FILL}; exit $?", mem=mem)) as one:
        found = one.ended()
        assert (found.exit_status, found.active) == (status, "failed" if status else "inactive")


def test_the_processors_of_the_app_are_the_limit_of_its_container(c: Cluster) -> None:
    limit = ResourceLimits(cpus=0.1)
    with Instance(c, box("/c/cpu", "while :; do :; done", cpus=0.1, resource_limits=limit)) as one:
        one.running()
        lines = one.run("cat", f"/proc/{one.pid}/cgroup").splitlines()
        rows = [line.split(":", 2) for line in lines]
        group = next((path for _, kinds, path in rows if "cpu" in kinds.split(",")), rows[-1][2])
        stat = f"cat /sys/fs/cgroup/cpu{group}/cpu.stat || cat /sys/fs/cgroup{group}/cpu.stat"

        def throttled() -> int:
            shown = one.run("sh", "-c", f"{{ {stat}; }} 2>/dev/null")
            return int(dict(line.split() for line in shown.splitlines())["nr_throttled"])

        c.until(lambda: throttled() > 10)


def test_a_container_ends_as_its_process_does_and_leaves_nothing(c: Cluster) -> None:
    with Instance(c, box("/c/seven", "echo from inside; exit 7")) as one:
        found = one.ended()
        assert (found.active, found.exit_status) == ("failed", 7)
        assert one.run("podman", "ps", "--all", "--quiet") == ""
        assert "from inside\n" in one.run("journalctl", "--output=cat", f"--unit={one.unit}")


TTY = "test -t 1 && exit 5"


@pytest.mark.parametrize("app", [App(id="/t/tty", cmd=TTY, tty=True), box("/c/tty", TTY, tty=True)])
def test_an_app_may_have_a_terminal(c: Cluster, app: App) -> None:
    with Instance(c, app) as one:
        assert one.ended().exit_status == 5


def test_an_app_with_a_network_of_its_own_waits_where_the_host_cannot_make_one(c: Cluster) -> None:
    app = box("/c/bridge", FOREVER, networks=(Network(mode="container/bridge"),))
    with Instance(c, app) as one:
        c.until(lambda: "Assert" in one.state.error)


def test_a_container_is_given_its_grace_and_then_killed(c: Cluster) -> None:
    deaf = "trap '' TERM; while :; do sleep 1; done"
    with Instance(c, box("/c/deaf", deaf, task_kill_grace_period_seconds=1)) as one:
        one.running()
        pid = one.pid
    assert one.run("sh", "-c", f"test ! -e /proc/{pid}; podman ps --all --quiet") == ""


def test_a_health_command_runs_in_the_container(c: Cluster) -> None:
    check = HealthCheck(
        protocol=HealthProtocol.COMMAND,
        command=Command(value='test -e /tmp/alive && test "$A" = "it\'s"'),
        interval_seconds=1,
        delay_seconds=0,
        grace_period_seconds=0,
        max_consecutive_failures=1,
    )
    app = box(
        "/c/health", "touch /tmp/alive; " + FOREVER, env={"A": "it's"}, health_checks=(check,)
    )
    with Instance(c, app) as one:
        one.running()
        c.until(lambda: one.state.health == "healthy")
        one.run("podman", "exec", one.container, "rm", "/tmp/alive")
        c.until(lambda: one.state.health == "unhealthy")
