"""Marathon's events with many readers: how late they are told, and what one costs that never reads.

The readers are one process on the daemon's own host; what their work costs is in the figures.
``python -m bench.events`` prints the figures alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cluster import daemons, resident_mib
from bench.results import Figure, against
from fleetish.lab.cluster import Lab

HERE = Path(__file__).parent
HOST = "node1"
READERS, EVENTS, CHANGES = 1000, 50, 400
AIM_MS, AIM_MIB = 250.0, 16.0
PATIENCE_S = 60.0


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Delay of events to all readers, and memory."""
    with Lab("bench-events", machines=1, report=say) as lab:
        _answers(lab)
        found = sorted(_readers(lab, "delays", str(READERS), str(EVENTS)))
        say(f"{EVENTS} events were told to {READERS:,} readers")
        return [*_delays(found), _memory(lab, say)]


def _delays(found: list[float]) -> list[Figure]:
    what = f"event delay, {READERS:,} SSE readers and one that never reads, from the request on"
    p50, p99 = (found[int(part * (len(found) - 1))] * 1000 for part in (0.5, 0.99))
    late = Figure(f"{what}, p99", p99, "ms", aim=f"≤ {AIM_MS:g} ms")
    return [Figure(f"{what}, p50", p50, "ms"), against(late, AIM_MS)]


def _memory(lab: Lab, say: Callable[[str], None]) -> Figure:
    """What the daemon grows by while a reader never reads; it has grown by as many events before,
    so that what it keeps of them for all readers is in both."""
    _readers(lab, "flood", str(CHANGES), "nobody")
    before = _resident(lab)
    events = _readers(lab, "flood", str(CHANGES), "never")
    say(f"{events:,} events were told beside a reader that never reads")
    grown = max(_resident(lab) - before, 0.0)
    what = (
        f"memory that a reader costs which never reads, given up in the course of {events:,} events"
    )
    return against(Figure(what, grown, "MiB", aim=f"≤ {AIM_MIB:g} MiB"), AIM_MIB)


def _resident(lab: Lab) -> float:
    return next(resident_mib(pid) for pid, host in daemons(lab).items() if host == HOST)


def _readers(lab: Lab, *argv: str) -> Any:
    script = [sys.executable, str(HERE / "readers.py"), *argv]
    return json.loads(lab.exec(HOST, script, check=True).stdout)


def _answers(lab: Lab) -> None:
    """Wait until the daemon speaks Marathon's API, and leads: nothing is deployed before."""
    url = "http://127.0.0.1:8080/v2/leader"
    deadline = time.monotonic() + PATIENCE_S
    while lab.exec(HOST, ["curl", "-sf", url]).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError("Marathon's API does not answer")
        time.sleep(0.2)


if __name__ == "__main__":
    for figure in measure(lambda line: print(line, file=sys.stderr)):
        print(f"{figure.what}: {figure.value:.1f} {figure.unit} ({figure.aim}, met: {figure.met})")
