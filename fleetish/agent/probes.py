"""Asking once: over HTTP, by a connection, or with a command. Whatever goes wrong is an answer.

1. The time of a question is counted from its first packet to the head of the answer.
2. Redirects are not followed and certificates not checked: a status 200 … 399 is a good answer.
3. Of an answer :data:`MOST` bytes are read and none kept: the status is all that counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import cache

import httptools

from fleetish.agent.base import RUNNING, Systemd
from fleetish.agent.compose import Composed
from fleetish.agent.probe_unit import check_unit, check_unit_name
from fleetish.agent.probing import Answer, Place
from fleetish.errors import FleetishError, SystemdError
from fleetish.model import Assignment
from fleetish.units.health import CheckKind, HealthCheck, Probe, Readiness

#: Bytes of an answer that are read, and seconds that are spent on those after its head.
MOST, LINGER = 65_536, 1.0

#: Seconds beyond its own timeout after which a command is no longer waited for.
SLACK = 5.0

UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"

GOOD = Answer(True)


async def ask(probe: Probe, where: Place) -> Answer:
    """Probe a port: make a connection or, with http and https, one request. Never raises."""
    try:
        if probe.kind is CheckKind.TCP:
            return await _connects(probe, where)
        return _judged(probe, await _status(probe, where))
    except TimeoutError:
        return Answer(False, f"no answer within {probe.timeout:g} s")
    except ssl.SSLError as error:
        return Answer(False, f"cannot speak TLS with {_shown(where)}: {error.reason or error}")
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        return Answer(False, f"cannot reach {_shown(where)}: {why}")
    except httptools.HttpParserError:
        return Answer(False, "the answer is not HTTP")


async def _connects(probe: Probe, where: Place) -> Answer:
    async with asyncio.timeout(probe.timeout):
        _, writer = await asyncio.open_connection(*where)
    writer.close()
    return GOOD


def _judged(probe: Probe, status: int) -> Answer:
    if status == 0:
        return Answer(False, "the connection was closed without an answer")
    if isinstance(probe, Readiness):
        return Answer(status in probe.codes, f"HTTP status {status}")
    if isinstance(probe, HealthCheck) and probe.ignore1xx and status < 200:
        return Answer(None)
    answer = GOOD if 200 <= status < 400 else Answer(False, f"HTTP status {status}")
    return answer._replace(code=status) if getattr(probe, "advisory", False) else answer


async def _status(probe: Probe, where: Place) -> int:
    """The status of the answer to a GET; 0 when there was none."""
    tls = _unchecked() if probe.kind is CheckKind.HTTPS else None
    any_head = isinstance(probe, HealthCheck) and probe.ignore1xx
    writer = None
    try:
        async with asyncio.timeout(probe.timeout):
            reader, writer = await asyncio.open_connection(*where, ssl=tls, limit=MOST)
            writer.write(_request(probe.path, where))
            status, left = await _head(reader, final=not any_head)
        await _see_off(reader, left)
        return status
    finally:
        if writer is not None:
            writer.transport.abort()


async def _see_off(reader: asyncio.StreamReader, left: int) -> None:
    """Read on for a moment: a server that is hung up on while it writes may complain."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(LINGER):
            while left > 0 and (more := await reader.read(left)):
                left -= len(more)


async def _head(reader: asyncio.StreamReader, *, final: bool) -> tuple[int, int]:
    """The status of the first, or first ``final``, head of an answer; how much to read at most
    after it."""
    heads = _Heads()
    parser = httptools.HttpResponseParser(heads)
    heads.status = parser.get_status_code
    left = MOST
    while left > 0 and (data := await reader.read(left)):
        left -= len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserError:
            if not heads.seen:  # what comes after a head does not matter
                raise
        for status in heads.seen:
            if status >= 200 or status == 101 or not final:
                return status, left
    return 0, 0


class _Heads:
    """The status of each head of an answer: an informational one may come before the final."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.status: Callable[[], int] = int

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.seen.append(self.status())


def _request(path: str, where: Place) -> bytes:
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {_shown(where)}",
        "User-Agent: fleetish",
        "Accept: */*",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")


def _shown(where: Place) -> str:
    return f"[{where.host}]:{where.port}" if ":" in where.host else f"{where.host}:{where.port}"


@cache
def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Commands:
    """Runs commands of health checks as transient units beside the units that they check."""

    def __init__(
        self, systemd: Systemd, compose: Callable[[Assignment], Awaitable[Composed]]
    ) -> None:
        self._systemd = systemd
        self._compose = compose
        self._news: dict[str, asyncio.Event] = {}

    def heard(self, names: Iterable[str]) -> set[str]:
        """Something changed of these units; those of them that are checks."""
        own = self._news.keys() & set(names)
        for name in own:
            self._news[name].set()
        return own

    def runs(self, unit: str, number: int) -> bool:
        """True while a check of a unit is asked for."""
        return check_unit_name(unit, number) in self._news

    async def ask(self, wish: Assignment, number: int, check: HealthCheck) -> Answer:
        """Run the command once. Never raises; nothing is concluded from what is no fault of it."""
        name = check_unit_name(wish.unit, number)
        self._news[name] = asyncio.Event()
        try:
            async with asyncio.timeout(check.timeout + SLACK):
                return await self._run(wish, number, check)
        except SystemdError as error:
            if error.name == UNIT_EXISTS:  # of an agent before this one
                await self.stop(wish.unit, number)
            return Answer(None, str(error))
        except (FleetishError, TimeoutError) as error:
            await self.stop(wish.unit, number)
            return Answer(None, str(error))
        finally:
            self._systemd.forget(name)
            self._news.pop(name, None)

    async def stop(self, unit: str, number: int) -> None:
        """End what runs for a check. Never raises: PID 1 ends it when its time is over."""
        with contextlib.suppress(FleetishError):
            await self._systemd.stop(check_unit_name(unit, number))

    async def _run(self, wish: Assignment, number: int, check: HealthCheck) -> Answer:
        composed = await self._compose(wish)
        unit = check_unit(composed.unit, number, check)
        result = await self._systemd.start(unit, None, lambda: True)
        while result == RUNNING and self._alive(unit.name):
            await self._news[unit.name].wait()
            self._news[unit.name].clear()
        return self._ended(unit.name, result, check)

    def _alive(self, name: str) -> bool:
        held = self._systemd.units.get(name)
        return held is not None and held.alive

    def _ended(self, name: str, result: str, check: HealthCheck) -> Answer:
        """What the end of the unit says; a start that systemd put off says nothing."""
        held = self._systemd.units.get(name)
        if result == "done":
            return GOOD
        if held is None or not held.invocation or held.alive or not held.result:
            return Answer(None, "the command was not run")
        if held.result == "success":
            return GOOD
        if held.result == "timeout":
            return Answer(False, f"no answer within {check.timeout:g} s")
        how = "was killed by signal" if held.exit_code in ("killed", "dumped") else "exited with"
        code = held.exit_status if check.advisory and how == "exited with" else 0
        return Answer(False, f"the command {how} {held.exit_status}", code)
