"""Baselines that run inside a host of the lab: plain systemd, with no cluster in the way.

``on_host.py run N``: N times ``systemd-run``, one after another; prints each one's seconds.
``on_host.py start N PREFIX``: N units by pipelined StartTransientUnit calls, 64 jobs in flight;
prints the wall-clock instants of begin and end. With a unit file on standard input and a ``-`` as
the last word they are what the agent would make of that. ``on_host.py stop N PREFIX`` stops them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from fleetish.agent.compose import Composer
from fleetish.model import Assignment, Target
from fleetish.units.file import content_hash, parse
from fleetish.units.specifiers import Context
from fleetish.units.xfleet import requirements

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


def composed(text: str, name: str) -> list[list[object]]:
    """The service that the agent would make of a unit file, as a unit of that name."""
    file = parse(text, name)
    wish = Assignment(
        unit=name,
        machine="m",
        hash=content_hash(file),
        target=Target.LAUNCHED,
        launch=1,
        requirements=requirements(file, name),
    )
    unit = Composer(Context(), "bench", 10.0).compose(wish, text).unit
    return [[one.name, Variant(one.signature, one.value)] for one in unit.properties]


Call = tuple[str, str, list[object]]


async def each(calls: list[Call]) -> None:
    """Make all calls at once, and print when it began and ended."""
    jobs = await connect()
    begin = time.time()
    await asyncio.gather(*(jobs.call(*one) for one in calls))
    print(json.dumps({"begin": begin, "end": time.time()}))
    jobs.bus.disconnect()


def start(name: str, wanted: list[list[object]]) -> Call:
    """The call that starts a service."""
    return "StartTransientUnit", "ssa(sv)a(sa(sv))", [name, "fail", wanted, []]


def main(argv: list[str]) -> None:
    """See the module's own description."""
    match argv:
        case ["run", count]:
            print(json.dumps(systemd_run(int(count))))
        case ["start", count, prefix]:
            asyncio.run(each([start(name, properties()) for name in names(count, prefix)]))
        case ["start", count, prefix, "-"]:
            text = sys.stdin.read()
            wanted = [start(name, composed(text, name)) for name in names(count, prefix)]
            asyncio.run(each(wanted))
        case ["stop", count, prefix]:
            asyncio.run(
                each([("StopUnit", "ss", [name, "replace"]) for name in names(count, prefix)])
            )
        case _:
            sys.exit(__doc__)


def names(count: str, prefix: str) -> list[str]:
    """The units that are started and stopped."""
    return [f"{prefix}{number}.service" for number in range(int(count))]


if __name__ == "__main__":
    main(sys.argv[1:])
