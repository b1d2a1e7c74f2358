"""The directories of this machine's units (:mod:`fleetish.agent.sandbox`), and their end.

A directory that is to go is first renamed, which takes no time, so that a unit of the same name may
come back at once; then rm(1) removes it, however deep and strange its content is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from fleetish.agent.sandbox import BELOW, CACHES, KINDS, NOTES, REPORT
from fleetish.units.specifiers import Context

log = logging.getLogger(__name__)

#: Bytes of a report that are read.
_MOST = 2000
_GONE = ".gone-"


class Sandboxes:
    """Those of one cluster, below the directories for state and caches that ``context`` names."""

    def __init__(self, context: Context, cluster: str) -> None:
        state = Path(context.state_dir)
        # With DynamicUser= systemd keeps the directory in private/ and puts a link in its place.
        self._folders = [top / kind for kind in KINDS for top in (state, state / "private")]
        self._reports = state / BELOW
        self._caches = Path(context.cache_dir) / CACHES
        self._notes = state / NOTES / cluster
        self._noted = {note.name for note in _entries(self._notes)}

    def note(self, unit: str) -> None:
        """Remember that a unit has directories, or will have; before it is started."""
        if unit in self._noted:
            return
        try:
            self._notes.mkdir(parents=True, exist_ok=True)
            (self._notes / unit).touch()
        except OSError as error:
            log.warning("cannot note the sandbox of %s: %s", unit, error.strerror)
        self._open_caches()
        self._noted.add(unit)

    def _open_caches(self) -> None:
        """Make the directory in which every user may make a cache, as in /var/tmp."""
        try:
            self._caches.mkdir(parents=True, exist_ok=True)
            self._caches.chmod(0o1777)
        except OSError as error:
            log.warning("units fetch without a cache: %s", error)

    def why_failed(self, unit: str) -> str:
        """What ``fleetish fetch`` left word of in a unit's sandbox, as one line; "" for nothing.

        The file is the unit's user's: it may be anything, and is only quoted.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with open(os.open(self._reports / unit / REPORT, flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return ""
                text = file.read(_MOST).decode(errors="replace")
        except OSError:
            return ""
        return "".join(char if char.isprintable() else " " for char in text).strip()

    async def drop(self, unit: str) -> None:
        """Remove the directories of a unit; nothing happens when there are none."""
        if unit in self._noted:
            self._rename(unit)
            await self.clear()

    def set_aside(self, kept: Collection[str]) -> None:
        """Take from their place the directories of all units but these."""
        for unit in self._noted - set(kept):
            self._rename(unit)

    async def clear(self) -> None:
        """Remove all that was taken from its place."""
        gone = [one for folder in self._folders for one in folder.glob(f"{_GONE}*")]
        if not gone:
            return
        command = ("rm", "-rf", "--one-file-system", "--", *map(str, gone))
        try:
            process = await asyncio.create_subprocess_exec(*command)
        except OSError as error:
            log.warning("cannot run rm: %s", error.strerror)
            return
        if await process.wait():
            log.warning("cannot remove all of %s", ", ".join(map(str, gone)))

    def _rename(self, unit: str) -> None:
        try:
            for folder in self._folders:
                with suppress(FileNotFoundError):
                    (folder / unit).rename(folder / f"{_GONE}{os.urandom(8).hex()}")
            (self._notes / unit).unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot remove the sandbox of %s: %s", unit, error.strerror)
        self._noted.discard(unit)


def _entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing where there is none."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []
