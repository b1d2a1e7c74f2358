"""A clock that moves only when a test says so."""

from __future__ import annotations

import asyncio
import heapq


class DrivenClock:
    """Starts at 1000 s; :meth:`advance` wakes sleepers in the order of their times."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.time + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and all that is due in them happen."""
        end = self.time + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self.time = max(self.time, at)
            future.set_result(None)
            await settle()
        self.time = end


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(100):
        await asyncio.sleep(0)
