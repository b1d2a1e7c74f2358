"""What really runs on a lab's hosts: asked of their kernels and of PID 1, never of fleetish."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fleetish.lab.cluster import Lab
from fleetish.lab.layout import State

#: Prints the processes of every unit below fleetish.slice, by their control groups.
_CGROUPS = """
import glob, json
found = {}
for file in glob.glob("/proc/[0-9]*/cgroup"):
    try:
        lines = open(file).read().splitlines()
    except OSError:
        continue
    for line in lines:
        parts = line.split(":", 2)[2].split("/")
        if "fleetish.slice" in parts:
            for unit in [part for part in parts if part.endswith(".service")][:1]:
                found.setdefault(unit, set()).add(int(file.split("/")[2]))
print(json.dumps({unit: sorted(pids) for unit, pids in found.items()}))
"""
_GUARD = "fleetish-guard.service"
_REACHED = (State.RUNNING, State.PARTITIONED)


class Main(NamedTuple):
    """A unit's main process and invocation, as PID 1 of its host has them."""

    pid: int
    invocation: str


class Span(NamedTuple):
    """An unbroken time of life, in seconds of the one monotonic clock that all hosts share."""

    begin: float
    end: float


def processes(lab: Lab, host: str) -> dict[str, list[int]]:
    """Unit -> the processes in its control group on a host."""
    done = lab.exec(host, ["/usr/bin/python3", "-c", _CGROUPS], check=True)
    found: dict[str, list[int]] = json.loads(done.stdout)
    found.pop(_GUARD, None)
    return found


def homes(lab: Lab, units: Iterable[str] = ()) -> dict[str, list[str]]:
    """Unit -> the hosts on which processes of it are, among hosts that can be looked into.

    ``units`` are there in any case, without a host when they run nowhere.
    """
    found: dict[str, list[str]] = {unit: [] for unit in units}
    for part, state in lab.status():
        if part.name.startswith("node") and state in _REACHED:
            for unit in processes(lab, part.name):
                found.setdefault(unit, []).append(part.name)
    return found


def mains(lab: Lab, host: str, pattern: str) -> dict[str, Main]:
    """Unit -> its main process, of the units on a host that match and have one."""
    properties = ["-pId", "-pMainPID", "-pInvocationID"]
    text = lab.exec(host, ["systemctl", "show", *properties, "--", pattern], check=True).stdout
    rows = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.split("\n\n")]
    found = {row["Id"]: Main(int(row["MainPID"]), row["InvocationID"]) for row in rows if row}
    return {unit: main for unit, main in found.items() if main.pid}


def all_mains(lab: Lab, pattern: str, hosts: Iterable[str] = ()) -> dict[str, dict[str, Main]]:
    """Host -> unit -> main process, of these hosts or of all."""
    asked = tuple(hosts) or tuple(host.name for host in lab.hosts)
    return {host: mains(lab, host, pattern) for host in asked}


def beating(name: str, *options: str) -> str:
    """The text of a unit that writes down every few milliseconds that it is alive."""
    beat = 'print(time.monotonic(), file=open("/var/lib/beats-%n", "a")); time.sleep(0.004)'
    lines = [f"ExecStart=/usr/bin/python3 -c 'while 1: import time; {beat}'", "[X-Fleet]", *options]
    return "\n".join(["[Unit]", f"Description={name}", "[Service]", *lines, ""])


def lives(lab: Lab, host: str, unit: str, gap: float = 0.5) -> list[Span]:
    """The times in which a beating unit was alive on a host; silence over ``gap`` seconds ends
    one."""
    text = lab.exec(host, ["sh", "-c", f"cat /var/lib/beats-{unit} 2>/dev/null || true"]).stdout
    beats = [float(line) for line in text.splitlines()]
    spans: list[Span] = []
    for at in beats:
        if spans and at - spans[-1].end <= gap:
            spans[-1] = Span(spans[-1].begin, at)
        else:
            spans.append(Span(at, at))
    return spans


def overlap(one: Iterable[Span], other: Iterable[Span]) -> float:
    """For how many seconds both were alive at once."""
    others = list(other)
    return sum(max(0.0, min(a.end, b.end) - max(a.begin, b.begin)) for a in one for b in others)


def alone(found: Mapping[str, list[str]], units: Iterable[str]) -> bool:
    """True when each of the units runs on exactly one host."""
    return all(len(found.get(unit, [])) == 1 for unit in units)
