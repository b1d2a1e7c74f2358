"""A connection to systemd over a message bus: calls, and signals that systemd itself sent.

1. At most 64 calls are in flight; one that is not answered in time is an unknown outcome.
2. Only what is needed is asked for: JobRemoved, Reloading and PropertiesChanged of units.
3. What is heard must come from systemd's own bus name: on the system bus anybody may send signals.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.aio.message_bus import _MessageWriter

from fleetish.agent.jobs import IN_FLIGHT
from fleetish.errors import OutcomeUnknown, SystemdError

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
ROOT = "/org/freedesktop/systemd1"
DAEMON = "org.freedesktop.DBus"
DISCONNECTED = "org.freedesktop.DBus.Error.Disconnected"

#: Seconds until an unanswered call is an unknown outcome; a daemon-reload may take some.
CALL_TIMEOUT = 25.0

#: Interfaces of units whose changes are heard: what they are, and how their last run ended.
INTERFACES = ("Unit", "Service", "Socket", "Timer", "Path", "Mount", "Automount")

_SIGNAL = f"type='signal',sender='{SYSTEMD}'"
RULES = (
    f"{_SIGNAL},interface='{MANAGER}',member='JobRemoved'",
    f"{_SIGNAL},interface='{MANAGER}',member='Reloading'",
    *(
        f"{_SIGNAL},interface='{PROPERTIES}',member='PropertiesChanged',arg0='{SYSTEMD}.{name}'"
        for name in INTERFACES
    ),
    f"type='signal',sender='{DAEMON}',member='NameOwnerChanged',arg0='{SYSTEMD}'",
)

#: Takes a signal of systemd: its member, its object path and its body.
Heard = Callable[[str, str, list[Any]], None]


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


class Connection:
    """One bus address; None is the system bus. ``heard`` gets systemd's signals."""

    def __init__(self, address: str | None, heard: Heard) -> None:
        self._address = address
        self._heard = heard
        self._bus: MessageBus | None = None
        self._sender = ""
        self._calls = asyncio.Semaphore(IN_FLIGHT)
        #: Set when systemd came anew on the bus.
        self.stale = asyncio.Event()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[asyncio.Future[None]]:
        """Connected and subscribed inside the block; gives what is done when the bus is gone.

        Raises SystemdError.
        """
        self._bus = bus = await connect(self._address)
        gone: asyncio.Future[None] = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]
        try:
            bus.add_message_handler(self._take)
            for rule in RULES:
                await self._daemon("AddMatch", "s", [rule])
            await self.resolve()
            await self.manager("Subscribe", "", [])
            yield gone
        finally:
            self._bus = None
            gone.cancel()
            with contextlib.suppress(BaseException):
                await gone
            if bus.connected:
                bus.disconnect()

    async def resolve(self) -> None:
        """Find out systemd's own bus name, the only one whose signals are believed."""
        self._sender = (await self._daemon("GetNameOwner", "s", [SYSTEMD]))[0]

    async def manager(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        """Call a method of systemd's Manager interface."""
        return await self.call(ROOT, MANAGER, member, signature, body)

    async def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str,
        body: list[Any],
        destination: str = SYSTEMD,
    ) -> list[Any]:
        """Call a method; the body of the answer. Raises SystemdError or OutcomeUnknown."""
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

    async def _daemon(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        return await self.call("/org/freedesktop/DBus", DAEMON, member, signature, body, DAEMON)

    def _take(self, message: Message) -> None:
        """Take in a message; called by the library for every one."""
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "NameOwnerChanged" and message.sender == DAEMON:
            self.stale.set()
        elif message.sender == self._sender:
            self._heard(message.member or "", message.path or "", message.body)
