"""Runs the guard unit and feeds it; why: :mod:`fleetish.agent.guard`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fleetish.agent import guard
from fleetish.agent.base import WITHDRAWN, Labels, Systemd
from fleetish.agent.observe import extra_fields
from fleetish.clock import Clock
from fleetish.errors import SystemdError
from fleetish.units.properties import Property, TransientUnit

log = logging.getLogger(__name__)

_NOT_YET = -1e9


class Fence:
    """The guard of this machine. ``feed`` speaks to PID 1 for the guard's main process."""

    def __init__(
        self,
        systemd: Systemd,
        clock: Clock,
        cluster: str,
        ttl: float,
        feed: Callable[[int], None] = guard.feed,
    ) -> None:
        self._systemd = systemd
        self._clock = clock
        self._limits = guard.limits(ttl)
        self._labels = Labels(cluster, guard.NAME, f"watchdog={self._limits.watchdog:g}", 0)
        self._feed = feed
        self._sent = _NOT_YET
        self._lock = asyncio.Lock()

    @property
    def until(self) -> float:
        """Exclusive units may be started before this moment (monotonic seconds): while the guard
        is fed, or while a fresh guard may be started."""
        return self._sent + (self._limits.watchdog if self.standing else guard.ANSWER)

    @property
    def standing(self) -> bool:
        """True while the guard runs."""
        unit = self._systemd.units.get(guard.NAME)
        return unit is not None and unit.active == "active"

    def renewed(self, sent: float, answered: float) -> None:
        """The machine's lease was renewed; when that was sent and answered (monotonic seconds)."""
        if answered - sent > guard.ANSWER or self._clock.monotonic() - sent > guard.ANSWER:
            return
        self._sent = sent
        unit = self._systemd.units.get(guard.NAME)
        if unit is not None and unit.active == "active" and unit.main_pid:
            try:
                self._feed(unit.main_pid)
            except SystemdError as error:
                log.warning("%s", error)

    async def raised(self) -> bool:
        """Make sure that the guard runs; False when the next renewal must be awaited for it.

        A fresh guard lives one watchdog long unfed, so it is started right after a renewal only.
        Raises SystemdError or OutcomeUnknown.
        """
        async with self._lock:
            unit = self._systemd.units.get(guard.NAME)
            if unit is not None and unit.alive:
                if unit.labels == self._labels:
                    return self.standing
                await self._systemd.stop(guard.NAME)  # its watchdog is that of another TTL
            elif unit is not None and unit.active == "failed":
                await self._systemd.reset_failed(guard.NAME)
            return await self._start()

    async def _start(self) -> bool:
        unit = guard.guard_unit(self._limits)
        marks = Property("LogExtraFields", "aay", extra_fields(self._labels))
        marked = TransientUnit(unit.name, (*unit.properties, marks))
        try:
            result = await self._systemd.start(marked, self._labels, self._fresh)
        except SystemdError:
            found = await self._systemd.inspect(guard.NAME)
            if found.labels != self._labels:
                raise
            if not self._fresh():
                return False
            result = await self._systemd.start_again(guard.NAME)
        return result != WITHDRAWN

    def _fresh(self) -> bool:
        return self._clock.monotonic() - self._sent <= guard.ANSWER
