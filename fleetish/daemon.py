"""``fleetish serve``: builds the real clock, store and systemd, and keeps the roles running.

              ┌── agent    this machine's units
    store ────┼── engine   stands for election, and plans while it leads
              ├── api      HTTP on the sockets that systemd hands over, and on those of ``listen``
              └── …        the roles of other packages, by entry point: marathon

1. Roles are independent: one that fails is logged and started again, with back-off; the others do
   not notice.
2. SIGTERM and SIGINT end the daemon at once. No unit is stopped, the machine stays registered for
   its time to live, and the next daemon takes both over.
3. SIGHUP reads the settings again. ``log_level`` counts at once; the agent and the engine begin
   anew when a setting of theirs has changed (that disturbs no unit); the rest needs a restart, and
   the log says so.
4. systemd is told READY when the sockets listen, not when etcd answers: a cluster that boots as a
   whole must not wait for itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from dataclasses import fields

import uvloop
from pystemd import daemon as sd

from fleetish.api.server import not_among, open_sockets
from fleetish.clock import Clock, SystemClock
from fleetish.config import Config
from fleetish.errors import FleetishError
from fleetish.journal_log import set_up
from fleetish.roles import Services, run_role

log = logging.getLogger(__name__)

#: Seconds before a role that failed is started again, at first and at most.
BACKOFF, BACKOFF_MAX = 0.5, 15.0
#: Seconds that a role must have run for its back-off to begin anew.
STEADY = 60.0

#: Which role begins anew when a setting changes; "" for none, absent: a restart is needed.
APPLIES = {
    "log_level": "",
    "metadata": "agent",
    "capacity": "agent",
    "ports": "agent",
    "address": "agent",
    "fetch_file_roots": "agent",
    "fetch_closed": "agent",
    "fetch_size": "agent",
    "fetch_cache": "agent",
    "engine_ttl": "engine",
}

Read = Callable[[], Config]


def run(read: Read) -> None:
    """Run the daemon until it is told to end. Raises BadConfig before anything is started."""
    config = read()
    set_up(config.log_level)
    # gRPC would complain of every journalctl that is started from here.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Daemon(config, read, SystemClock()).run())


class Daemon:
    """One process' roles."""

    def __init__(self, config: Config, read: Read, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self._read = read
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run every role until SIGTERM or SIGINT. Raises BadConfig when a socket cannot be had."""
        sockets = self._sockets()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        services = Services.open(self.config, self.clock, sockets)
        try:
            async with asyncio.TaskGroup() as group:
                owned = [group.create_task(self._keep(r, services)) for r in self.config.roles]
                owned.append(group.create_task(watchdog(self.clock)))
                log.info("%s on %s", ", ".join(self.config.roles), socket.gethostname())
                sd.notify(False, "READY=1")
                await self._stopping.wait()
                sd.notify(False, "STOPPING=1")
                log.info("ending; no unit is stopped")
                for task in owned:
                    task.cancel()
        finally:
            await services.close()

    def _sockets(self) -> list[socket.socket]:
        """What systemd hands over, and of ``listen`` what is not among that."""
        given = handed_over()
        if "api" not in self.config.roles:
            return given
        return [*given, *open_sockets(not_among(self.config.listen, given))]

    async def _keep(self, role: str, services: Services) -> None:
        """Run a role for ever, whatever comes of it."""
        pause = BACKOFF
        while True:
            began = self.clock.monotonic()
            work: Coroutine[None, None, None] = run_role(role, self.config, services)
            self._running[role] = task = asyncio.create_task(work, name=role)
            failure = await finished(task)
            if failure is None:
                log.info("%s begins anew", role)
                continue
            log.error("%s failed: %s", role, brief(failure), exc_info=unexpected(failure))
            if self.clock.monotonic() - began > STEADY:
                pause = BACKOFF
            await self.clock.sleep(pause)
            pause = min(pause * 2, BACKOFF_MAX)

    def _reload(self) -> None:
        """Take in changed settings (rule 3)."""
        sd.notify(False, "RELOADING=1")
        try:
            new = self._read()
        except FleetishError as error:
            log.error("cannot take in the settings; going on with the old ones: %s", error)
            sd.notify(False, "READY=1")
            return
        changed = changed_settings(self.config, new)
        self.config = new
        set_up(new.log_level)
        for name in changed:
            if name not in APPLIES:
                log.warning("%s has changed: restart the daemon for it to count", name)
        for role in sorted({APPLIES.get(name, "") for name in changed} - {""}):
            if role in self._running:
                self._running[role].cancel()
        log.info("settings read again; changed: %s", ", ".join(changed) or "nothing")
        sd.notify(False, "READY=1")


def changed_settings(old: Config, new: Config) -> list[str]:
    """The names of the settings that differ."""
    return [f.name for f in fields(Config) if getattr(old, f.name) != getattr(new, f.name)]


async def finished(task: asyncio.Task[None]) -> BaseException | None:
    """Wait for a role; why it failed, or None when it was cancelled to begin anew.

    When it is the caller that is cancelled, the role is ended first.
    """
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait((task,))
        raise
    if task.cancelled():
        return None
    return task.exception() or RuntimeError("it ended by itself")


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in an error: those of a group, however deep."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [error]


def brief(error: BaseException) -> str:
    """An error, or a group of them, in one line."""
    return "; ".join(f"{one}" or type(one).__name__ for one in leaves(error))


def unexpected(error: BaseException) -> BaseException | None:
    """The error when it deserves its trace in the log: when it is none of ours."""
    return None if all(isinstance(one, FleetishError) for one in leaves(error)) else error


async def watchdog(clock: Clock) -> None:
    """Tell systemd twice in WatchdogSec= that the loop turns."""
    period = sd.watchdog_enabled() / 1e6
    while period > 0:
        sd.notify(False, "WATCHDOG=1")
        await clock.sleep(period / 2)


def handed_over() -> list[socket.socket]:
    """The sockets of sd_listen_fds(3), which belong to PID 1 and outlive this process."""
    count = int(sd.listen_fds(True) or 0)
    first = sd.LISTEN_FDS_START
    return [socket.socket(fileno=number) for number in range(first, first + count)]
