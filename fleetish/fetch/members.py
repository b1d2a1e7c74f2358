"""What an archive may hold, and where each member of it goes; pure.

    files         into directories of the archive's own, never through a link
    hard links    to a file that came before
    symlinks      to where no path of the archive leads out

The whole archive is refused for one member that is something else: an absolute name, ``..``, a
device, a set-user-ID bit. A symlink's target is any number of ``..``, as long as they stay within,
and then plain names. Its own directory is a real one, so each ``..`` leads to the real parent, and
each name after them leads on inside, or by another such link: nothing leads out, however long the
chain. ``a/../..``, where ``a`` may be a link, is refused.
"""

from __future__ import annotations

import stat
from enum import Enum
from typing import NamedTuple

from fleetish.errors import FetchFailed

#: Components of a name, and bytes of a symlink's target, at most.
DEEPEST, LONGEST = 100, 4095

Path = tuple[str, ...]


class Kind(Enum):
    """What a member is made as."""

    FILE = "file"
    DIRECTORY = "directory"
    HARD_LINK = "hard link"
    SYMLINK = "symlink"


class Member(NamedTuple):
    """One entry of an archive; ``mode`` its permissions, ``target`` what a link names."""

    name: str
    kind: Kind
    mode: int = 0o644
    size: int = 0
    target: str = ""


class Tree:
    """What has been unpacked so far: which path is what."""

    def __init__(self) -> None:
        self._kinds: dict[Path, Kind] = {}

    def add(self, member: Member) -> tuple[Path, tuple[Path, ...]]:
        """Where a member goes, and which directories are to be made before.

        Raises FetchFailed when it may not be unpacked. () for the archive's own top.
        """
        where = place(member.name)
        if not where:
            if member.kind is not Kind.DIRECTORY:
                raise _refused(member.name, "has no name")
            return (), ()
        if member.kind is Kind.FILE and member.mode & (stat.S_ISUID | stat.S_ISGID):
            raise _refused(member.name, "has a set-user-ID or set-group-ID bit")
        if member.kind is Kind.SYMLINK:
            check_link(member.name, where, member.target)
        if member.kind is Kind.HARD_LINK and self._kinds.get(place(member.target)) is not Kind.FILE:
            raise _refused(member.name, "is a link to what is no file before it")
        fresh = self._parents(member.name, where)
        self._take(member, where)
        return where, fresh

    def _parents(self, name: str, where: Path) -> tuple[Path, ...]:
        fresh = []
        for end in range(1, len(where)):
            above = where[:end]
            kind = self._kinds.setdefault(above, Kind.DIRECTORY)
            if kind is not Kind.DIRECTORY:
                raise _refused(name, f"leads through a {kind.value}")
            fresh.append(above)
        return tuple(fresh)

    def _take(self, member: Member, where: Path) -> None:
        kind = Kind.FILE if member.kind is Kind.HARD_LINK else member.kind
        before = self._kinds.setdefault(where, kind)
        if Kind.DIRECTORY in (before, kind) and before is not kind:
            raise _refused(member.name, f"is a {before.value} and a {kind.value}")
        self._kinds[where] = kind


def place(name: str) -> Path:
    """The components of a member's name. Raises FetchFailed when it leads out of the archive."""
    if name.startswith("/"):
        raise _refused(name, "has an absolute name")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise _refused(name, "leads out of the archive")
    if "\0" in name or len(parts) > DEEPEST:
        raise _refused(name, "has a name that no file should have")
    return parts


def check_link(name: str, where: Path, target: str) -> None:
    """Refuse a symlink that may lead out. Raises FetchFailed."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    out = target.startswith("/") or ups >= len(where) or ".." in parts[ups:]
    if out or not target or "\0" in target or len(target) > LONGEST:
        raise _refused(name, f"is a link to {target[:200]!r}, which may lead out of the archive")


def permissions(mode: int) -> int:
    """The permissions that a file gets: its owner's, and of others' what is no writing."""
    return (mode & 0o755) | 0o600


def _refused(name: str, why: str) -> FetchFailed:
    return FetchFailed(f"its member {name[:200]!r} {why}")
