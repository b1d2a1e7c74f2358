"""Health and readiness checks on real hosts: servers that turn bad and good again, commands."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fleetish.wire import StateView, Wish
from fleetish.wire_orders import ReplaceBody
from tests.lab.hearing import Cluster, begun, cluster
from tests.lab.history import history, revision
from tests.lab.test_command_line import FLEETISH

pytestmark = pytest.mark.lab

#: Answers with the status that /run/pulse.NAME holds, 200 without that file.
SERVER = """
import http.server, pathlib, sys

class Pulse(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        held = pathlib.Path("/run/pulse." + sys.argv[1])
        self.send_response(int(held.read_text()) if held.exists() else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

http.server.ThreadingHTTPServer(("", int(sys.argv[2])), Pulse).serve_forever()
"""
SERVICE = "[Service]\nExecStart=/usr/bin/python3 /run/pulse.py %i ${PORT}\n[X-Fleet]\nPorts=0\n"
QUICK = "interval=200ms delay=0 grace=1min failures=2"
STRICT = QUICK.replace("1min", "0")
WEB = f"{SERVICE}HealthCheck=http path=/ping {QUICK}\n"


@pytest.fixture(scope="module")
def c() -> Iterator[Cluster]:
    with cluster(f"th{os.getpid()}", 2) as found:
        for host in found.lab.hosts:
            command = ["sh", "-c", "cat > /run/pulse.py"]
            found.lab.exec(host.name, command, stdin=SERVER, check=True)
        yield found


def turn(c: Cluster, unit: str, status: str) -> None:
    """Let a server answer with another status from now on."""
    name = unit.partition("@")[2].removesuffix(".service")
    for host in c.lab.hosts:
        write = ["sh", "-c", f"echo {status} > /run/pulse.{name}"]
        c.lab.exec(host.name, write, check=True)


def state(c: Cluster, unit: str) -> StateView | None:
    return next(iter(c.fleet.unit(unit).states), None)


def becomes(c: Cluster, unit: str, health: str) -> StateView:
    """Wait until a unit is healthy or unhealthy."""

    def look() -> StateView | None:
        found = state(c, unit)
        return found if found and found.health == health else None

    found = c.until(look)
    assert found is not None
    return found


def show(c: Cluster, unit: str, name: str) -> str:
    return c.lab.exec(c.home(unit), ["systemctl", "show", "-P", name, unit], check=True).stdout


def written(c: Cluster, unit: str, since: int) -> int:
    """How many times the state of a unit was written since a revision."""
    keys = (write.key for write in history(c.lab, since))
    return sum(key.startswith("states/") and key.endswith(f"/{unit}") for key in keys)


def left(c: Cluster, host: str) -> str:
    """The units of checks that systemd has on a host, and their files."""
    look = "systemctl list-units --all --plain --no-legend 'fleetish-check-*';"
    look += " ls /run/systemd/transient | grep fleetish-check-; pgrep -fx 'sleep 12[3]'"
    return c.lab.exec(host, ["sh", "-c", look]).stdout


def test_a_server_turns_unhealthy_and_healthy_and_little_is_written(c: Cluster) -> None:
    unit = "pulse@web.service"
    with begun(c, WEB, unit):
        first = becomes(c, unit, "healthy")
        since = revision(c.lab)
        turn(c, unit, "500")
        bad = becomes(c, unit, "unhealthy")
        assert bad.checks[0].cause == "HTTP status 500"
        c.until(lambda: (found := state(c, unit)) and found.checks[0].failures == 3)
        seen = c.fleet.unit(unit)
        assert seen.problem.endswith("(HTTP status 500)")
        c.lab.exec(c.home(unit), ["systemctl", "restart", "fleetish"], check=True)
        c.until(lambda: c.fleet.machine(c.home(unit)).state == "ready")
        assert becomes(c, unit, "unhealthy").checks == seen.states[0].checks
        turn(c, unit, "204")
        good = becomes(c, unit, "healthy")
        assert good.main_pid == first.main_pid
        assert good.checks[0].first_success == first.checks[0].first_success
        # Three failures, once more for the machine that registered anew, one success.
        assert written(c, unit, since + 1) <= 3 + 1 + 1


def test_the_command_line_waits_for_health_and_shows_it(c: Cluster) -> None:
    unit = "pulse@cli.service"
    turn(c, unit, "503")
    c.fleet.submit([Wish(name=unit, text=WEB.replace("1min", "3s"))])
    start = c.lab.exec("node1", [FLEETISH, "start", unit])
    assert start.returncode == 1
    assert "unhealthy on node" in start.stderr
    assert "(HTTP status 503)" in start.stderr
    turn(c, unit, "200")
    assert c.lab.exec("node1", [FLEETISH, "start", unit]).returncode == 0
    listed = [FLEETISH, "list-units", "--no-legend", "--fields", "unit,health"]
    assert c.lab.exec("node1", listed).stdout == f"{unit}\thealthy\n"
    shown = c.lab.exec("node1", [FLEETISH, "status", unit]).stdout
    assert "  healthy on node" in shown
    assert ": http path=/ping" in shown
    c.destroy(unit)


def test_a_port_is_probed_by_a_connection(c: Cluster) -> None:
    unit = "pulse@tcp.service"
    text = f"{SERVICE}HealthCheck=tcp {QUICK}\nHealthCheck=tcp port=9 {STRICT}\n"
    c.fleet.submit([Wish(name=unit, text=text, target="launched")])
    bad = becomes(c, unit, "unhealthy")
    assert bad.checks[1].cause.endswith(":9: Connection refused")
    c.until(lambda: (found := state(c, unit)) and found.checks[0].health == "healthy")
    c.destroy(unit)


COMMAND = f"""[Service]
ExecStart=/bin/sleep infinity
User=nobody
Environment=WANTED=/run/pulse.cmd
PrivateTmp=yes
ExecStartPre=/bin/touch /tmp/inside
[X-Fleet]
HealthCheck=command command="test $(id -un) = nobody -a -e /tmp/inside -a -e $WANTED" {STRICT}
"""


def test_a_command_sees_what_its_unit_sees_and_leaves_nothing(c: Cluster) -> None:
    unit = "cmd.service"
    turn(c, "pulse@cmd.service", "1")
    with begun(c, COMMAND, unit):
        becomes(c, unit, "healthy")
        home = c.home(unit)
        c.lab.exec(home, ["rm", "/run/pulse.cmd"], check=True)
        assert becomes(c, unit, "unhealthy").checks[0].cause == "the command exited with 1"
        quiet = ["journalctl", "--no-pager", "-o", "cat", "-u", "fleetish-check-*"]
        assert c.lab.exec(home, quiet).stdout in ("", "-- No entries --\n")
        turn(c, "pulse@cmd.service", "1")
        becomes(c, unit, "healthy")
    c.until(lambda: not any(left(c, host.name) for host in c.lab.hosts))


def test_a_command_that_hangs_is_ended_and_so_is_one_whose_unit_ends(c: Cluster) -> None:
    unit = "hang.service"
    line = f'HealthCheck=command command="sleep 123" timeout=1s {STRICT}\n'
    text = f"[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\n{line}"
    c.fleet.submit([Wish(name=unit, text=text, target="launched")])
    assert becomes(c, unit, "unhealthy").checks[0].cause == "no answer within 1 s"
    home = c.home(unit)
    c.until(lambda: "123" in c.lab.exec(home, ["pgrep", "-fax", "sleep 123"]).stdout)
    c.destroy(unit)
    c.until(lambda: not left(c, home))


def test_an_unhealthy_unit_is_started_again_by_its_failure_policy(c: Cluster) -> None:
    unit = "pulse@again.service"
    text = WEB.replace("[X-Fleet]\n", "Restart=on-failure\n[X-Fleet]\nOnUnhealthy=restart\n")
    with begun(c, text, unit):
        before = becomes(c, unit, "healthy")
        turn(c, unit, "500")
        c.until(lambda: (found := state(c, unit)) and found.restarts > before.restarts)
        turn(c, unit, "200")
        assert becomes(c, unit, "healthy").main_pid != before.main_pid
        journal = ["journalctl", "--no-pager", "-o", "cat", "-u", unit]
        assert "status=6/ABRT" in c.lab.exec(c.home(unit), journal).stdout


def test_a_rollout_waits_for_readiness_and_stops_at_an_unhealthy_unit(c: Cluster) -> None:
    units = ("pulse@r1.service", "pulse@r2.service")
    slow = f"{SERVICE}Readiness=http path=/ready interval=200ms\n"
    with begun(c, SERVICE, *units):
        turn(c, units[0], "503")
        body = ReplaceBody(units=units, texts={"pulse@.service": slow})
        name = c.fleet.replace(body).id
        c.until(lambda: c.fleet.unit(units[0]).waiting.startswith("to become ready"))
        assert c.fleet.rollout(name).going
        turn(c, units[0], "200")
        c.until(lambda: c.fleet.rollout(name).stage == "done")
        assert all(view.states[0].ready for view in c.views(units).values())
        turn(c, units[0], "500")
        body = ReplaceBody(units=units, texts={"pulse@.service": WEB.replace("1min", "3s")})
        name = c.fleet.replace(body).id
        c.until(lambda: c.fleet.rollout(name).stage == "stopped")
        assert "is unhealthy (HTTP status 500)" in c.fleet.rollout(name).reason
