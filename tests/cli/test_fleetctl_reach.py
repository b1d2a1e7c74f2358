"""fleetctl's ways to machines: status and journal over the API, ssh, tunnels, fd-forward."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from fleetish.cli.fleetctl.openssh import Place, dial, login, options, place_of
from fleetish.cli.fleetctl.settings import Settings
from fleetish.errors import Refused
from fleetish.wire import Wish
from tests.api.cluster import SERVICE, A, Cluster, machine, running
from tests.api.test_http import LOCAL
from tests.cli import fleetctl as face
from tests.cli.conftest import Done, Run

LOOSE = Settings(strict_host_key_checking=False)
LOOSE_WORDS = [
    "-o", "ConnectTimeout=10", "-o", "StrictHostKeyChecking=no",
    "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
]  # fmt: skip

#: An ssh that says on stderr how it was called, and does here what it was to do there.
SSH = f"""#!{sys.executable}
import os, socket, sys, threading
print("ssh", *sys.argv[1:], file=sys.stderr, flush=True)
if "-W" not in sys.argv:
    os.execvp("sh", ["sh", "-c", sys.argv[-1]])
host, port = sys.argv[sys.argv.index("-W") + 1].split(":")
there = socket.create_connection((host, int(port)))
def send():
    while data := os.read(0, 65536):
        there.sendall(data)
threading.Thread(target=send, daemon=True).start()
while data := there.recv(65536):
    os.write(1, data)
"""


@pytest.fixture
def relaying(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with a socket here whose one machine answers for itself, and runs a.service."""
    with running(LOCAL, [f"unix:{tmp_path}/api.sock"]) as cluster:
        cluster.register(machine(A, "node1", endpoint=cluster.url))
        with cluster.client() as fleet:
            fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
        cluster.run("a.service")
        yield cluster


@pytest.fixture
def there(relaying: Cluster, tmp_path: Path) -> Callable[..., Done]:
    """fleetctl towards that cluster, with an ``ssh`` that stays on this machine."""
    program = face.link(tmp_path)
    ssh = program.with_name("ssh")
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    environ = face.environment(
        relaying.url, PATH=f"{program.parent}:{os.environ['PATH']}", HOME=str(tmp_path)
    )
    return lambda *args, **more: face.call(program, args, {**environ, **more})


def test_status_and_journal_come_over_the_api(there: Run) -> None:
    assert there("status", "a") == (0, "● a.service\n", "")
    assert there("journal", "--lines", "3", "--output", "cat", "a") == (0, "0\n1\n2\n", "")
    assert (
        there("status", "a", "--ssh-port=2222", "a.service").out == "● a.service\n\n● a.service\n"
    )


def test_status_of_what_does_not_run_exits_as_systemctl_does(relaying: Cluster, there: Run) -> None:
    relaying.publish("a.service", "failed", "failed")
    assert there("status", "a").code == 3


def test_status_and_journal_tell_what_cannot_be_shown(relaying: Cluster, there: Run) -> None:
    with relaying.client() as fleet:
        everywhere = SERVICE + "[X-Fleet]\nGlobal=true\n"
        wishes = [Wish(name="b.service", text=SERVICE), Wish(name="c.service", text=everywhere)]
        fleet.submit(wishes)
    assert there("status", "ghost") == (1, "", "Unit ghost.service does not exist.\n")
    assert there("status", "b") == (1, "", "Unit b.service does not appear to be loaded.\n")
    assert there("journal", "ghost") == (1, "", "Unit ghost.service does not exist.\n")
    assert there("journal", "b").err == "Unit b.service does not appear to be running.\n"
    assert there("journal", "c").err == "Unable to retrieve journal of global unit c.service.\n"
    assert there("journal") == (1, "", "One unit file must be provided.\n")


def test_ssh_goes_to_a_machine_or_to_that_of_a_unit(there: Run, tmp_path: Path) -> None:
    shown = "-p 22 -- core@10.0.0.1 exit 7\n"
    for words in (("a.service",), (A[:4],), ("--unit", "a"), ("--machine", A)):
        done = there("ssh", *words, "exit 7")
        assert (done.code, done.err.endswith(shown)) == (7, True), words
    assert (tmp_path / ".fleetctl").is_dir()
    with_dashes = there(
        "--ssh-username=me", "ssh", "-A", "--ssh-port", "23", "a.service", "--", "true"
    )
    assert with_dashes.err.endswith("-p 23 -A -- me@10.0.0.1 true\n")


def test_ssh_tells_what_it_cannot_tell_apart_or_find(there: Run) -> None:
    assert there("ssh", "--unit=a", "--machine=b").err == (
        "Both machine and unit flags provided, please specify only one.\n"
    )
    assert there("ssh").err == "Unable to proceed: one machine or unit must be provided\n"
    assert there("ssh", "--unit", "ghost").err == "Unable to proceed: unit does not exist\n"
    assert there("ssh", "ghost").err.startswith("Unable to proceed: cannot find a machine or unit")
    both = there("ssh", "a")
    assert (both.code, "a machine and a unit have that name" in both.err) == (1, True)


def test_a_tunnel_reaches_a_socket_by_fd_forward_on_the_other_side(
    there: Run, tmp_path: Path
) -> None:
    path = tmp_path / "api.sock"
    done = there("--tunnel=bastion:2222", f"--endpoint=unix://{path}", "list-machines", "-l")
    assert done.out.splitlines()[1:] == [f"{A}\t10.0.0.1\thost=node1"]
    assert done.err.endswith(f"-p 2222 -T -- core@bastion fleetctl fd-forward {path}\n")


def test_a_tunnel_reaches_a_port_from_the_other_side(relaying: Cluster, there: Run) -> None:
    done = there("status", "a", FLEETCTL_TUNNEL="bastion")
    assert (done.code, done.out) == (0, "● a.service\n")
    where = relaying.url.removeprefix("http://")
    assert f"-p 22 -W {where} -- core@bastion\n" in done.err


def test_units_are_waited_for_through_a_tunnel(relaying: Cluster, there: Run) -> None:
    with relaying.obeyed():
        done = there("--tunnel=bastion", "stop", "a")
    assert (done.code, done.out) == (0, f"Unit a.service loaded on {A[:8]}.../10.0.0.1\n")


def test_a_tunnel_that_fails_is_told(there: Run, tmp_path: Path) -> None:
    (tmp_path / "bin" / "ssh").write_text("#!/bin/sh\nexit 255\n")
    done = there("--tunnel=bastion", "--endpoint=unix:///a.sock", "list-machines")
    assert done.code == 1
    assert done.err.startswith("cannot reach the API at unix:///a.sock through bastion: it closed")
    assert there("--tunnel=:22", "list-machines").err.startswith("Unable to initialize client: ")


def test_fd_forward_copies_both_ways_until_the_socket_ends(there: Run, tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        Thread(target=echo_reversed, args=(listener,), daemon=True).start()
        done = face.call(
            tmp_path / "bin" / "fleetctl", ["fd-forward", str(path)], os.environ, "abc"
        )
    assert done == (0, "cba", "")
    assert there("fd-forward", "/no/such.sock").code == 1
    assert there("fd-forward") == (1, "", "Provide a single argument\n")


def echo_reversed(listener: socket.socket) -> None:
    """Answers one connection with all that it sent, backwards, once it has ended."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb") as stream:
        stream.write(stream.read()[::-1])


# --- the words that ssh is called with -----------------------------------------------------------


def test_ssh_is_told_how_long_to_try_and_where_host_keys_are() -> None:
    kept = Settings(ssh_timeout=2.5, known_hosts_file="/var/lib/a %h/hosts")
    assert options(kept) == [
        "-o", "ConnectTimeout=3", "-o", "StrictHostKeyChecking=ask",
        "-o", 'UserKnownHostsFile="/var/lib/a %%h/hosts"',
    ]  # fmt: skip
    assert options(LOOSE) == LOOSE_WORDS


def test_a_login_goes_through_the_host_of_the_tunnel() -> None:
    how = LOOSE._replace(tunnel="bastion:2222", ssh_username="me")
    hop = " ".join(LOOSE_WORDS)
    assert login(how, Place("10.0.0.1", 22)) == [
        "ssh", *LOOSE_WORDS, "-p", "22",
        "-o", f"ProxyCommand=ssh {hop} -p 2222 -W %h:%p -- me@bastion",
        "-t", "--", "me@10.0.0.1",
    ]  # fmt: skip


def test_a_socket_or_port_is_dialled_on_the_other_side() -> None:
    how = LOOSE._replace(tunnel="bastion")
    to_socket = dial(how, "unix:///run/my api.sock")
    assert to_socket[-3:] == ["--", "core@bastion", "fleetctl fd-forward '/run/my api.sock'"]
    assert dial(how, "http://[::1]:7100")[-4:] == ["-W", "[::1]:7100", "--", "core@bastion"]
    for endpoint in ("https://a:1", "http://a:1/prefix", "a:1"):
        with pytest.raises(Refused, match="cannot tunnel to"):
            dial(how, endpoint)


def test_a_host_with_or_without_a_port_is_read() -> None:
    assert place_of("bastion") == ("bastion", 22)
    assert place_of("bastion:2222") == ("bastion", 2222)
    assert place_of("[fe80::1]:2222") == ("fe80::1", 2222)
    for text in ("", ":22", "bastion:ssh"):
        with pytest.raises(Refused, match="HOST"):
            place_of(text)
