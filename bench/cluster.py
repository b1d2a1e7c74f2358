"""The figures that need a real cluster: measured in a lab of three hosts, beside plain systemd.

One lab, brought up for this and taken down after; every wait is on the event stream.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.results import Figure, against
from fleetish.client import Client
from fleetish.errors import WaitTimeout
from fleetish.lab.cluster import Lab
from fleetish.wire import Wish

HERE = Path(__file__).parent
TTL_S = 10
PATIENCE_S = 180.0
TICKS = os.sysconf("SC_CLK_TCK")
SLEEPER = """[Unit]
Description=benchmark
[Service]
ExecStart=/usr/bin/sleep infinity
MemoryMax=64M
CPUQuota=20%
[X-Fleet]
CPUs=0.001
Memory=1M
"""


def measure(say: Callable[[str], None]) -> list[Figure]:
    """All figures, in the order of the page."""
    settings = {"machine_ttl": TTL_S, "capacity": {"cpus": 4, "memory": "8G"}}
    with Lab("bench", machines=3, settings=settings, report=say) as lab, Client(lab.endpoint) as c:
        c.submit([Wish(name="b@.service", text=SLEEPER)])
        plain = plain_seconds(lab)
        say("plain systemd-run measured")
        figures = wish_to_active(c, plain, "idle cluster")
        figures += many(lab, c, say)
        figures += wish_to_active(c, plain, "cluster with 1,000 units")
        start(c, names("x", 199 + 33))
        say("1,232 units run; resting")
        figures.append(at_rest(lab))
        figures += resident(lab, c)
        figures.append(power_cut(lab, c))
    return figures


def names(prefix: str, count: int) -> list[str]:
    """Instances of the benchmark's template."""
    return [f"b@{prefix}{number}.service" for number in range(count)]


@contextmanager
def watching(fleet: Client, units: Sequence[str]) -> Iterator[Callable[[], float]]:
    """Listen before doing; the callable waits until every unit is active and gives the instant."""
    missing = set(units)
    events = fleet.events(kinds=["state"])
    next(events)

    def wait() -> float:
        deadline = time.monotonic() + PATIENCE_S
        for event in events:
            if event.state is not None and event.state.active == "active":
                missing.discard(event.unit)
            if not missing:
                return time.perf_counter()
            if time.monotonic() > deadline:
                break
        raise WaitTimeout(f"cannot see {len(missing)} units active, {sorted(missing)[:3]} …")

    yield wait


def start(fleet: Client, units: Sequence[str]) -> float:
    """Submit and launch units in one request; seconds until all are active."""
    with watching(fleet, units) as wait:
        begin = time.perf_counter()
        fleet.submit([Wish(name=name, target="launched") for name in units])
        return wait() - begin


def destroy(fleet: Client, units: Sequence[str]) -> None:
    """Forget units and wait until no machine reports them."""
    fleet.destroy(units)
    gone = set(units)
    deadline = time.monotonic() + PATIENCE_S
    while any(state.unit in gone for state in fleet.states()):
        if time.monotonic() > deadline:
            raise WaitTimeout("cannot see the units stopped")
        time.sleep(0.2)


def on_host(lab: Lab, host: str, *argv: str, stdin: str = "") -> Any:
    """What ``bench/on_host.py`` prints inside a host."""
    script = [sys.executable, str(HERE / "on_host.py"), *argv]
    return json.loads(lab.exec(host, script, stdin=stdin, check=True).stdout)


def plain_seconds(lab: Lab) -> list[float]:
    """Seconds of each of 100 systemd-run calls on a host that does nothing else."""
    return sorted(on_host(lab, "node1", "run", "100"))


def wish_to_active(fleet: Client, plain: list[float], where: str) -> list[Figure]:
    """One unit at a time, from the request to the event that it is active."""
    units = names("one", 100)
    seconds = sorted(start(fleet, [unit]) for unit in units)
    destroy(fleet, units)
    rows = (("p50", 0.5, 3.0), ("p99", 0.99, 0.0))
    figures = []
    for label, part, aim in rows:
        index = int(part * (len(seconds) - 1))
        figure = Figure(
            f"wish to active, one unit, {where}, {label}",
            seconds[index] * 1000,
            "ms",
            baseline=f"systemd-run {label}",
            baseline_value=plain[index] * 1000,
            aim=f"≤ {aim:g} × systemd-run" if aim else "",
            before="3.9 s" if where.startswith("idle") else "10.7 s (1,232 units)",
        )
        figures.append(against(figure, aim) if aim else figure)
    return figures


def plain_span(lab: Lab, verb: str, count: int, prefix: str = "plain-", text: str = "") -> float:
    """Seconds that plain pipelined calls take to start (or stop) so many units on all hosts; with a
    ``text``, what the agent would make of that."""
    from concurrent.futures import ThreadPoolExecutor

    share, rest = divmod(count, len(lab.hosts))
    more = ["-"] if text else []
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(
                on_host, lab, host.name, verb, str(share + (at < rest)), prefix, *more, stdin=text
            )
            for at, host in enumerate(lab.hosts)
        ]
        spans = [job.result() for job in jobs]
    return float(max(span["end"] for span in spans) - min(span["begin"] for span in spans))


def many(lab: Lab, fleet: Client, say: Callable[[str], None]) -> list[Figure]:
    """1,000 units on three hosts, beside the same units started by plain pipelined calls."""
    plains, fleets = [], []
    for turn in range(3):
        plains.append(plain_span(lab, "start", 1000))
        plain_span(lab, "stop", 1000)
        fleets.append(start(fleet, names("m", 1000)))
        say(f"1,000 units: {fleets[-1]:.2f} s, plain calls {plains[-1]:.2f} s")
        if turn < 2:
            destroy(fleet, names("m", 1000))
    figure = Figure(
        "1,000 units submitted and active on 3 hosts (median of 3)",
        statistics.median(fleets),
        "s",
        baseline="pipelined StartTransientUnit on the 3 hosts",
        baseline_value=statistics.median(plains),
        aim="≤ 1.5 × plain calls",
        before="33 s",
    )
    return [against(figure, 1.5)]


def daemons(lab: Lab) -> dict[int, str]:
    """Process ids, as this machine sees them, of every fleetish daemon and etcd of the lab, and
    the host or member that each belongs to."""
    parts = [seen.part.name for seen in lab.status()]
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            groups = (process / "cgroup").read_text().replace("\n", "/").split("/")
        except OSError:
            continue
        if lab.name in groups and (b"serve" in words or words[0].endswith(b"etcd")):
            found[int(process.name)] = next((part for part in parts if part in groups), "")
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time used by some processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def at_rest(lab: Lab) -> Figure:
    """CPU of the control plane over a minute in which nobody wants anything."""
    time.sleep(15)
    pids = list(daemons(lab))
    before, begin = cpu_seconds(pids), time.monotonic()
    time.sleep(60)
    share = (cpu_seconds(pids) - before) / (time.monotonic() - begin)
    figure = Figure(
        f"CPU at rest of {len(pids)} fleetish and etcd processes, 1,232 units on 3 hosts",
        share,
        "core",
        aim="≤ 0.03 core",
        before="1.4 cores",
    )
    return against(figure, 0.03)


def resident(lab: Lab, fleet: Client) -> list[Figure]:
    """Resident memory of a machine that only runs units, and of the largest of the others, which
    lead or answer for the whole cluster. Each has about 410 units."""
    found = {host: resident_mib(pid) for pid, host in daemons(lab).items() if "node" in host}
    leader = fleet.leader().host
    agents = {host: size for host, size in found.items() if host != leader}
    agent = min(agents, key=lambda host: agents[host])
    units = {machine.host: machine.units for machine in fleet.machines()}
    figures = (
        Figure(
            f"resident memory of a daemon that neither leads nor is asked ({units[agent]} units)",
            agents[agent],
            "MiB",
            aim="≤ 80 MiB",
        ),
        Figure(
            "resident memory of the largest daemon: it leads, or answers for the cluster",
            max(found.values()),
            "MiB",
        ),
    )
    return [against(figures[0], 80), figures[1]]


def resident_mib(pid: int) -> float:
    """The resident memory of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def power_cut(lab: Lab, fleet: Client) -> Figure:
    """A host with a third of all units dies; seconds until all of them are active elsewhere."""
    victim = lab.hosts[-1]
    lost = [state.unit for state in fleet.states(machine=victim.machine)]
    with watching(fleet, lost) as wait:
        begin = time.perf_counter()
        lab.kill(victim.name)
        seconds = wait() - begin
    figure = Figure(
        f"power cut of a host with {len(lost)} of 1,232 units, to all active elsewhere",
        seconds,
        "s",
        aim=f"≤ TTL + 4 s = {TTL_S + 4} s",
        before="43 s (TTL 30 s)",
    )
    return against(figure, TTL_S + 4)
