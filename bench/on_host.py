"""Baselines that run inside a host of the lab: plain systemd, with no cluster in the way.

``on_host.py run N``: N times ``systemd-run``, one after another; prints each one's seconds.
``on_host.py start N PREFIX``: N units by pipelined StartTransientUnit calls, 64 jobs in flight;
prints the wall-clock instants of begin and end. ``on_host.py stop N PREFIX`` stops them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

SYSTEMD = "org.freedesktop.systemd1"
IN_FLIGHT = 64


def systemd_run(count: int) -> list[float]:
    """Seconds that each of ``count`` systemd-run calls took to return; the unit runs then."""
    seconds = []
    for number in range(count):
        name = f"bench-run-{number}"
        begin = time.perf_counter()
        subprocess.run(
            ["systemd-run", "--quiet", f"--unit={name}", "/usr/bin/sleep", "infinity"], check=True
        )
        seconds.append(time.perf_counter() - begin)
    for number in range(count):
        subprocess.run(["systemctl", "stop", f"bench-run-{number}"], check=True)
    return seconds


class Jobs:
    """Calls that queue systemd jobs, at most 64 unfinished at a time."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.done: set[str] = set()
        self.room = asyncio.Semaphore(IN_FLIGHT)
        bus.add_message_handler(self._removed)

    def _removed(self, message: Message) -> None:
        if message.member != "JobRemoved":
            return
        path = message.body[1]
        future = self.waiting.pop(path, None)
        if future is None:
            self.done.add(path)
        elif not future.done():
            future.set_result(None)

    async def call(self, member: str, signature: str, body: list[object]) -> None:
        """One call, and the wait until its job is gone."""
        async with self.room:
            reply = await self.bus.call(
                Message(
                    destination=SYSTEMD,
                    path="/org/freedesktop/systemd1",
                    interface=f"{SYSTEMD}.Manager",
                    member=member,
                    signature=signature,
                    body=body,
                )
            )
            assert reply is not None
            if reply.message_type is MessageType.ERROR:
                raise RuntimeError(f"cannot {member}: {reply.body}")
            path = reply.body[0]
            if path not in self.done:
                self.waiting[path] = asyncio.get_running_loop().create_future()
                await self.waiting[path]


async def connect() -> Jobs:
    """A connection that is told of finished jobs."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    jobs = Jobs(bus)
    match = f"type='signal',sender='{SYSTEMD}',member='JobRemoved'"
    for destination, path, interface, member, signature, body in (
        ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s",
         [match]),
        (SYSTEMD, "/org/freedesktop/systemd1", f"{SYSTEMD}.Manager", "Subscribe", "", []),
    ):  # fmt: skip
        await bus.call(
            Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )
    return jobs


def properties() -> list[list[object]]:
    """The same service that the cluster is asked to run."""
    argv = ["/usr/bin/sleep", "infinity"]
    return [
        ["Description", Variant("s", "benchmark")],
        ["ExecStart", Variant("a(sasb)", [[argv[0], argv, False]])],
        ["MemoryMax", Variant("t", 64 << 20)],
        ["CPUQuotaPerSecUSec", Variant("t", 200_000)],
    ]


async def each(
    count: int, prefix: str, body: Callable[[str], tuple[str, str, list[object]]]
) -> None:
    """Do the same for all units at once, and print when it began and ended."""
    jobs = await connect()
    names = [f"{prefix}{number}.service" for number in range(count)]
    begin = time.time()
    await asyncio.gather(*(jobs.call(*body(name)) for name in names))
    print(json.dumps({"begin": begin, "end": time.time()}))
    jobs.bus.disconnect()


def main(argv: list[str]) -> None:
    """See the module's own description."""
    match argv:
        case ["run", count]:
            print(json.dumps(systemd_run(int(count))))
        case ["start", count, prefix]:
            start = "StartTransientUnit", "ssa(sv)a(sa(sv))"
            asyncio.run(
                each(int(count), prefix, lambda name: (*start, [name, "fail", properties(), []]))
            )
        case ["stop", count, prefix]:
            asyncio.run(
                each(int(count), prefix, lambda name: ("StopUnit", "ss", [name, "replace"]))
            )
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
