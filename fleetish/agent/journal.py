"""The journal and unit status, by the commands that people know: journalctl and systemctl.

A reader that goes away ends its command.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from fleetish.agent.base import JournalQuery
from fleetish.errors import SystemdError

#: Bytes of one journal line; an entry may carry a core of fields.
LONGEST_LINE = 4 * 1024 * 1024

#: Seconds that ``systemctl status`` may take.
STATUS_TIMEOUT = 10.0


class SystemJournal:
    """The journal of this machine; with ``user`` that of the user's manager."""

    def __init__(self, *, user: bool = False) -> None:
        self._user = ("--user",) if user else ()
        self._unit = "--user-unit" if user else "--unit"

    async def entries(self, query: JournalQuery) -> AsyncGenerator[bytes, None]:
        """A unit's entries as JSON objects, a line each, oldest first.

        Raises SystemdError when journalctl cannot be run or refuses.
        """
        process = await _spawn(self.command(query))
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async for line in process.stdout:
                yield line.rstrip(b"\n")
            if await process.wait():
                text = (await process.stderr.read()).decode(errors="replace").strip()
                raise SystemdError(f"cannot read the journal of {query.unit}: {text}")
        finally:
            await _end(process)

    def command(self, query: JournalQuery) -> tuple[str, ...]:
        """The journalctl(1) call for a query; every value is one word of its own."""
        return (
            "journalctl",
            "--output=json",
            "--no-pager",
            "--quiet",
            f"{self._unit}={query.unit}",
            *((f"--after-cursor={query.cursor}",) if query.cursor else (f"-n{query.lines}",)),
            *((f"--since={query.since}",) if query.since else ()),
            *(("--follow",) if query.follow else ()),
        )

    async def status(self, unit: str) -> str:
        """What ``systemctl status`` prints for a unit, also when it failed or is not there."""
        argv = ("systemctl", *self._user, "status", "--full", "--no-pager", "--lines=10", "--")
        process = await _spawn((*argv, unit))
        try:
            async with asyncio.timeout(STATUS_TIMEOUT):
                out, err = await process.communicate()
        except TimeoutError:
            raise SystemdError(f"cannot tell the status of {unit}: systemctl hangs") from None
        finally:
            await _end(process)
        return (out or err).decode(errors="replace")


async def _spawn(command: tuple[str, ...]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            limit=LONGEST_LINE,
        )
    except OSError as error:
        raise SystemdError(f"cannot run {command[0]}: {error.strerror}") from error


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
