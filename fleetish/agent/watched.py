"""The units that are followed on one systemd, by name and by object path, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fleetish.agent import observe
from fleetish.agent.base import ObservedUnit


class Watched:
    """``units`` as last heard of; :meth:`changed` gives the names that something changed of."""

    def __init__(self) -> None:
        self.units: dict[str, ObservedUnit] = {}
        self._paths: dict[str, str] = {}
        self._dirty: set[str] = set()
        self._news = asyncio.Event()

    async def changed(self) -> set[str]:
        """The names whose unit changed since the last call; waits for one."""
        await self._news.wait()
        self._news.clear()
        names, self._dirty = self._dirty, set()
        return names

    def put(self, unit: ObservedUnit) -> None:
        """Follow a unit, or take in how it is now."""
        if self.units.get(unit.name) != unit:
            self.units[unit.name] = unit
            self._paths[observe.bus_path(unit.name)] = unit.name
            self._tell(unit.name)

    def drop(self, name: str) -> None:
        """Follow a unit no longer."""
        if self.units.pop(name, None) is not None:
            self._paths.pop(observe.bus_path(name), None)
            self._tell(name)

    def dead(self, name: str) -> None:
        """systemd does not have the unit any more."""
        unit = self.units[name]
        if unit.loaded:
            self.put(replace(unit, active="inactive", sub="dead", main_pid=0))

    def fold(self, path: str, changed: Mapping[str, Any]) -> ObservedUnit | None:
        """Take in a signal's content; the unit as it is now, None for one that is not followed."""
        name = self._paths.get(path)
        if name is None:
            return None
        before = self.units[name]
        after = observe.fold(before, changed)
        if after is not before:
            self.units[name] = after
            self._tell(name)
        return after

    def follows(self, path: str) -> bool:
        """True when the object path is that of a unit that is followed."""
        return path in self._paths

    def _tell(self, name: str) -> None:
        self._dirty.add(name)
        self._news.set()
