"""How long it takes to read a unit file and to translate it: pure, in this process.

The files are those of systemd's own package on this machine, as long as they translate.
``python -m bench.translate`` prints the figures.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench.results import Figure, against
from fleetish.errors import Refused
from fleetish.units.file import parse
from fleetish.units.name import instantiate, parse_name
from fleetish.units.properties import translate
from fleetish.units.specifiers import Context

UNITS = Path("/usr/lib/systemd/system")
ROUNDS = 20
#: Microseconds that the median file may take.
AIM = 200.0


def readable() -> Iterator[tuple[str, str]]:
    """Name and text of each unit that translates, templates as an instance."""
    for path in sorted(UNITS.glob("*.service")):
        if path.is_symlink():
            continue
        name = instantiate(path.name, "1") if parse_name(path.name).is_template else path.name
        text = path.read_text()
        try:
            translate(parse(text), name, Context())
        except Refused:
            continue
        yield name, text


def once(name: str, text: str) -> float:
    """Microseconds, the median of several rounds."""
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        translate(parse(text), name, Context())
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds) * 1e6


def figures() -> list[Figure]:
    """The median file, and the slowest."""
    taken = sorted(once(name, text) for name, text in readable())
    what = f"read and translate one of {len(taken)} unit files of systemd"
    median = Figure(f"{what}, median", statistics.median(taken), "µs", aim=f"≤ {AIM:.0f} µs")
    return [against(median, AIM), Figure(f"{what}, slowest", taken[-1], "µs")]


def main() -> None:
    """Print the figures."""
    for figure in figures():
        print(f"{figure.what}: {figure.value:.0f} {figure.unit}")


if __name__ == "__main__":
    main()
