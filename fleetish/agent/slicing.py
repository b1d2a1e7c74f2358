"""Keeps the slices of this machine as :mod:`fleetish.agent.slices` says, with few calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fleetish.agent.base import Systemd
from fleetish.agent.compose import Composed
from fleetish.agent.slices import PLAIN, Caps, slice_properties
from fleetish.errors import FleetishError
from fleetish.units.properties import Property


class Slices:
    """Which unit brings what to which slice, and what was set there."""

    def __init__(self, systemd: Systemd) -> None:
        self._systemd = systemd
        self._held: dict[str, dict[str, Caps]] = {}
        self._of: dict[str, str] = {}
        self._set: dict[str, tuple[Property, ...]] = {}
        self._changed: set[str] = set()
        self._lock = asyncio.Lock()

    @property
    def units(self) -> Mapping[str, str]:
        """The slice of each unit that is known here."""
        return self._of

    def put(self, composed: Composed) -> None:
        """Count a unit in."""
        name = composed.unit.name
        if self._of.get(name, composed.slice) != composed.slice:
            self.drop(name)
        if composed.slice:
            self._of[name] = composed.slice
            held = self._held.setdefault(composed.slice, {})
            if held.get(name) != composed.caps:
                held[name] = composed.caps
                self._changed.add(composed.slice)

    def drop(self, name: str) -> None:
        """Count a unit out; its slice is set anew by the next :meth:`settle`."""
        where = self._of.pop(name, "")
        if where:
            del self._held[where][name]
            self._changed.add(where)

    async def ensure(self, slice_name: str) -> None:
        """Set what a slice must have now. All that wait for one another are served by one call."""
        async with self._lock:
            if slice_name not in self._changed:
                return
            self._changed.discard(slice_name)
            wanted = slice_properties(self._held.get(slice_name, {}).values())
            held = self._set.get(slice_name, PLAIN)
            news = tuple(one for one, old in zip(wanted, held, strict=True) if one != old)
            if not news:
                return
            try:
                await self._systemd.set_properties(slice_name, news)
            except FleetishError:
                self._changed.add(slice_name)
                raise
            self._set[slice_name] = wanted

    async def settle(self) -> None:
        """Set every slice anew that lost units, and stop those that have none left."""
        for name, held in list(self._held.items()):
            if held:
                await self.ensure(name)
                continue
            async with self._lock:  # a unit that comes now waits in ensure() until it is over
                await self._systemd.stop(name)
                if not self._held[name]:
                    del self._held[name]
                self._set.pop(name, None)
                self._changed.add(name)
