"""Sockets, timers, paths, mounts and sidekicks on real hosts, with the services they belong to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from fleetish.wire import StateView, Wish
from tests.lab.hearing import Cluster, cluster

pytestmark = pytest.mark.lab

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"
ONCE = "[Service]\nType=oneshot\nExecStart=/bin/sh -c '{}'\n"

#: Answers one connection with a word and ends.
ANSWER = """\
[Service]
ExecStart=/usr/bin/python3 -c 'import socket; s = socket.socket(fileno=3); \
c, _ = s.accept(); c.sendall(b"{}")'
"""
ASK = """
import socket
with socket.create_connection(("127.0.0.1", 7801), timeout=20) as line:
    print(line.recv(100).decode(), end="")
"""
ECHO = ("echo.socket", "echo.service")


@pytest.fixture(scope="module")
def c() -> Iterator[Cluster]:
    with cluster(f"tk{os.getpid()}", 2) as found:
        yield found


@pytest.fixture(autouse=True)
def leaves_nothing(c: Cluster) -> Iterator[None]:
    """After each test no host has a unit, a marker or a definition of the cluster's."""
    yield
    c.destroy(*(view.name for view in c.fleet.units()))
    c.until(lambda: not any(left(c, host.name) for host in c.lab.hosts))


def left(c: Cluster, host: str) -> str:
    listed = (
        "ls /run/systemd/transient /run/fleetish/units 2>/dev/null | grep -v '^/\\|^$\\|guard';"
        " systemctl list-units --all --plain --no-legend 'echo*' 'job*' 'main*' 'side*' 'srv*'"
    )
    return c.lab.exec(host, ["sh", "-c", listed]).stdout


def submit(c: Cluster, **wishes: tuple[str, str]) -> None:
    """Ask for units: ``echo_socket=(text, target)``."""
    rows = [
        Wish(name=name.replace("_", "."), text=text, target=target)
        for name, (text, target) in wishes.items()
    ]
    c.fleet.submit(rows)


def state(c: Cluster, unit: str) -> StateView | None:
    return next(iter(c.fleet.unit(unit).states), None)


def shown(c: Cluster, unit: str) -> tuple[str, str, str]:
    found = state(c, unit)
    return (found.load, found.active, found.sub) if found else ("", "", "")


def until_shown(c: Cluster, unit: str, *wanted: str) -> None:
    c.until(lambda: shown(c, unit)[: len(wanted)] == wanted)


def ask(c: Cluster, host: str) -> str:
    """What the service behind the socket says to a connection."""
    return c.lab.exec(host, ["python3", "-c", ASK], check=True).stdout


def show(c: Cluster, host: str, unit: str, names: str) -> str:
    return c.lab.exec(host, ["systemctl", "show", "-p", names, unit], check=True).stdout


def niceness(c: Cluster, host: str, unit: str, wanted: str) -> bool:
    """Whether the unit's main process runs with that niceness."""
    pid = show(c, host, unit, "MainPID").strip().partition("=")[2]
    return c.lab.exec(host, ["ps", "-o", "ni=", "-p", pid]).stdout.strip() == wanted


WAITS = ("loaded", "inactive", "dead")
LISTEN = "[Socket]\nListenStream=127.0.0.1:7801\n"


def test_a_service_is_placed_with_its_socket_and_activated_by_each_connection(c: Cluster) -> None:
    submit(c, echo_socket=(LISTEN, "launched"), echo_service=(ANSWER.format("one"), "inactive"))
    until_shown(c, "echo.socket", "loaded", "active", "listening")
    until_shown(c, "echo.service", *WAITS)
    home = c.home("echo.socket")
    assert c.home("echo.service") == home
    assert [ask(c, home) for _ in range(3)] == ["one"] * 3
    c.until(lambda: (found := state(c, "echo.service")) and found.result == "success")


def test_neither_the_daemon_nor_a_reload_disturbs_a_socket(c: Cluster) -> None:
    submit(c, echo_socket=(LISTEN, "launched"), echo_service=(ANSWER.format("one"), "loaded"))
    until_shown(c, "echo.socket", "loaded", "active")
    until_shown(c, "echo.service", *WAITS)
    home = c.home("echo.socket")
    told = "ExecStart,LogExtraFields,Slice,TriggeredBy,InvocationID,ActiveEnterTimestamp"
    before = [show(c, home, unit, told) for unit in ECHO]
    c.lab.exec(home, ["systemctl", "restart", "fleetish"], check=True)
    c.until(lambda: c.fleet.machine(home))
    c.lab.exec(home, ["systemctl", "daemon-reload"], check=True)
    assert [show(c, home, unit, told) for unit in ECHO] == before
    assert ask(c, home) == "one"
    until_shown(c, "echo.service", *WAITS)


def test_another_text_reaches_the_next_connection_and_the_socket_goes_on(c: Cluster) -> None:
    submit(c, echo_socket=(LISTEN, "launched"), echo_service=(ANSWER.format("one"), "loaded"))
    until_shown(c, "echo.socket", "loaded", "active")
    until_shown(c, "echo.service", *WAITS)
    home = c.home("echo.socket")
    before = show(c, home, "echo.socket", "InvocationID,ActiveEnterTimestamp")
    changed = Wish(name="echo.service", text=ANSWER.format("two"), target="loaded")
    c.fleet.submit([changed], replace=True)
    fresh = c.fleet.unit("echo.service").hash
    c.until(lambda: (found := state(c, "echo.service")) and found.hash == fresh)
    assert ask(c, home) == "two"
    assert show(c, home, "echo.socket", "InvocationID,ActiveEnterTimestamp") == before


def test_another_text_reaches_a_service_that_runs_while_connections_wait(c: Cluster) -> None:
    submit(c, echo_socket=(LISTEN, "launched"), echo_service=(SLEEP, "loaded"))
    until_shown(c, "echo.socket", "loaded", "active")
    home = c.home("echo.socket")
    c.lab.exec(home, ["python3", "-c", ASK.replace("line.recv(100)", "b''")], check=True)
    until_shown(c, "echo.service", "loaded", "active", "running")
    before = show(c, home, "echo.socket", "InvocationID,ActiveEnterTimestamp")
    for nice, target in (("5", "loaded"), ("6", "launched")):
        changed = Wish(name="echo.service", text=f"{SLEEP}Nice={nice}\n", target=target)
        c.fleet.submit([changed], replace=True)
        c.until(partial(niceness, c, home, "echo.service", nice))
        until_shown(c, "echo.service", "loaded", "active", "running")
    assert show(c, home, "echo.socket", "InvocationID,ActiveEnterTimestamp") == before


def test_a_service_that_is_gone_leaves_its_socket_and_one_that_comes_is_put_under_it(
    c: Cluster,
) -> None:
    submit(c, echo_socket=(LISTEN, "launched"), echo_service=(ANSWER.format("one"), "loaded"))
    until_shown(c, "echo.service", *WAITS)
    until_shown(c, "echo.socket", "loaded", "active")
    home = c.home("echo.socket")
    before = show(c, home, "echo.socket", "InvocationID")
    c.destroy("echo.service")
    c.until(lambda: show(c, home, "echo.service", "LoadState") == "LoadState=not-found\n")
    submit(c, echo_service=(ANSWER.format("two"), "loaded"))
    c.until(lambda: show(c, home, "echo.service", "LoadState") == "LoadState=loaded\n")
    assert ask(c, home) == "two"
    assert show(c, home, "echo.socket", "InvocationID") == before


def test_a_service_that_was_launched_and_is_stopped_comes_back_with_a_connection(
    c: Cluster,
) -> None:
    text = SLEEP.replace("[Service]", "[Unit]\nRequires=echo.socket\nAfter=echo.socket\n[Service]")
    submit(c, echo_socket=(LISTEN, "launched"), echo_service=(text, "launched"))
    c.until(lambda: c.running(ECHO))
    home = c.home("echo.service")
    c.fleet.set_target(["echo.service"], "loaded")
    until_shown(c, "echo.service", *WAITS)
    until_shown(c, "echo.socket", "loaded", "active", "listening")
    connect = ASK.replace("line.recv(100)", "b''")
    c.lab.exec(home, ["python3", "-c", connect], check=True)
    until_shown(c, "echo.service", "loaded", "active", "running")
    invocation = show(c, home, "echo.service", "InvocationID")
    c.fleet.set_target(["echo.service"], "launched")
    c.until(lambda: c.running(ECHO))
    assert show(c, home, "echo.service", "InvocationID") == invocation


def test_a_timer_runs_its_service_again_and_again(c: Cluster) -> None:
    timer = "[Timer]\nOnActiveSec=100ms\nOnUnitActiveSec=300ms\nAccuracySec=50ms\n"
    job = ONCE.format("echo ran >> /run/job-ran")
    submit(c, job_timer=(timer, "launched"), job_service=(job, "loaded"))
    until_shown(c, "job.timer", "loaded", "active")
    home = c.home("job.timer")
    count = ["sh", "-c", "wc -l < /run/job-ran; true"]
    c.until(lambda: int(c.lab.exec(home, count).stdout or 0) >= 3)


def test_a_path_runs_its_service_when_a_file_comes(c: Cluster) -> None:
    path = "[Path]\nPathExists=/run/job-flag\n"
    job = ONCE.format("rm /run/job-flag && touch /run/job-seen")
    submit(c, job_path=(path, "launched"), job_service=(job, "loaded"))
    until_shown(c, "job.path", "loaded", "active", "waiting")
    home = c.home("job.path")
    c.lab.exec(home, ["touch", "/run/job-flag"], check=True)
    c.until(lambda: c.lab.exec(home, ["test", "-e", "/run/job-seen"]).returncode == 0)


def mounted(c: Cluster, host: str) -> bool:
    return c.lab.exec(host, ["grep", "-q", " /srv/box tmpfs ", "/proc/mounts"]).returncode == 0


MOUNT = "[Mount]\nWhat=tmpfs\nWhere=/srv/box\nType=tmpfs\nOptions=size=1M\n"


def test_a_mount_is_mounted_with_what_needs_it_and_unmounted_when_stopped(c: Cluster) -> None:
    user = SLEEP.replace("[Service]", "[Unit]\nRequiresMountsFor=/srv/box/in\n[Service]")
    user += "[X-Fleet]\nMachineOf=srv-box.mount\n"
    c.fleet.submit([Wish(name="srv-box.mount", text=MOUNT, target="loaded")])
    submit(c, job_service=(user, "launched"))
    c.until(lambda: c.running(["job.service"]))
    home = c.home("srv-box.mount")
    assert mounted(c, home)
    c.fleet.destroy(["job.service"])
    c.until(lambda: not mounted(c, home))
    c.fleet.set_target(["srv-box.mount"], "launched")
    until_shown(c, "srv-box.mount", "loaded", "active", "mounted")
    assert mounted(c, home)


def test_an_automount_mounts_when_somebody_looks(c: Cluster) -> None:
    c.fleet.submit(
        [
            Wish(name="srv-box.mount", text=MOUNT, target="loaded"),
            Wish(name="srv-box.automount", text="[Automount]\nWhere=/srv/box\n", target="launched"),
        ]
    )
    until_shown(c, "srv-box.automount", "loaded", "active", "waiting")
    home = c.home("srv-box.automount")
    assert not mounted(c, home)
    c.lab.exec(home, ["ls", "/srv/box"], check=True)
    assert mounted(c, home)
    until_shown(c, "srv-box.mount", "loaded", "active", "mounted")


def test_a_sidekick_that_is_only_loaded_starts_and_stops_with_its_main_unit(c: Cluster) -> None:
    side = (
        "[Unit]\nBindsTo=main.service\nAfter=main.service\n"
        + SLEEP
        + "[Install]\nWantedBy=main.service\n[X-Fleet]\nMachineOf=main.service\n"
    )
    submit(c, main_service=(SLEEP, "loaded"), side_service=(side, "loaded"))
    until_shown(c, "side.service", *WAITS)
    for _ in range(2):
        c.fleet.set_target(["main.service"], "launched")
        until_shown(c, "side.service", "loaded", "active", "running")
        until_shown(c, "main.service", "loaded", "active", "running")
        c.fleet.set_target(["main.service"], "loaded")
        until_shown(c, "side.service", *WAITS)
        until_shown(c, "main.service", *WAITS)
