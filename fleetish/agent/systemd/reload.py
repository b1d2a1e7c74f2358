"""daemon-reload, one for all that wait for one: it blocks PID 1 while it reads every unit anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Reload:
    """Shares ``reload`` among callers: each waits for one that began after it asked."""

    def __init__(self, reload: Callable[[], Awaitable[object]]) -> None:
        self._reload = reload
        self._begun = 0
        self._succeeded = 0
        self._lock = asyncio.Lock()

    async def __call__(self) -> None:
        """Return when systemd has read again what was written before. Raises as ``reload``."""
        asked = self._begun
        async with self._lock:
            if self._succeeded > asked:
                return
            self._begun += 1
            await self._reload()
            self._succeeded = self._begun
