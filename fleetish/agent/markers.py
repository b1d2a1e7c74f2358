"""A file for each unit that was started since the machine booted, in ``/run/fleetish/units``.

/run dies with the boot. So when the agent comes back and a unit is not there, its marker says
that it ran and has finished; without one (after a reboot) the unit is started. A marker is written
before the start, as not started, and again when systemd took the unit: a crash between the two
starts the unit again. Units of types that carry no labels are known as ours by their marker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from fleetish.agent.base import Marker


class Markers(Mapping[str, Marker]):
    """The markers in a directory, read once and kept in step with it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._held = dict(self._read())

    def __getitem__(self, name: str) -> Marker:
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def put(self, name: str, marker: Marker) -> None:
        """Write a unit's marker, whole or not at all."""
        # One writer, so one name for the fresh file will do; a unit's own name plus a suffix could
        # be longer than a file name may be.
        fresh = self._directory / ".fresh"
        fresh.write_bytes(msgspec.json.encode(marker))
        os.replace(fresh, self._directory / name)
        self._held[name] = marker

    def cut_off(self, name: str) -> None:
        """Note that a run was stopped, not finished: should the unit come back, it is started."""
        held = self._held.get(name)
        if held is not None:
            self.put(name, Marker(held.hash, held.launch, started=False))

    def drop(self, name: str) -> None:
        """Remove a unit's marker; nothing happens when there is none."""
        (self._directory / name).unlink(missing_ok=True)
        self._held.pop(name, None)

    def _read(self) -> Iterator[tuple[str, Marker]]:
        for path in self._directory.iterdir():
            if path.name.startswith("."):
                continue
            try:
                yield path.name, msgspec.json.decode(path.read_bytes(), type=Marker)
            except (msgspec.DecodeError, OSError):
                path.unlink(missing_ok=True)  # half a file says nothing; systemd is asked anyway
