"""Marathon's API on a real cluster: a large group, many instances of one app, a rolling restart.

``python -m bench.marathon`` prints the figures.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.cluster import plain_span
from bench.listening import looking
from bench.results import Figure, against
from fleetish.client import Client
from fleetish.errors import FleetishError, WaitTimeout
from fleetish.lab.cluster import Lab
from marathon_compat.apps.decode import read_app
from marathon_compat.apps.translate import unit_text
from marathon_compat.client import Marathon

#: A group of a thousand apps as somebody had them, where this checkout lies beside it.
PAYLOAD = Path(__file__).parents[2] / "shared/reference/marathon-api/payloads/group_1000.json"
APPS, INSTANCES, ROLLING, TURNS = 1000, 500, 50, 3
PATIENCE_S = 180.0
SLEEPER = {"args": ["/usr/bin/sleep", "infinity"], "cpus": 0.001, "mem": 16, "portDefinitions": []}
#: Serves only after a second, so that what was started is not what serves.
SLOW = (
    "sleep 1; exec python3 -ISc 'import os, socket\n"
    's = socket.create_server(("", int(os.environ["PORT0"])), backlog=9)\n'
    "while True: s.accept()[0].close()'"
)
CHECK = {"protocol": "TCP", "portIndex": 0, "intervalSeconds": 1, "gracePeriodSeconds": 30}


def measure(say: Callable[[str], None]) -> list[Figure]:
    """All figures, in the order of the page."""
    settings = {"capacity": {"cpus": 16, "memory": "64G"}}
    with (
        Lab("bench-marathon", machines=3, settings=settings, report=say) as lab,
        Client(lab.endpoint) as fleet,
        Marathon(f"http://127.0.0.1:{lab.record.ports['marathon']}") as marathon,
    ):
        led(fleet, marathon)
        found = [put_group(marathon, say), many(lab, fleet, marathon, say)]
        return [*found, rolling(lab, marathon, say)]


def led(fleet: Client, marathon: Marathon) -> None:
    """Wait until the API answers and an engine leads."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fleet.leader()
            marathon.apps()
            return
        except FleetishError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@contextmanager
def ending(marathon: Marathon) -> Iterator[Callable[[str], float]]:
    """Listen before changing something; the callable waits until that deployment is done and gives
    the instant."""
    events = marathon.again().events(["deployment_success"])

    def wait(deployment: str) -> float:
        deadline = time.monotonic() + PATIENCE_S
        for event in events:
            if event.text("id") == deployment:
                return time.perf_counter()
            if time.monotonic() > deadline:
                break
        raise WaitTimeout(f"cannot see the end of {deployment}")

    yield wait


def done(marathon: Marathon, change: Callable[[], str]) -> float:
    """Seconds from asking for a change until its deployment is done."""
    with ending(marathon) as wait:
        begin = time.perf_counter()
        return wait(change()) - begin


def group() -> dict[str, Any]:
    """A group of a thousand apps with no instances: somebody's, else as large ones of our own."""
    if PAYLOAD.exists():
        found: dict[str, Any] = json.loads(PAYLOAD.read_text())
        return found
    return {"id": "/large", "apps": [_large(number) for number in range(APPS)]}


def _large(number: int) -> dict[str, Any]:
    """An app whose definition has about the size of real ones, 1.8 kB."""
    return {
        "id": f"app-{number:04}",
        "instances": 0,
        "cpus": 0.1,
        "mem": 64,
        "container": {"type": "DOCKER", "docker": {"image": f"registry.example/team/app:{number}"}},
        "env": {f"SETTING_{at}": f"{'value ' * 6}{number}" for at in range(20)},
        "labels": {f"label-{at}": f"text {number}" for at in range(10)},
        "constraints": [["rack", "CLUSTER", "r1"]],
        "networks": [{"mode": "host"}],
        "portDefinitions": [{"port": 0, "name": "default", "protocol": "tcp"}],
    }


def put_group(marathon: Marathon, say: Callable[[str], None]) -> Figure:
    """A thousand apps in one request, until it is accepted."""
    body = group()
    name = str(body["id"])
    with ending(marathon) as wait:
        begin = time.perf_counter()
        deployment = marathon.update_group(name, body)
        taken = time.perf_counter() - begin
        wait(deployment)
    say(f"PUT of {APPS:,} apps accepted in {taken:.2f} s")
    if len(marathon.apps()) != APPS:
        raise ValueError("not every app of the group is there")
    done(marathon, lambda: marathon.destroy(name, group=True))
    size = len(json.dumps(body)) / 1e6
    what = f"PUT a group of {APPS:,} apps ({size:.1f} MB), accepted"
    return against(Figure(what, taken, "s", aim="≤ 5 s"), 5.0)


def many(lab: Lab, fleet: Client, marathon: Marathon, say: Callable[[str], None]) -> Figure:
    """Instances of one app, from the request until all run, beside plain calls that start the same
    units."""
    plains, apps = [], []
    for turn in range(TURNS):
        name = f"/many-{turn}"
        text = unit_text(read_app(msgspec.json.encode({**SLEEPER, "id": name})), "")
        plains.append(plain_span(lab, "start", INSTANCES, "marathon_plain@", text))
        plain_span(lab, "stop", INSTANCES, "marathon_plain@")
        apps.append(run(fleet, marathon, {**SLEEPER, "id": name, "instances": INSTANCES}))
        say(f"{INSTANCES} instances: {apps[-1]:.2f} s, plain calls {plains[-1]:.2f} s")
        done(marathon, lambda name=name: marathon.destroy(name))  # type: ignore[misc]
    figure = Figure(
        f"{INSTANCES} instances of one app, POST to all running on 3 hosts (median of {TURNS})",
        statistics.median(apps),
        "s",
        baseline="pipelined StartTransientUnit of the same units on the 3 hosts",
        baseline_value=statistics.median(plains),
        aim="≤ 1.5 × plain calls",
    )
    return against(figure, 1.5)


def run(fleet: Client, marathon: Marathon, body: Mapping[str, Any]) -> float:
    """Create an app; seconds until systemd has told that every instance is active."""
    active: set[str] = set()
    pattern = f"marathon_{body['id'][1:]}@*.service"
    with fleet.again() as second, ending(marathon) as wait:
        events = second.events(["state"], [pattern])
        next(events)
        begin = time.perf_counter()
        deployment = marathon.create(body)
        for event in events:
            if event.state is not None and event.state.active == "active":
                active.add(event.unit)
            if len(active) == body["instances"]:
                break
        seconds = time.perf_counter() - begin
        wait(deployment)
    return seconds


def rolling(lab: Lab, marathon: Marathon, say: Callable[[str], None]) -> Figure:
    """A rolling restart, and the fewest instances that served meanwhile."""
    body = {
        "id": "/rolling",
        "cmd": SLOW,
        "cpus": 0.02,
        "mem": 16,
        "instances": ROLLING,
        "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 0.2},
        "healthChecks": [CHECK],
    }
    done(marathon, lambda: marathon.create(body))
    with looking(lab) as looks:
        took = done(marathon, lambda: marathon.restart("/rolling"))
    say(f"{ROLLING} instances replaced in {took:.1f} s")
    done(marathon, lambda: marathon.destroy("/rolling"))
    figure = Figure(
        f"rolling restart of {ROLLING} instances in {took:.0f} s: the fewest that served, "
        f"in {len(looks.rows):,} looks at the hosts",
        looks.fewest,
        "instances",
        aim=f"≥ {ROLLING}",
    )
    return Figure(**{**vars(figure), "met": looks.fewest >= ROLLING})


if __name__ == "__main__":
    for one in measure(lambda line: print(line, file=sys.stderr)):
        base = f", {one.baseline}: {one.baseline_value:.2f}" if one.baseline else ""
        print(f"{one.what}: {one.value:.2f} {one.unit}{base} ({one.aim}, met: {one.met})")
