"""Taking a lab away, from whatever state it is in; nothing here needs its record."""

from __future__ import annotations

import shutil
from pathlib import Path

from fleetish.lab.cgroups import Groups
from fleetish.lab.layout import Places
from fleetish.lab.processes import run
from fleetish.lab.record import locked

NSPAWN = Path("/run/systemd/nspawn/propagate")


def remove(places: Places, groups: Groups) -> None:
    """End the lab's processes, then remove its groups, mounts, namespaces and files."""
    if not places.root.exists() and not places.lock.exists() and not groups.parts():
        return
    with locked(places.lock):
        for part in groups.parts():
            groups.kill(part)
        groups.remove()
        for path in reversed(mounts_below(places.root, Path("/proc/mounts").read_text())):
            run(["umount", "--", path])
        if places.root.exists():
            shutil.rmtree(places.root)
        for left in NSPAWN.glob(f"fleetish-{places.name}-node*"):
            if left.name.removeprefix(f"fleetish-{places.name}-node").isdigit():
                shutil.rmtree(left)
        places.lock.unlink()


def mounts_below(root: Path, mounts: str) -> tuple[str, ...]:
    """Mount points at or below ``root`` in the text of /proc/mounts, in the order of mounting."""
    points = (line.split()[1] for line in mounts.splitlines())
    return tuple(p for p in points if p == str(root) or p.startswith(f"{root}/"))
