"""systemd over D-Bus: the one file that speaks it.

1. At most 64 calls and 64 jobs are in flight (:mod:`fleetish.agent.jobs`); a call that is not
   answered in time is an unknown outcome.
2. Only what is needed is asked for: JobRemoved, Reloading and PropertiesChanged of the Unit and
   Service interfaces. The signals' contents keep ``units`` current; PID 1 is asked once a unit.
3. What is heard must come from systemd's own bus name: on the system bus anybody may send signals.
4. During a daemon-reload units vanish and return: nothing is believed until it is over.
5. When the bus dies: connect again, Subscribe, list everything, read every unit of ours anew.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.aio.message_bus import _MessageWriter

from fleetish.agent import observe
from fleetish.agent.base import UNLABELLED, WITHDRAWN, Labels, ObservedUnit
from fleetish.agent.jobs import IN_FLIGHT, PATIENCE, Jobs, settled
from fleetish.agent.transient import TransientFiles
from fleetish.agent.watched import Watched
from fleetish.clock import Clock
from fleetish.errors import OutcomeUnknown, SystemdError
from fleetish.units.properties import Property, TransientUnit

log = logging.getLogger(__name__)

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
ROOT = "/org/freedesktop/systemd1"
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"
DISCONNECTED = "org.freedesktop.DBus.Error.Disconnected"

#: Seconds until an unanswered call is an unknown outcome; a daemon-reload may take some.
CALL_TIMEOUT = 25.0

#: Seconds that stop() follows a job; a unit may take longer, its state tells.
STOP_TIMEOUT = 30.0

RULES = (
    f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved'",
    f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='Reloading'",
    f"type='signal',sender='{SYSTEMD}',interface='{PROPERTIES}',member='PropertiesChanged',"
    "arg0='org.freedesktop.systemd1.Unit'",
    f"type='signal',sender='{SYSTEMD}',interface='{PROPERTIES}',member='PropertiesChanged',"
    "arg0='org.freedesktop.systemd1.Service'",
    f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{SYSTEMD}'",
)


class PatientWriter(_MessageWriter):
    """dbus-fast's writer, but a full socket (EAGAIN) is waited for, not the end of the bus."""

    def write_callback(self, remove_writer: bool = True) -> None:
        try:
            while self.buf is not None or self.messages:
                if self.buf is None:
                    buffer, self.unix_fds, self.fut = self.messages.popleft()
                    self.buf, self.offset = memoryview(buffer), 0
                self.offset += self._send(self.buf[self.offset :])
                if self.offset < len(self.buf):
                    return
                self.buf = None
                if self.fut is not None and not self.fut.done():
                    self.fut.set_result(None)
            if remove_writer and self.fd is not None:
                self.loop.remove_writer(self.fd)
        except (BlockingIOError, InterruptedError):
            return  # schedule_write leaves us armed while there is a buffer
        except Exception as error:
            self._fail(error)

    def _send(self, rest: memoryview) -> int:
        if self.sock is None:
            raise BrokenPipeError("the connection is closed")
        if not (self.unix_fds and self.negotiate_unix_fd):
            return self.sock.send(rest)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self.unix_fds))]
        sent = self.sock.sendmsg([rest], ancillary)
        self.unix_fds = None  # only when they went out
        return sent

    def _fail(self, error: Exception) -> None:
        if self.fut is not None and not self.fut.done():
            if self.bus._user_disconnect:
                self.fut.set_result(None)
            else:
                self.fut.set_exception(error)
        self.bus._finalize(error)


async def connect(address: str | None) -> MessageBus:
    """A bus connection that survives a full socket. Raises SystemdError."""
    try:
        bus = await MessageBus(bus_address=address, bus_type=BusType.SYSTEM).connect()
    except Exception as error:  # the library raises what it met: OSError, AuthError, EOFError …
        raise SystemdError(
            f"cannot connect to the message bus: {error}",
            name=DISCONNECTED,
            hint="is dbus running? systemctl status dbus",
        ) from error
    bus._writer = PatientWriter(bus)
    return bus


class SystemdBus:
    """systemd on a message bus; keeps :class:`fleetish.agent.base.Systemd`.

    ``address`` None is the system bus. ``runtime`` is where that manager keeps transient units.
    """

    def __init__(
        self,
        cluster: str,
        clock: Clock,
        *,
        address: str | None = None,
        runtime: Path = Path("/run/systemd"),
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._address = address
        self._files = TransientFiles(runtime / "transient")
        self._bus: MessageBus | None = None
        self._sender = ""
        self._watched = Watched()
        self._foreign: set[str] = set()
        self._ready = asyncio.Event()
        self._stale = asyncio.Event()
        self._reloading = False
        self._calls = asyncio.Semaphore(IN_FLIGHT)
        self._jobs = Jobs()

    @property
    def units(self) -> Mapping[str, ObservedUnit]:
        """The units that were started here or found to be ours."""
        return self._watched.units

    async def run(self) -> None:
        """Hold the connection, for ever."""
        pause = 0.05
        while True:
            try:
                await self._hold()
                pause = 0.05
            except (SystemdError, OutcomeUnknown) as error:
                log.warning("%s", error)
            self._ready.clear()
            self._jobs.lost()
            await self._clock.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def ready(self) -> None:
        """Wait until everything was listed once on a live connection."""
        await self._ready.wait()

    async def changed(self) -> set[str]:
        """The names whose unit changed since the last call; waits for one."""
        return await self._watched.changed()

    async def start(
        self, unit: TransientUnit, labels: Labels | None, proceed: Callable[[], bool]
    ) -> str:
        """Start a transient unit and wait until PID 1 took it up."""
        properties = [[one.name, Variant(one.signature, one.value)] for one in unit.properties]
        async with self._jobs.place(unit.name) as job:
            if not proceed():
                return WITHDRAWN
            before = self.units.get(unit.name)
            self._watched.put(observe.begun(unit, labels))
            try:
                body = [unit.name, "replace", properties, []]
                reply = await self._manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body)
            except SystemdError:
                if before is None:
                    self._watched.drop(unit.name)
                else:
                    self._watched.put(before)
                raise
            job.named(reply[0])
            return await settled(job.taken_up, PATIENCE)

    def keep(self, name: str, text: str) -> None:
        """Let a daemon-reload read ``text`` as the file of a unit that was just started."""
        self._files.keep(name, text)

    async def start_again(self, name: str) -> str:
        """Start a unit that systemd still holds, as it was defined."""
        async with self._jobs.place(name) as job:
            job.named((await self._manager("StartUnit", "ss", [name, "replace"]))[0])
            return await settled(job.taken_up, PATIENCE)

    async def stop(self, name: str) -> str:
        """Stop a unit and follow the job to its end, for half a minute at most."""
        async with self._jobs.place(name) as job:
            try:
                reply = await self._manager("StopUnit", "ss", [name, "replace"])
            except SystemdError as error:
                if error.name == NO_SUCH_UNIT:
                    return "done"
                raise
            job.named(reply[0])
            await settled(job.taken_up, PATIENCE)
        try:
            return await settled(job.done, STOP_TIMEOUT)
        finally:
            self._jobs.drop(name, job)

    async def kill(self, name: str, signal: int) -> None:
        """Send a signal to all processes of a unit."""
        await self._manager("KillUnit", "ssi", [name, "all", signal])

    async def reset_failed(self, name: str) -> None:
        """Forget that a unit failed."""
        try:
            await self._manager("ResetFailedUnit", "s", [name])
        except SystemdError as error:
            if error.name != NO_SUCH_UNIT:
                raise

    async def discard(self, names: Iterable[str]) -> None:
        """Drop definitions that systemd keeps; one daemon-reload."""
        for name in names:
            self._files.drop(name)
        await self._manager("Reload", "", [])

    async def set_properties(self, name: str, properties: Sequence[Property]) -> None:
        """Set properties of a unit until the next boot."""
        values = [[one.name, Variant(one.signature, one.value)] for one in properties]
        await self._manager("SetUnitProperties", "sba(sv)", [name, True, values])

    async def version(self) -> str:
        """systemd's version."""
        reply = await self._call(ROOT, PROPERTIES, "Get", "ss", [MANAGER, "Version"])
        return str(reply[0].value)

    async def inspect(self, name: str) -> ObservedUnit:
        """Read one unit anew; it is kept in ``units`` if it is ours."""
        path = observe.bus_path(name)
        reply = await self._call(path, PROPERTIES, "GetAll", "s", [""])
        plain = {key: variant.value for key, variant in reply[0].items()}
        unit = observe.from_properties(name, plain, self._cluster)
        if unit.labels is not None or (unit.loaded and name.rpartition(".")[2] in UNLABELLED):
            self._watched.put(unit)
        elif name in self.units:
            # Gone and perhaps forgotten, labels and all: what it was is what we knew of it.
            self._watched.drop(name) if unit.loaded else self._watched.dead(name)
        return unit

    async def relist(self) -> None:
        """Compare ``units`` with systemd's list and read anew what differs."""
        await self._list(anew=False)

    def forget(self, name: str) -> None:
        """Leave a unit out of ``units``."""
        self._watched.drop(name)

    async def _hold(self) -> None:
        self._bus = bus = await connect(self._address)
        gone: asyncio.Future[None] = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]
        try:
            bus.add_message_handler(self._heard)
            for rule in RULES:
                await self._daemon("AddMatch", "s", [rule])
            await self._resolve()
            await self._manager("Subscribe", "", [])
            self._reloading = False
            await self._list(anew=True)
            self._ready.set()
            await self._until(gone)
        finally:
            self._bus = None
            gone.cancel()
            with contextlib.suppress(BaseException):
                await gone
            if bus.connected:
                bus.disconnect()

    async def _until(self, gone: asyncio.Future[None]) -> None:
        while not gone.done():
            stale = asyncio.ensure_future(self._stale.wait())
            try:
                await asyncio.wait((gone, stale), return_when=asyncio.FIRST_COMPLETED)
            finally:
                stale.cancel()
            if not gone.done():
                self._stale.clear()
                await self._resolve()
                await self._list(anew=True)
        raise SystemdError("cannot hear systemd: the message bus is gone", name=DISCONNECTED)

    async def _resolve(self) -> None:
        self._sender = (await self._daemon("GetNameOwner", "s", [SYSTEMD]))[0]

    async def _list(self, *, anew: bool) -> None:
        """Bring ``units`` in step with systemd; ``anew``: signals may have been missed."""
        reply = await self._manager("ListUnits", "", [])
        listed = {row[0]: (row[3], row[4]) for row in reply[0]}
        self._foreign &= listed.keys()
        for name, unit in list(self.units.items()):
            if name not in listed and unit.loaded:
                self._watched.dead(name)
        wanted = [name for name in self._candidates(listed) if anew or self._differs(name, listed)]
        for at in range(0, len(wanted), 16):
            # Not a TaskGroup: in Python 3.11 one that fails leaves this task marked as cancelled.
            looks = (self._look(name) for name in wanted[at : at + 16])
            for found in await asyncio.gather(*looks, return_exceptions=True):
                if isinstance(found, BaseException):
                    raise found

    def _candidates(self, listed: Mapping[str, tuple[str, str]]) -> Iterable[str]:
        return sorted((self._files.names() | self.units.keys()) & listed.keys())

    def _differs(self, name: str, listed: Mapping[str, tuple[str, str]]) -> bool:
        unit = self.units.get(name)
        if unit is None:
            return name not in self._foreign
        return (unit.active, unit.sub) != listed[name]

    async def _look(self, name: str) -> None:
        with contextlib.suppress(SystemdError):  # it may have gone in the meantime
            if (await self.inspect(name)).labels is None:
                self._foreign.add(name)

    def _heard(self, message: Message) -> None:
        """Take in a signal; called by the library for every message."""
        if message.message_type is not MessageType.SIGNAL:
            return
        member, body = message.member, message.body
        if member == "NameOwnerChanged" and message.sender == "org.freedesktop.DBus":
            self._stale.set()
        elif message.sender != self._sender:
            return
        elif member == "PropertiesChanged":
            self._heard_properties(message.path or "", body[1])
        elif member == "JobRemoved":
            self._jobs.removed(body[2], body[1], body[3])
        elif member == "Reloading":
            self._reloading = body[0]
            if not self._reloading:
                self._stale.set()

    def _heard_properties(self, path: str, changed: Mapping[str, Variant]) -> None:
        if self._reloading or not self._watched.follows(path):
            return
        unit = self._watched.fold(path, {key: variant.value for key, variant in changed.items()})
        if unit is not None and unit.active in ("activating", "deactivating"):
            self._jobs.moving(unit.name)

    async def _daemon(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        target = "org.freedesktop.DBus"
        return await self._call("/org/freedesktop/DBus", target, member, signature, body, target)

    async def _manager(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        return await self._call(ROOT, MANAGER, member, signature, body)

    async def _call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str,
        body: list[Any],
        destination: str = SYSTEMD,
    ) -> list[Any]:
        async with self._calls:
            bus = self._bus
            if bus is None or not bus.connected:
                raise SystemdError("cannot reach systemd: the bus is gone", name=DISCONNECTED)
            message = Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
            try:
                async with asyncio.timeout(CALL_TIMEOUT):
                    reply = await bus.call(message)
            except Exception as error:  # TimeoutError, EOFError, OSError: sent, not answered
                raise OutcomeUnknown(f"cannot tell what came of {member}: {error!r}") from error
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else ""
            raise SystemdError(f"cannot {member}: {text}", name=reply.error_name or "")
        return list(reply.body)
