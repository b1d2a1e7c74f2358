"""What it costs to read Marathon's API of a large cluster: a thousand apps, ten thousand tasks.

The server is a process of its own (:mod:`bench.marathon_face`); a request is timed from its first
byte sent to the last byte read. Before each request some tasks change, so that the answer is not
the one before. ``python -m bench.marathon_reads`` prints the figures.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from bench.marathon_face import APPS, TASKS
from bench.results import Figure, against

ROUNDS, SAME = 100, 300
#: Tasks that change between two requests.
CHANGES = 20
AIM_MS, AIM_SAME_MS = 300.0, 5.0
PATHS = (
    "/v2/apps?embed=apps.tasks",
    "/v2/groups?embed=group.groups&embed=group.apps&embed=group.apps.tasks",
)


class Server:
    """The API, and the cluster behind it."""

    def __init__(self, port: int, asked: IO[str], told: IO[str]) -> None:
        self._asked = asked
        self._told = told
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def change(self, count: int) -> None:
        """Let so many tasks change."""
        self._asked.write(f"{count}\n")
        self._asked.flush()
        self._told.readline()

    def get(self, path: str, etag: str = "") -> tuple[int, str, int, float]:
        """Status, ETag, bytes and milliseconds of an answer."""
        begin = time.perf_counter()
        self._connection.request("GET", path, headers={"If-None-Match": etag} if etag else {})
        response = self._connection.getresponse()
        size = len(response.read())
        took = (time.perf_counter() - begin) * 1000
        return response.status, response.headers.get("ETag", ""), size, took


@contextmanager
def serving() -> Iterator[Server]:
    """A server while the block lasts."""
    argv = [sys.executable, "-m", "bench.marathon_face"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        yield Server(int(child.stdout.readline()), child.stdin, child.stdout)


def measure(say: Callable[[str], None]) -> list[Figure]:
    """The first answer, later ones while tasks change, and those that nothing has changed for."""
    with serving() as server:
        found = []
        for path in PATHS:
            found += read(server, path)
            say(f"{path} measured")
        return found


def read(server: Server, path: str) -> list[Figure]:
    """The figures of one path."""
    cluster = f"{APPS:,} apps, {APPS * TASKS:,} tasks"
    status, _, size, first = server.get(path)
    if status != 200 or size < APPS * TASKS * 100:
        raise ValueError(f"{path} answers {status} with {size} bytes")
    taken = []
    for _ in range(ROUNDS):
        server.change(CHANGES)
        taken.append(server.get(path)[3])
    _, etag, _, _ = server.get(path)
    same = [server.get(path, etag) for _ in range(SAME)]
    if {one[0] for one in same} != {304}:
        raise ValueError(f"{path} is not known again by its ETag")
    where = f"GET {path}, {cluster}"
    rows = (
        (f"{where}, {CHANGES} tasks change before each, p99", quantile(taken), AIM_MS),
        (f"{where}, If-None-Match, p99", quantile([one[3] for one in same]), AIM_SAME_MS),
    )
    figures = [Figure(f"{where}, the first answer ({size / 1e6:.1f} MB)", first, "ms")]
    return figures + [
        against(Figure(what, value, "ms", aim=f"≤ {aim:g} ms"), aim) for what, value, aim in rows
    ]


def quantile(taken: list[float], part: float = 0.99) -> float:
    """The value that a part of them does not exceed."""
    return sorted(taken)[int(part * (len(taken) - 1))]


if __name__ == "__main__":
    for figure in measure(lambda line: print(line, file=sys.stderr)):
        print(f"{figure.what}: {figure.value:.1f} {figure.unit} ({figure.aim}, met: {figure.met})")
