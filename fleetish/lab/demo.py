"""What `make demo` shows: a real cluster doing its main job, in commands that anyone can repeat.

Each step prints the command, runs it, and shows what it printed; at the end the cluster is left
running.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from fleetish.client import Client
from fleetish.errors import LabError, Unavailable, WaitTimeout
from fleetish.lab.cluster import Lab

COMMAND = Path(sys.executable).parent / "fleetish"
EXAMPLES = Path(__file__).parents[2] / "examples"
WEB = [f"web@{number}" for number in range(1, 7)]
LIMITS = "MemoryMax,CPUQuotaPerSecUSec,Slice,MainPID"
#: The kernel's own figure in bytes, on cgroup v1 or v2.
KERNEL = (
    "cat $(find /sys/fs/cgroup -path '*web@1.service/memory.limit_in_bytes'"
    " -o -path '*web@1.service/memory.max')"
)
#: Kill the daemon, and keep systemd from starting it again at once.
KILL = "systemctl kill --signal=KILL fleetish.service; systemctl stop fleetish.service"
MOVED_S = 60.0


def say(text: str) -> None:
    """A heading; bold on a terminal."""
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(f"\n\033[1m{text}\033[0m" if bold else f"\n== {text}", flush=True)


def show(*argv: str, check: bool = True) -> None:
    """Print a command of fleetish and run it; raises LabError when it fails."""
    print(f"$ fleetish {' '.join(argv)}", flush=True)
    done = subprocess.run([COMMAND, *argv])
    if check and done.returncode:
        raise LabError(f"cannot go on: fleetish {' '.join(argv)} ended with {done.returncode}")


def places() -> dict[str, str]:
    """Machine id of every active unit."""
    with Client() as fleet:
        return {row.unit: row.machine for row in fleet.states() if row.active == "active"}


def await_active(units: set[str], away_from: str) -> float:
    """Seconds until all units are active on machines other than ``away_from``."""
    begin = time.monotonic()
    while time.monotonic() - begin < MOVED_S:
        found = places()
        if all(found.get(unit, away_from) != away_from for unit in units):
            return time.monotonic() - begin
        time.sleep(0.25)
    raise WaitTimeout(f"cannot see {len(units)} units run again within {MOVED_S:g} s")


def run_units(lab: Lab) -> str:
    """Start a template's instances and a rendered unit; the name of a host that has some."""
    say("A systemd template, six instances of it, and a unit made with Jinja2")
    show("submit", str(EXAMPLES / "web@.service"))
    show("start", *WEB)
    values = ["--set", "size=32", "--set", "team=blue", "--set", "rack=r1"]
    show("start", str(EXAMPLES / "cache.service.j2"), *values)
    show("list-units")
    host = {host.machine: host.name for host in lab.hosts}[places()["web@1.service"]]
    say(f"The same on {host}, as its own systemd sees it: transient units with cgroup limits")
    show("lab", "exec", host, "--", "systemctl", "show", "-p", LIMITS, "web@1.service")
    show("lab", "exec", host, "--", "sh", "-c", KERNEL)
    show("lab", "exec", host, "--", "systemd-cgls", "--no-pager", "--xattr=no", "/fleetish.slice")
    return host


def cut_power(lab: Lab, name: str) -> None:
    """Kill a host and wait until what ran there runs elsewhere."""
    say(f"Power cut of {name}: its units move when its lease has run out (10 s)")
    machine = next(host.machine for host in lab.hosts if host.name == name)
    lost = {unit for unit, place in places().items() if place == machine and "web@" in unit}
    show("lab", "kill", name)
    seconds = await_active(lost, machine)
    print(f"{', '.join(sorted(lost))}: active elsewhere after {seconds:.1f} s")
    show("list-units")


def ask_why() -> None:
    """A unit that no machine can take, and why not."""
    say("A unit that fits nowhere, and why")
    show("start", "--no-block", str(EXAMPLES / "nowhere.service"))
    show("explain", "nowhere.service")


def leader() -> str:
    """The host name of the elected engine; empty while there is none, or nobody answers."""
    with Client() as fleet, suppress(Unavailable):
        return fleet.leader().host
    return ""


def change_leader() -> str:
    """Kill the daemon of the elected engine and wait for another one; the host of the first."""
    say("The elected engine is killed; units go on, another engine takes over")
    first = leader()
    show("lab", "exec", first, "--", "sh", "-c", KILL)
    begin = time.monotonic()
    while time.monotonic() - begin < MOVED_S:
        now = leader()
        if now and now != first:
            print(f"{first} led; {now} leads now, after {time.monotonic() - begin:.1f} s")
            return first
        time.sleep(0.1)
    raise WaitTimeout(f"cannot see another engine than {first} within {MOVED_S:g} s")


def main() -> None:
    """Run all of it against the lab named by FLEETISH_LAB (default: default)."""
    say("Three real systemd hosts, an etcd, and fleetish on each")
    show("lab", "up")
    lab = Lab(os.environ.get("FLEETISH_LAB", "default"))
    os.environ["FLEETISH_ENDPOINT"] = lab.endpoint
    show("list-machines")
    host = run_units(lab)
    ask_why()
    cut_power(lab, host)
    first = change_leader()
    show("lab", "exec", first, "--", "systemctl", "start", "fleetish.service")
    show("lab", "start", host)
    say("The cluster is yours; `make down` ends it")
    print(f"alias fleetish={COMMAND}")
    show("lab", "env")


if __name__ == "__main__":
    main()
