"""`python -m tests.corpus.fuzz SECONDS [NUMBER]`: spoilt lines against systemd's own verdict.

Rounds of files, each with a line of the samples changed at a few places, go through systemd and
through fleetish on one host of the lab. What fleetish takes, systemd must take without a word and
show as the same. The first file of each kind of fault is printed; round NUMBER (0 by default) is
the first, and is the same each time.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

from fleetish.lab.cluster import Lab
from tests.corpus.cases import cases
from tests.corpus.generated import Kinded, examples, spoilt_files
from tests.corpus.run import ask
from tests.corpus.verdict import faults

#: Files in a round.
ROUND = 300


class Fault(NamedTuple):
    """A file of which fleetish and systemd do not think alike: its type, text, and the faults."""

    kind: str
    text: str
    problems: tuple[str, ...]

    @property
    def sort(self) -> str:
        """The same for faults of one origin: the directive and the problem's first words."""
        last = self.text.rstrip().rpartition("\n")[2].partition("=")[0]
        words = re.sub(r"\S*case\d+\S*:(\d+:)?|'.*", "", self.problems[0]).split()
        return " ".join((last, *words[:5]))


def attempt(host: Lab, files: list[Kinded]) -> tuple[int, list[Fault]]:
    """How many of the files fleetish takes, and the faults among them."""
    given = cases([(f"fuzz.{kind}", text) for kind, text in files])
    rows = ask(host, given, place=False)
    found = [
        Fault(kind, text, tuple(problems))
        for (kind, text), row in zip(files, rows, strict=True)
        if (problems := faults(row))
    ]
    return sum("started" in row for row in rows), found


def rounds(host: Lab, number: int, until: float) -> Iterable[tuple[int, int, list[Fault]]]:
    """The number of each round, the files taken in it, and its faults, until a monotonic time."""
    while time.monotonic() < until:
        yield number, *attempt(host, examples(spoilt_files(), ROUND, number))
        number += 1


def main(argv: list[str]) -> int:
    """Fuzz for so many seconds; 1 when there was a fault."""
    if not argv or not all(word.isdecimal() for word in argv[:2]):
        print(__doc__, file=sys.stderr)
        return 2
    until = time.monotonic() + int(argv[0])
    seen: set[str] = set()
    with Lab(f"tf{os.getpid()}", machines=1, bare=True) as host:
        for number, taken, found in rounds(host, int(argv[1]) if argv[1:] else 0, until):
            print(f"round {number}: {ROUND} files, {taken} taken, {len(found)} faults", flush=True)
            for one in found:
                if one.sort not in seen:
                    seen.add(one.sort)
                    print(f"--- a {one.kind}:\n{one.text}" + "\n".join(one.problems), flush=True)
    print(f"{len(seen)} kinds of fault")
    return bool(seen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
