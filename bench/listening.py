"""How many instances serve, seen by the hosts' own kernels: sockets that listen on task ports.

The hosts are looked at one after another, and meanwhile an instance may begin to serve on one that
was looked at and another be stopped on one that was not: one too few would be counted. From the
first good answer of an instance to the stop of another takes a write to etcd, a decision, another
write and a signal, so a look at all hosts that took less time than these cannot be wrong. Longer
ones, for which the looking process had to wait for a core, are not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from fleetish.lab import guest
from fleetish.lab.cluster import Lab

WATCH = Path(__file__).parent / "listeners.py"


class Looks(NamedTuple):
    """What was seen: of each look, how many served on each host."""

    rows: list[tuple[int, ...]]

    @property
    def fewest(self) -> int:
        """The fewest that served at once."""
        return min(map(sum, self.rows))

    @property
    def most(self) -> int:
        """The most that served at once."""
        return max(map(sum, self.rows))


@contextmanager
def looking(lab: Lab) -> Iterator[Looks]:
    """Look at every host again and again, as long as the block lasts."""
    leaders = [guest.leader(lab.places.part(host.name)) for host in lab.hosts]
    argv = [sys.executable, str(WATCH), *(str(one.pid) for one in leaders if one)]
    looks = Looks([])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdin is not None
        assert watch.stdout is not None
        lines = watch.stdout
        reader = Thread(target=lambda: looks.rows.extend(tuple(json.loads(row)) for row in lines))
        reader.start()
        try:
            yield looks
        finally:
            watch.stdin.close()
            reader.join()
