"""The whole comparison: fetched files, through a lab host, to what was found."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fleetish.lab.cluster import Lab
from tests.corpus.cases import Case, cases
from tests.corpus.count import Count, count, startable
from tests.corpus.differences import Pairs, complaints, differences, placed_differences
from tests.corpus.fetch import Report, default_cache, fetch

ROOT = Path(__file__).parent.parent.parent
CLUSTER = "m"  # on_host.py labels its units with it

Files = list[tuple[str, str, str]]


class Found(NamedTuple):
    """What the host made of the files, by ``package/file``.

    ``refused``: what was not started, and why. ``kept_out``: what an agent would not place.
    ``different``, ``placed_different``: properties that were not the same. ``complaints``: what
    systemd said of files that were started all the same.
    """

    sums: Count
    refused: dict[str, str]
    kept_out: dict[str, str]
    different: dict[str, Pairs]
    placed_different: dict[str, Pairs]
    complaints: dict[str, list[str]]


def files_of(names: Sequence[str], report: Report) -> Files:
    """(package, file, text) of all unit files of the packages. Raises CannotFetch."""
    fetched = fetch(names, default_cache(), report)
    return [(package, *row) for package, rows in fetched.items() for row in sorted(rows.items())]


def ask(host: Lab, given: Sequence[Case], *, place: bool) -> list[dict[str, Any]]:
    """The answer of on_host.py, run inside the host; ``place``: as an agent starts them too."""
    python = str(Path(sys.prefix) / "bin/python")
    argv = ["env", f"PYTHONPATH={ROOT}", python, "-B", "-m", "tests.corpus.on_host"]
    done = host.exec("node1", argv, stdin=json.dumps([given, place]), check=True)
    answer: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answer


def compare(host: Lab, files: Files) -> Found:
    """Every file read by the host's systemd and started on it."""
    chosen = [one for one in files if startable(one[1])]
    given = cases([(name, text) for _, name, text in chosen])
    keys = [f"{package}/{name}" for package, name, _ in chosen]
    rows = dict(zip(keys, ask(host, given, place=True), strict=True))
    units = {key: one.unit for key, one in zip(keys, given, strict=True)}
    different = {
        key: differences(row["native"], row["started"])
        for key, row in rows.items()
        if "started" in row
    }
    placed = {
        key: placed_differences(row["native"], row["placed"], units[key], CLUSTER)
        for key, row in rows.items()
        if "placed" in row
    }
    return Found(
        sums=count(files),
        refused={key: row["refused"] for key, row in rows.items() if "refused" in row},
        kept_out={key: row["kept_out"] for key, row in rows.items() if "kept_out" in row},
        different={key: pairs for key, pairs in different.items() if pairs},
        placed_different={key: pairs for key, pairs in placed.items() if pairs},
        complaints={
            key: said
            for key, row in rows.items()
            if "started" in row and (said := complaints(row["warnings"]))
        },
    )


def versions(host: Lab) -> tuple[str, str]:
    """The systemd and the Debian of a host."""
    systemd = host.exec("node1", ["systemctl", "--version"], check=True).stdout
    debian = host.exec("node1", ["cat", "/etc/debian_version"], check=True).stdout
    return systemd.split("\n")[0].strip(), debian.strip()
