"""What a lab leaves on this machine, found without asking the lab."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from fleetish.lab.layout import BASE


class Traces(NamedTuple):
    """Everything on this machine that belongs to a lab."""

    mounts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()


NONE = Traces()


def traces(lab: str, namespaces: frozenset[int] = frozenset()) -> Traces:
    """What is there of a lab; processes are also known by the network namespaces that it had."""
    below = f"{BASE}/{lab}"
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return Traces(
        mounts=tuple(m for m in mounts if m == below or m.startswith(f"{below}/")),
        groups=tuple(str(path) for path in Path("/sys/fs/cgroup").glob(f"*/fleetish-lab/{lab}")),
        files=tuple(str(path) for path in BASE.glob(f"{lab}*") if path.stem == lab)
        + tuple(str(p) for p in Path("/run/systemd/nspawn/propagate").glob(f"fleetish-{lab}-n*")),
        processes=tuple(sorted(_processes(lab, namespaces))),
    )


def namespaces(lab: str) -> frozenset[int]:
    """The inodes of the network namespaces that a lab has."""
    return frozenset(
        file.stat().st_ino for file in Path(f"{BASE}/{lab}/net").glob("*") if file.suffix == ""
    )


def _processes(lab: str, namespaces: frozenset[int]) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        if entry.name == str(os.getpid()):
            continue
        try:
            groups = (entry / "cgroup").read_text()
            network = (entry / "ns" / "net").stat().st_ino
        except OSError:
            continue  # ended meanwhile
        if f"/fleetish-lab/{lab}/" in groups or network in namespaces:
            found.append(f"{entry.name} {(entry / 'comm').read_text().strip()}")
    return found
