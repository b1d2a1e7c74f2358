"""How many instances serve, seen by the hosts' own kernels: sockets that listen on task ports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from fleetish.lab.cluster import Lab

#: Runs in a host: a line of JSON (seconds since the epoch, how many) for each change of what
#: /proc/net/tcp shows in state LISTEN (0A) on the ports that tasks get; proc(5). Ends with its
#: standard input.
WATCH = """
import json, select, sys, time
known = None
while not select.select([sys.stdin], [], [], 0.02)[0]:
    at = time.time()
    rows = [line.split() for line in open("/proc/net/tcp")][1:]
    ports = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}
    count = sum(31000 <= port <= 32000 for port in ports)
    if count != known:
        known = count
        print(json.dumps([at, count]), flush=True)
"""

Samples = list[tuple[float, tuple[int, ...]]]


@contextmanager
def sampled(lab: Lab) -> Iterator[Samples]:
    """While the block lasts, watch every host; afterwards the list holds, for each instant at which
    something changed anywhere, how many serve on each host."""
    samples: Samples = []
    seen: list[list[tuple[float, int]]] = [[] for _ in lab.hosts]
    argv = [sys.executable, "-c", WATCH]
    watches = [
        subprocess.Popen(
            lab.command(host.name, argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for host in lab.hosts
    ]
    readers = [
        Thread(target=_read, args=(watch, rows)) for watch, rows in zip(watches, seen, strict=True)
    ]
    for reader in readers:
        reader.start()
    try:
        yield samples
    finally:
        for watch in watches:
            assert watch.stdin is not None
            watch.stdin.close()
        for reader in readers:
            reader.join()
        samples += merged(seen)


def _read(watch: subprocess.Popen[str], rows: list[tuple[float, int]]) -> None:
    assert watch.stdout is not None
    with watch:
        rows += [tuple(json.loads(line)) for line in watch.stdout]


def merged(seen: list[list[tuple[float, int]]]) -> Samples:
    """The hosts' samples as one story, from when every host has been heard."""
    now: list[int | None] = [None] * len(seen)
    rows = sorted((at, host, count) for host, row in enumerate(seen) for at, count in row)
    found: Samples = []
    for at, host, count in rows:
        now[host] = count
        known = [one for one in now if one is not None]
        if len(known) == len(now):
            found.append((at, tuple(known)))
    return found


def fewest(samples: Samples) -> int:
    """The fewest that ever served at once."""
    return min(sum(row) for _, row in samples)
