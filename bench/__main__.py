"""`make bench`: measure, print, and write bench/RESULTS.md."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from bench import cluster, events, fleet_api, marathon, marathon_reads, plan, translate
from bench.results import render

ROOT = Path(__file__).parent.parent


def say(line: str) -> None:
    """Progress, on stderr so that the page alone is on stdout."""
    print(line, file=sys.stderr, flush=True)


def commit() -> str:
    """The commit measured, with a mark when the tree differs from it."""
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True).stdout.strip() or "none"


def main() -> None:
    """Run every benchmark."""
    figures = [
        *cluster.measure(say),
        *fleet_api.measure(say),
        *marathon.measure(say),
        *marathon_reads.measure(say),
        *events.measure(say),
        *plan.figures(),
        *translate.figures(),
    ]
    machine = f"{len(Path('/proc/cpuinfo').read_text().split('processor')) - 1} cores, "
    machine += f"Linux {platform.release()}, Python {platform.python_version()}"
    page = render(figures, commit=commit(), machine=machine, command="make bench")
    (ROOT / "bench" / "RESULTS.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
