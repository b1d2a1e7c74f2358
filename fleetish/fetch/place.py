"""What was fetched, put into the sandbox: whole, by renaming, in the place of what was there."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from fleetish.errors import FetchFailed


def put(source: Path, sandbox: Path, parts: tuple[str, ...]) -> None:
    """Move a file to ``parts`` below the sandbox. Raises FetchFailed where that leads astray."""
    _replace(source, make(sandbox, parts[:-1]) / parts[-1])


def merge(source: Path, target: Path) -> None:
    """Move all that is in a directory to another. Directories that both have are merged."""
    for entry in sorted(os.scandir(source), key=lambda one: one.name):
        there = target / entry.name
        if entry.is_dir(follow_symlinks=False) and is_directory(there):
            merge(Path(entry), there)
        else:
            _replace(Path(entry), there)


def make(top: Path, parts: tuple[str, ...]) -> Path:
    """The directory ``parts`` below ``top``, made if need be, never through a symlink.

    Raises FetchFailed when something else is in the way.
    """
    for part in parts:
        top = top / part
        if not is_directory(top):
            try:
                top.mkdir()
            except FileExistsError:
                raise FetchFailed(f"{top.name} in its sandbox is no directory") from None
    return top


def is_directory(path: Path) -> bool:
    """True for a real directory, false for a link to one and for nothing at all."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _replace(source: Path, target: Path) -> None:
    """Rename; what cannot be replaced by a rename is removed before."""
    if is_directory(target):
        shutil.rmtree(target)
    elif is_directory(source):
        target.unlink(missing_ok=True)
    source.replace(target)
