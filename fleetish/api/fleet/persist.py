"""Writes that do not give up while etcd is silent for a moment.

fleetctl's ``stop`` and ``unload`` do not look at what a PUT answers: told 503, they go on to wait
for a state that nobody has asked for, without end. It sets no limit to how long an answer may take,
so the answer waits for etcd.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fleetish.clock import Clock
from fleetish.errors import Unavailable

#: Seconds after which a write is refused, and between two attempts.
PATIENCE, PAUSE = 30.0, 0.2

T = TypeVar("T")


async def persist(
    write: Callable[[], Awaitable[T]], clock: Clock, gone: Callable[[], Awaitable[bool]]
) -> T:
    """What ``write`` gives, tried again while etcd does not answer and the client is not ``gone``.

    ``write`` must do no harm when it is done twice. Raises what it raises; Unavailable only after
    PATIENCE seconds.
    """
    end = clock.monotonic() + PATIENCE
    while True:
        try:
            return await write()
        except Unavailable:
            if clock.monotonic() >= end or await gone():
                raise
        await clock.sleep(PAUSE)
