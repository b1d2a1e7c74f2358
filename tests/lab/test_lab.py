"""A lab's hosts are real machines: limits bite, power cuts are silent, networks part."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleetish.errors import LabError, NotFound
from fleetish.lab.cluster import Lab
from fleetish.lab.layout import ETCD_PORT, Member, State

pytestmark = pytest.mark.lab

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.5).close()
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""
BURN = """
import pathlib, time
while time.process_time() < 0.2: pass
for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
    _, names, group = line.split(":")
    if not names or "cpu" in names.split(","):
        root = f"/sys/fs/cgroup/{names}" if names else "/sys/fs/cgroup"
        stat = pathlib.Path(root + group, "cpu.stat")
        print(stat.read_text() if stat.exists() else "", flush=True)
"""


def cli(lab: Lab, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    environ = {**os.environ, "FLEETISH_LAB": lab.name}
    command = [sys.executable, "-m", "fleetish.cli.lab", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)


def transient(lab: Lab, host: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Start a transient service on a host."""
    return lab.exec(host, ["systemd-run", "--quiet", *argv])


def reach(lab: Lab, host: str, target: str, port: int) -> str:
    """What becomes of a connection from a host to another part."""
    python = ["/usr/bin/python3", "-c", CONNECT, target, str(port)]
    return lab.exec(host, python, check=True).stdout.strip()


def states(lab: Lab) -> dict[str, State]:
    """Name -> state of every part."""
    return {part.name: state for part, state in lab.status()}


def test_hosts_boot_whole_and_keep_a_journal() -> None:
    with Lab(f"tw{os.getpid()}", machines=2, bare=True) as lab:
        for host in lab.hosts:
            whole = lab.exec(host.name, ["systemctl", "is-system-running", "--wait"])
            assert whole.stdout == "running\n"
            shown = lab.exec(host.name, ["journalctl", "-b", "-o", "cat", "-u", "dbus"], check=True)
            assert "Started dbus.service" in shown.stdout


def test_hosts_have_their_own_identity(bare: Lab) -> None:
    script = "hostname; cat /etc/machine-id; cat /var/lib/dbus/machine-id"
    for host in bare.hosts:
        found = bare.exec(host.name, ["sh", "-c", script], check=True).stdout.split()
        assert found == [host.name, host.machine, host.machine]


def test_a_unit_that_allocates_beyond_its_memory_limit_is_killed_by_the_kernel(bare: Lab) -> None:
    greedy = ["/usr/bin/python3", "-c", "bytearray(200 << 20)"]
    done = transient(bare, "node1", "--wait", "--unit=greedy", "-pMemoryMax=50M", *greedy)
    assert done.returncode != 0
    journal = bare.exec("node1", ["journalctl", "-o", "cat", "-u", "greedy"], check=True).stdout
    assert "status=9/KILL" in journal


def test_a_unit_with_a_quota_is_throttled(bare: Lab) -> None:
    limits = ["-pType=oneshot", "-pRemainAfterExit=yes", "-pCPUQuota=10%"]
    done = transient(bare, "node1", "--unit=burn", *limits, "/usr/bin/python3", "-c", BURN)
    assert done.returncode == 0
    journal = bare.exec("node1", ["journalctl", "-o", "cat", "-u", "burn"], check=True).stdout
    assert int(dict(line.split() for line in journal.splitlines() if "nr_" in line)["nr_throttled"])


def test_exec_passes_output_and_exit_status_through(bare: Lab) -> None:
    done = cli(bare, "exec", "node1", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)
    status = cli(bare, "exec", "node2", "--", "systemctl", "status", "nothing.service")
    assert (status.returncode, status.stdout) == (4, "")
    assert status.stderr == "Unit nothing.service could not be found.\n"


def test_exec_takes_standard_input(bare: Lab) -> None:
    assert bare.exec("node1", ["cat"], stdin="a\nb").stdout == "a\nb"


def test_a_failed_command_is_an_error_when_it_is_to_be_checked(bare: Lab) -> None:
    with pytest.raises(LabError, match=r"cannot run sh .* on node1: exit status 3: because"):
        bare.exec("node1", ["sh", "-c", "echo because >&2; exit 3"], check=True)


def test_unknown_hosts_are_refused_with_the_known_ones(bare: Lab) -> None:
    done = cli(bare, "kill", "node9")
    assert done.returncode == 1
    assert done.stderr.startswith("fleetish: cannot find host node9")
    with pytest.raises(NotFound, match="there are etcd1, node1, node2"):
        bare.partition("node9")


def test_status_says_what_is_there(bare: Lab) -> None:
    expected: dict[str, Any] = {
        "hosts": [
            {"name": h.name, "machine": h.machine, "state": "running", "address": h.address}
            for h in bare.hosts
        ],
        "etcd": [
            {"name": "etcd1", "state": "running", "address": m.address, "endpoint": m.endpoint}
            for m in bare.record.etcd
        ],
    }
    assert msgspec.json.decode(cli(bare, "status", "--json").stdout) == expected


def test_a_host_keeps_identity_and_disk_but_not_its_memory_over_a_power_cut(bare: Lab) -> None:
    bare.exec("node2", ["touch", "/var/lib/disk", "/run/memory"], check=True)
    bare.kill("node2")
    assert states(bare)["node2"] is State.DEAD
    with pytest.raises(LabError, match="cannot run a command on node2: it is dead"):
        bare.exec("node2", ["true"])
    bare.start("node2")
    assert states(bare)["node2"] is State.RUNNING
    found = bare.exec("node2", ["sh", "-c", "cat /etc/machine-id; ls /var/lib/disk /run/memory"])
    assert found.stdout.split() == [bare.record.host("node2").machine, "/var/lib/disk"]


def test_a_power_cut_is_silence_not_a_refusal(bare: Lab) -> None:
    assert reach(bare, "node1", "node2", 1) == "ConnectionRefusedError"
    bare.kill("node2")
    try:
        assert reach(bare, "node1", "node2", 1) == "TimeoutError"
    finally:
        bare.start("node2")
    assert reach(bare, "node1", "node2", 1) == "ConnectionRefusedError"


def test_a_frozen_host_stands_still_and_goes_on_when_thawed(bare: Lab) -> None:
    pids = [leader_status(bare, "node2")]
    bare.freeze("node2")
    try:
        assert states(bare)["node2"] is State.FROZEN
        with pytest.raises(subprocess.TimeoutExpired):
            bare.exec("node2", ["systemctl", "is-system-running"], timeout=0.5)
    finally:
        bare.thaw("node2")
    assert states(bare)["node2"] is State.RUNNING
    assert bare.exec("node2", ["systemctl", "is-system-running"]).stdout == "running\n"
    assert [leader_status(bare, "node2")] == pids


def leader_status(lab: Lab, host: str) -> str:
    """Which processes run dbus and the journal on a host."""
    units = ["dbus.service", "systemd-journald.service"]
    return lab.exec(host, ["systemctl", "show", *units, "-pMainPID"], check=True).stdout


def test_a_frozen_host_can_lose_its_power(bare: Lab) -> None:
    bare.freeze("node2")
    bare.kill("node2")
    assert states(bare)["node2"] is State.DEAD
    bare.start("node2")
    assert states(bare)["node2"] is State.RUNNING


def test_a_host_cut_from_etcd_still_reaches_its_neighbours(bare: Lab) -> None:
    assert reach(bare, "node1", "etcd1", ETCD_PORT) == "connected"
    bare.partition("node1", "etcd")
    try:
        assert states(bare)["node1"] is State.PARTITIONED
        assert reach(bare, "node1", "etcd1", ETCD_PORT) == "TimeoutError"
        assert reach(bare, "node1", "node2", 1) == "ConnectionRefusedError"
        assert reach(bare, "node2", "etcd1", ETCD_PORT) == "connected"
    finally:
        bare.heal("node1")
    assert reach(bare, "node1", "etcd1", ETCD_PORT) == "connected"


def test_a_host_cut_from_all_reaches_nobody_until_healed(bare: Lab) -> None:
    bare.partition("node1")
    try:
        assert reach(bare, "node1", "etcd1", ETCD_PORT) == "TimeoutError"
        assert reach(bare, "node2", "node1", 1) == "TimeoutError"
    finally:
        bare.heal("node1")
    assert reach(bare, "node2", "node1", 1) == "ConnectionRefusedError"


def test_up_mends_what_is_dead_frozen_or_cut_and_leaves_the_rest_alone(bare: Lab) -> None:
    before = leader_status(bare, "node1")
    bare.kill("node2")
    bare.freeze("etcd1")
    bare.partition("node1")
    bare.up()
    assert set(states(bare).values()) == {State.RUNNING}
    assert leader_status(bare, "node1") == before
    assert reach(bare, "node2", "etcd1", ETCD_PORT) == "connected"


def test_etcd_members_can_be_killed_and_keep_their_data() -> None:
    with Lab(f"te{os.getpid()}", machines=1, etcd=3, bare=True) as lab:
        ends = ",".join(lab.etcd_endpoints)
        etcdctl = ["env", "ETCDCTL_API=3", "etcdctl", f"--endpoints={ends}", "--command-timeout=5s"]
        lab.exec("node1", [*etcdctl, "put", "key", "value"], check=True)
        lab.kill("etcd1")
        assert lab.exec("node1", [*etcdctl, "get", "key"], check=True).stdout == "key\nvalue\n"
        assert states(lab)["etcd1"] is State.DEAD
        lab.start("etcd1")
        lab.kill("etcd2")
        assert lab.exec("node1", [*etcdctl, "get", "key"], check=True).stdout == "key\nvalue\n"


def test_two_labs_stand_side_by_side(bare: Lab) -> None:
    with Lab(f"ts{os.getpid()}", machines=1, bare=True) as other:
        assert other.record.subnet != bare.record.subnet
        assert not {*other.record.ports.values()} & {*bare.record.ports.values()}
        assert other.hosts[0].machine != bare.hosts[0].machine
        other.exec("node1", ["systemctl", "start", "systemd-tmpfiles-clean"], check=True)
    assert set(states(bare).values()) == {State.RUNNING}


def test_a_lab_can_grow(bare: Lab) -> None:
    with Lab(f"tg{os.getpid()}", machines=1, bare=True) as small:
        before = leader_status(small, "node1")
        Lab(small.name, machines=2, bare=True).up()
        assert [p.name for p, _ in small.status()] == ["etcd1", "node1", "node2"]
        assert leader_status(small, "node1") == before
        assert reach(small, "node1", "node2", 1) == "ConnectionRefusedError"


SERVE = """
import http.server, socket
class Name(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(socket.gethostname().encode())
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("", 7100), Name)
import os
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(os.environ["NOTIFY_SOCKET"]); sock.send(b"READY=1")
server.serve_forever()
"""


def test_the_forwarder_leads_to_a_host_that_lives(bare: Lab) -> None:
    def who() -> str:
        with urllib.request.urlopen(bare.endpoint, timeout=10) as answer:
            return str(answer.read(), "ascii")

    for host in bare.hosts:
        serve = ["--unit=who", "-pType=notify", "/usr/bin/python3", "-c", SERVE]
        assert transient(bare, host.name, *serve).returncode == 0
    assert who() == "node1"
    bare.freeze("node1")
    assert who() == "node2"
    bare.thaw("node1")
    bare.exec("node1", ["systemctl", "stop", "who"], check=True)
    assert who() == "node2"
    bare.kill("node2")
    with pytest.raises(OSError, match="reset"):
        who()
    bare.start("node2")


def test_the_forwarder_breaks_a_connection_whose_host_lost_its_power(bare: Lab) -> None:
    hold = "import socket; s = socket.create_server(('', 7100)); a = s.accept(); a[0].recv(1)"
    ready = ["--unit=hold", "-pType=exec", "/usr/bin/python3", "-c", f"{hold}; a[0].recv(1)"]
    assert transient(bare, "node1", *ready).returncode == 0
    bare.exec("node1", ["sh", "-c", "until ss -Hltn | grep -q :7100; do :; done"], check=True)
    with socket.create_connection(("127.0.0.1", bare.record.ports["api"]), 30) as client:
        client.sendall(b"x")
        bare.exec("node1", ["sh", "-c", "until ss -Htn | grep -q :7100; do :; done"], check=True)
        bare.kill("node1")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    bare.start("node1")


def test_the_environment_leads_to_the_forwarder(bare: Lab) -> None:
    lines = cli(bare, "env").stdout.splitlines()
    assert lines[0] == f"export FLEETISH_ENDPOINT={bare.endpoint}"
    assert [line.partition("=")[0] for line in lines] == [
        "export FLEETISH_ENDPOINT",
        "export MARATHON_URL",
        "export CHRONOS_URL",
        "export MESOS_MASTER",
    ]


def test_members_are_not_hosts(bare: Lab) -> None:
    assert isinstance(bare.status()[0].part, Member)
    with pytest.raises(NotFound, match="cannot find host etcd1"):
        bare.exec("etcd1", ["true"])


def test_the_checkout_is_there_and_cannot_be_written(bare: Lab) -> None:
    package = Path(__file__).parent.parent.parent / "fleetish"
    done = bare.exec("node1", ["sh", "-c", f"ls {package}/errors.py && touch {package}/errors.py"])
    assert done.stdout == f"{package}/errors.py\n"
    assert "Read-only file system" in done.stderr
