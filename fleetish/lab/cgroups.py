"""Control groups of a lab: one per part, below ``fleetish-lab/NAME`` in every hierarchy.

On cgroup v1 (and hybrid) each controller has a tree of its own, and the freezer's tree also tells
which processes belong to a part: nothing inside a host moves a process there. On cgroup v2 there is
one tree; below a running systemd it must be delegated (systemd's CGROUP_DELEGATION document).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from fleetish.errors import LabError
from fleetish.lab.processes import end, run

# cpuset is left out: a new group has no CPUs and no memory nodes until somebody writes them.
V1_USED = ("systemd", "cpu", "cpuacct", "memory", "pids", "blkio", "freezer", "devices")
V1_WRITABLE = ("cpu", "cpuacct", "memory", "pids", "blkio", "devices")
V2_USED = ("cpu", "io", "memory", "pids")
_FREEZE_S = 10.0
_EMPTY_S = 5.0


class Mount(NamedTuple):
    """A mounted hierarchy: where, and the controllers it has (empty for cgroup v2)."""

    path: Path
    controllers: tuple[str, ...]


class Groups(Protocol):
    """What a lab asks of either version of control groups."""

    def make(self, part: str) -> tuple[Path, ...]:
        """Make a part's groups; returns the cgroup.procs files to enter them by."""

    def processes(self, part: str) -> tuple[int, ...]:
        """Every process of a part."""

    def freeze(self, part: str) -> None:
        """Stop every process of a part where it is; returns when all are stopped."""

    def thaw(self, part: str) -> None:
        """Let them go on."""

    def frozen(self, part: str) -> bool:
        """Whether the part is frozen."""

    def kill(self, part: str) -> None:
        """SIGKILL every process of a part, frozen or not; returns when all are gone."""

    def parts(self) -> tuple[str, ...]:
        """The parts that have groups."""

    def remove(self) -> None:
        """Remove all groups of the lab; they must be empty."""


def hierarchies(mounts: str) -> tuple[Mount, ...]:
    """The cgroup mounts named in the text of /proc/mounts."""
    found = []
    for line in mounts.splitlines():
        _, path, kind, options, *_ = line.split()
        if kind == "cgroup":
            names = (o.removeprefix("name=") for o in options.split(","))
            found.append(Mount(Path(path), tuple(n for n in names if n in (*V1_USED, "cpuset"))))
        elif kind == "cgroup2":
            found.append(Mount(Path(path), ()))
    return tuple(found)


def groups(lab: str) -> Groups:
    """The control groups of a lab, in the version that this machine has."""
    mounts = hierarchies(Path("/proc/mounts").read_text())
    if any(m.controllers for m in mounts):
        used = tuple(m.path for m in mounts if not m.controllers or {*m.controllers} & {*V1_USED})
        freezer = next((m.path for m in mounts if "freezer" in m.controllers), None)
        if freezer is None:
            raise LabError("cannot use cgroup v1 without its freezer", hint="mount it, or use v2")
        return V1(lab, used, freezer)
    if not mounts:
        raise LabError("cannot find control groups", hint="mount cgroup2 on /sys/fs/cgroup")
    return V2(lab, mounts[0].path)


class V1:
    """cgroup v1, also beside v2 (hybrid)."""

    def __init__(self, lab: str, mounts: Sequence[Path], freezer: Path) -> None:
        self._roots = tuple(mount / "fleetish-lab" / lab for mount in mounts)
        self._freezer = freezer / "fleetish-lab" / lab

    def make(self, part: str) -> tuple[Path, ...]:
        for root in self._roots:
            (root / part).mkdir(parents=True, exist_ok=True)
        return tuple(root / part / "cgroup.procs" for root in self._roots)

    def processes(self, part: str) -> tuple[int, ...]:
        return read_processes(self._freezer / part)

    def freeze(self, part: str) -> None:
        self._set(part, "FROZEN")

    def thaw(self, part: str) -> None:
        self._set(part, "THAWED")

    def frozen(self, part: str) -> bool:
        return self._state(part) == "FROZEN"

    def kill(self, part: str) -> None:
        while pids := self.processes(part):
            if self._state(part) != "THAWED":
                self._kill_frozen(part, pids)
            end(pids)
        if self._state(part) != "THAWED":
            self.thaw(part)  # else whoever enters it next is frozen

    def parts(self) -> tuple[str, ...]:
        return tuple(sorted({d.name for root in self._roots for d in directories(root)}))

    def remove(self) -> None:
        for root in self._roots:
            remove_tree(root)

    def _kill_frozen(self, part: str, pids: Sequence[int]) -> None:
        # A frozen process dies only once thawed, but it must not run on before: signal first.
        for pid in pids:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.thaw(part)

    def _state(self, part: str) -> str:
        try:
            return (self._freezer / part / "freezer.state").read_text().strip()
        except FileNotFoundError:
            return "THAWED"

    def _set(self, part: str, state: str) -> None:
        file = self._freezer / part / "freezer.state"
        deadline = time.monotonic() + _FREEZE_S
        while self._state(part) != state:
            file.write_text(state)  # FREEZING is repeated: the kernel tries anew at each write
            if time.monotonic() > deadline:
                raise LabError(f"cannot make {part} {state.lower()} in {_FREEZE_S:.0f} s")
            time.sleep(0.002)


class V2:
    """cgroup v2 alone."""

    def __init__(self, lab: str, mount: Path) -> None:
        self._lab = lab
        self._mount = mount
        self._keeper = f"fleetish-lab-{lab}.service"

    def make(self, part: str) -> tuple[Path, ...]:
        root = self._root(make=True)
        (root / part).mkdir(parents=True, exist_ok=True)
        return (root / part / "cgroup.procs",)

    def processes(self, part: str) -> tuple[int, ...]:
        return read_processes(self._root() / part)

    def freeze(self, part: str) -> None:
        self._set_frozen(part, "1")

    def thaw(self, part: str) -> None:
        self._set_frozen(part, "0")

    def frozen(self, part: str) -> bool:
        events = self._root() / part / "cgroup.events"
        return events.exists() and "frozen 1" in events.read_text().splitlines()

    def kill(self, part: str) -> None:
        group = self._root() / part
        while pids := self.processes(part):
            (group / "cgroup.kill").write_text("1")  # takes frozen processes too (Linux 5.14)
            end(pids)
        if group.exists():
            (group / "cgroup.freeze").write_text("0")  # else whoever enters it next is frozen

    def parts(self) -> tuple[str, ...]:
        return tuple(sorted(d.name for d in directories(self._root()) if d.name != "keeper"))

    def remove(self) -> None:
        root = self._root()
        if _below_systemd() and root.exists():
            run(["systemctl", "kill", "--signal=KILL", "--quiet", self._keeper])
        remove_tree(root)

    def _root(self, *, make: bool = False) -> Path:
        if _below_systemd():
            return self._delegated(make=make)
        root = self._mount / "fleetish-lab" / self._lab
        if make and not root.exists():
            root.mkdir(parents=True)
            for group in (self._mount, root.parent, root):
                enable(group)
        return root

    def _delegated(self, *, make: bool) -> Path:
        """The group of a transient service, with systemd's leave to make groups below it."""
        group = self._mount / "system.slice" / self._keeper
        if make and not group.exists():
            unit = [f"--unit={self._keeper}", "--property=Delegate=yes", "--collect", "--quiet"]
            run(["systemd-run", *unit, "--slice=system.slice", "sleep", "infinity"])
            (group / "keeper").mkdir()
            for pid in read_processes(group):
                (group / "keeper" / "cgroup.procs").write_text(str(pid))
            enable(group)
        return group

    def _set_frozen(self, part: str, value: str) -> None:
        (self._root() / part / "cgroup.freeze").write_text(value)
        deadline = time.monotonic() + _FREEZE_S
        while self.frozen(part) != (value == "1"):
            if time.monotonic() > deadline:
                raise LabError(f"cannot freeze or thaw {part} in {_FREEZE_S:.0f} s")
            time.sleep(0.002)


def enable(group: Path) -> None:
    """Let the children of a v2 group have the controllers that limits need (cgroups(7))."""
    have = (group / "cgroup.controllers").read_text().split()
    try:
        (group / "cgroup.subtree_control").write_text(
            " ".join(f"+{c}" for c in V2_USED if c in have)
        )
    except OSError as error:
        raise LabError(
            f"cannot hand the controllers of {group} to its children: {error.strerror}",
            hint="run where processes are not in the root of their cgroup namespace",
        ) from error


def read_processes(group: Path) -> tuple[int, ...]:
    """The processes of a group and of all below it."""
    pids: list[int] = []
    for directory in (group, *walk(group)):
        try:
            pids += map(int, (directory / "cgroup.procs").read_text().split())
        except (FileNotFoundError, OSError):
            continue  # went away meanwhile
    return tuple(p for p in pids if p)


def walk(group: Path) -> Iterator[Path]:
    """All groups below a group, parents first."""
    for child in directories(group):
        yield child
        yield from walk(child)


def directories(group: Path) -> tuple[Path, ...]:
    """The groups directly below a group."""
    try:
        return tuple(Path(e.path) for e in os.scandir(group) if e.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return ()


def remove_tree(group: Path) -> None:
    """Remove a group and all below it, and ``fleetish-lab`` itself when it was the last lab."""
    for directory in (*reversed([*walk(group)]), group):
        _remove(directory)
    if group.parent.name == "fleetish-lab":
        with contextlib.suppress(OSError):  # another lab is there
            group.parent.rmdir()


def _remove(directory: Path) -> None:
    # A process is seen to have ended a moment before its group counts as empty.
    deadline = time.monotonic() + _EMPTY_S
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise LabError(f"cannot remove cgroup {directory}: {error.strerror}") from error
            time.sleep(0.005)
        else:
            return


def _below_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()  # sd_booted(3)
