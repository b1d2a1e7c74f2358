"""systemd jobs under way: at most 64, each followed until JobRemoved.

Above about 512 queued jobs PID 1 itself falls off the bus (a match rule for each), so a place is
held from the call until PID 1 took the job up: until it is done, or its unit is activating or
deactivating, which may last as long as the unit likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleetish.agent.base import RUNNING
from fleetish.errors import OutcomeUnknown

#: Jobs, and calls, that may wait for PID 1 at one time.
IN_FLIGHT = 64

#: Seconds after which a job that waits for others (After=) gives its place away.
PATIENCE = 5.0


class Job:
    """One job that was asked for; ``removed`` may come before the call's own answer."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.taken_up: asyncio.Future[str] = loop.create_future()
        self.done: asyncio.Future[str] = loop.create_future()
        self._path = ""
        self._removed: dict[str, str] = {}

    def named(self, path: str) -> None:
        """The call was answered: this is the job's object path."""
        self._path = path
        if path in self._removed:
            self._finish(self._removed[path])

    def removed(self, path: str, result: str) -> None:
        """A job of the same unit ended; which one is known when the call is answered."""
        if self._path == path:
            self._finish(result)
        elif not self._path:
            self._removed[path] = result

    def moving(self) -> None:
        """The unit is activating or deactivating."""
        if self._path and not self.taken_up.done():
            self.taken_up.set_result(RUNNING)

    def lost(self) -> None:
        """The bus died; nobody will say how the job ends."""
        for future in (self.taken_up, self.done):
            if not future.done():
                future.set_exception(OutcomeUnknown("cannot follow the job: the bus is gone"))
                future.exception()  # somebody may have stopped listening

    def _finish(self, result: str) -> None:
        for future in (self.taken_up, self.done):
            if not future.done():
                future.set_result(result)


class Jobs:
    """The jobs under way, by unit: one for a unit at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._by_unit: dict[str, Job] = {}

    @asynccontextmanager
    async def place(self, unit: str) -> AsyncIterator[Job]:
        """A place among those in flight, and the job that is about to be asked for."""
        async with self._places:
            job = self._by_unit[unit] = Job()
            try:
                yield job
            finally:
                if job.done.done() or not job.taken_up.done():
                    self.drop(unit, job)

    def drop(self, unit: str, job: Job) -> None:
        """Stop following a job."""
        if self._by_unit.get(unit) is job:
            del self._by_unit[unit]

    def removed(self, unit: str, path: str, result: str) -> None:
        """JobRemoved was heard."""
        if job := self._by_unit.get(unit):
            job.removed(path, result)
            if job.done.done():
                self.drop(unit, job)

    def moving(self, unit: str) -> None:
        """The unit was heard to be activating or deactivating."""
        if job := self._by_unit.get(unit):
            job.moving()

    def lost(self) -> None:
        """The bus died: end all."""
        for job in self._by_unit.values():
            job.lost()
        self._by_unit.clear()


async def settled(future: asyncio.Future[str], seconds: float) -> str:
    """What a job came to, or RUNNING when it takes longer than ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(future)
    except TimeoutError:
        return RUNNING
