"""Memory and CPU that units use now, read from their cgroups: no question to PID 1.

systemd puts a unit in ``SLICE/UNIT`` of each hierarchy it uses (systemd.resource-control(5)). With
cgroup v2 there is one hierarchy. In the hybrid layout memory has one of its own, while CPU time is
kept, controller or not, in the v2 hierarchy beside it (Linux 4.15); plain v1 has cpuacct.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fleetish.agent.base import Figures

ROOT = Path("/sys/fs/cgroup")


class CgroupFigures:
    """Reads figures of units; ``root`` is where cgroups are mounted, ``base`` the manager's own."""

    def __init__(self, root: Path = ROOT, base: str = "") -> None:
        unified = (root / "cgroup.controllers").exists()
        hybrid = (root / "unified" / "cgroup.controllers").exists()
        self._base = f"/{base.strip('/')}" if base else ""
        self._memory = str(root) if unified else f"{root}/memory"
        self._memory_file = "memory.current" if unified else "memory.usage_in_bytes"
        self._cpu = str(root) if unified else f"{root}/{'unified' if hybrid else 'cpu,cpuacct'}"
        self._modern = unified or hybrid

    def read(self, unit: str, slice_name: str) -> Figures:
        """A unit's figures; zeros when it is not running or not accounted."""
        below = f"{self._base}/{slice_path(slice_name)}/{unit}"
        memory = _number(f"{self._memory}{below}/{self._memory_file}")
        if self._modern:
            cpu = _number(f"{self._cpu}{below}/cpu.stat") / 1e6
        else:
            cpu = _number(f"{self._cpu}{below}/cpuacct.usage") / 1e9
        return Figures(memory, cpu)


@lru_cache(maxsize=4096)
def slice_path(name: str) -> str:
    """``a-b.slice`` lies in ``a.slice`` (systemd.slice(5))."""
    words = name.removesuffix(".slice").split("-")
    return "/".join(f"{'-'.join(words[: at + 1])}.slice" for at in range(len(words)))


def _number(path: str) -> int:
    """A file that holds one number, or ``usage_usec`` and a number first; 0 when there is none."""
    try:
        with open(path, "rb") as file:
            words = file.read(64).split(None, 2)
        return int(words[1] if words[0] == b"usage_usec" else words[0])
    except (OSError, ValueError, IndexError):
        return 0
