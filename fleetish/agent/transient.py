"""The files that systemd keeps of its transient units, below ``/run/systemd/transient``."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from fleetish.errors import SystemdError

log = logging.getLogger(__name__)


class TransientFiles:
    """The directory of one systemd manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self) -> set[str]:
        """The units that have a file; empty while there is no directory."""
        try:
            return {path.name for path in self._directory.iterdir()}
        except FileNotFoundError:
            return set()

    def drop(self, name: str) -> None:
        """Remove a unit's file; nothing happens when there is none."""
        (self._directory / name).unlink(missing_ok=True)

    def put(self, name: str, text: str) -> None:
        """Write a unit's file, whole or not at all. Raises SystemdError."""
        fresh = self._directory / ".fleetish"
        try:
            fresh.write_text(text)
            fresh.replace(self._directory / name)
        except OSError as error:
            raise SystemdError(f"cannot define {name}: {error.strerror}") from error

    def keep(self, name: str, text: str) -> None:
        """Put a text in the place of a unit's file, for the next daemon-reload to read.

        With the old file's time, so that systemd does not call the unit changed on disk. Nothing
        happens when the unit has ended and its file is gone.
        """
        path, fresh = self._directory / name, self._directory / ".fleetish"
        try:
            was = path.stat().st_mtime_ns
            fresh.write_text(text)
            os.utime(fresh, ns=(was, was))
            fresh.replace(path)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("cannot keep the text of %s for a daemon-reload: %s", name, error)
