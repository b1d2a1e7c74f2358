"""A loop with a time of its own: when nothing is ready, it jumps to the next timer.

A minute of a cluster's life costs as long as its work takes, and the same input takes the same
course. Nothing real can be waited for on it: no socket, no thread, no child.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: What the clock for people shows when a virtual loop begins (seconds since the epoch).
EPOCH = 1_700_000_000.0

#: Seconds by which a timer fires late.
LATE = 1e-6


class _Jump(selectors.SelectSelector):
    """Waits for nothing; tells how long it was to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("cannot go on: every task waits, and no timer is set")
        if timeout > 0:
            # A little late, as real timers are: one that fires early would be set again at once.
            self.now += timeout + LATE
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which begins at 0."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jump.now


class VirtualClock:
    """The :class:`fleetish.clock.Clock` of the running virtual loop."""

    def now(self) -> float:
        return EPOCH + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
