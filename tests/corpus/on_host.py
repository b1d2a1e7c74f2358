"""Runs inside a lab host: unit files as systemd reads them, and as fleetish starts them.

Input: JSON, a list of [file, unit, text, alone] (see cases.py), and whether to start them as an
agent too. Output: JSON, a list of

    native     what systemctl shows of the unit when systemd reads /run/systemd/system/FILE
    warnings   what systemd complained of while it read
    started    what is shown of the unit when it is started from its translated properties
    refused    … or why it could not be
    placed     what is shown of it when it is started as an agent does that
    kept_out   … or why it could not be

Nothing runs: each text ends in a condition that never holds, and no job pulls in another.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from fleetish.agent import facts
from fleetish.agent.compose import Composer
from fleetish.agent.settings import AgentSettings
from fleetish.errors import Refused
from fleetish.model import Assignment, Target
from fleetish.units.file import parse
from fleetish.units.properties import TransientUnit, translate
from fleetish.units.specifiers import Context

UNITS = Path("/run/systemd/system")
TRANSIENT = Path("/run/systemd/transient")
SHIPPED = Path("/usr/lib/systemd/system")
SYSTEMD = "org.freedesktop.systemd1"
#: Each unit held costs PID 1 a match rule on the bus, and at 512 of them the bus throws it out.
BATCH = 100
#: The machine and the cluster that the agent's units are labelled with.
MACHINE = CLUSTER = "m"

#: The properties of a service that does nothing.
NOTHING = [["ExecStart", Variant("a(sasb)", [["/bin/true", ["true"], False]])]]

Shown = dict[str, dict[str, str]]


class Case(NamedTuple):
    """As in cases.py."""

    file: str
    unit: str
    text: str
    alone: bool


def batches(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    """Those with names of their own together, the others one by one."""
    together = [one for one in cases if not one.alone]
    for first in range(0, len(together), BATCH):
        yield together[first : first + BATCH]
    for one in cases:
        if one.alone:
            yield [one]


def make_room(cases: Sequence[Case]) -> None:
    """Free the names that cases need: a bus name can have one loaded unit, a mount one file."""
    taken = [path for path in SHIPPED.glob("*.service") if "\nBusName=" in _text(path)]
    names = [path.name for path in taken]
    _systemctl("mask", "--runtime", "--now", *names)
    wanted = [one.file for one in cases if one.alone]
    for name in wanted:
        subprocess.run(["systemctl", "stop", "--quiet", name], stderr=subprocess.DEVNULL)
        for folder in (SHIPPED, Path("/etc/systemd/system")):
            (folder / name).unlink(missing_ok=True)
    reload()


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _systemctl(*argv: str) -> None:
    subprocess.run(["systemctl", "--quiet", *argv], check=True)


def reload() -> None:
    """Have systemd read all files again."""
    _systemctl("daemon-reload")


def show(units: Sequence[str]) -> Shown:
    """Unit to its properties; a property that is shown in several lines has them joined."""
    blocks = _shown(units).split("\n\n")
    if len(blocks) != len(units):  # a value has an empty line in it, or is no text
        blocks = [_shown([unit]) for unit in units]
    return dict(zip(units, map(_properties, blocks), strict=True))


def _shown(units: Sequence[str]) -> str:
    """What systemctl prints. What it cannot print is no property of a unit that is loaded."""
    argv = ["systemctl", "show", "--all", "--", *units]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"Id={units[0]}\nLoadState={done.stderr.strip()}"
    return done.stdout.removesuffix("\n")


def _properties(block: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in block.split("\n"):
        name, equals, value = line.partition("=")
        if equals and name.isalnum():
            found[name] = f"{found[name]}\n{value}" if name in found else value
        else:  # the rest of a value that has a newline in it
            last = next(reversed(found))
            found[last] += f"\n{line}"
    return found


def loaded(cases: Sequence[Case]) -> tuple[Shown, dict[str, list[str]]]:
    """What is shown of files that systemd reads itself, and what it complained of in each."""
    cursor = _cursor()
    for one in cases:
        (UNITS / one.file).write_text(one.text)
    reload()
    shown = show([one.unit for one in cases])
    complaints = _complaints(cursor, cases)
    for one in cases:
        (UNITS / one.file).unlink()
    reload()
    return shown, complaints


def _journal(*argv: str) -> list[dict[str, Any]]:
    subprocess.run(["journalctl", "--sync"], check=True)
    command = ["journalctl", "--output=json", "--quiet", "_PID=1", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _cursor() -> str:
    (last,) = _journal("--lines=1")
    return str(last["__CURSOR"])


def _complaints(cursor: str, cases: Sequence[Case]) -> dict[str, list[str]]:
    """systemd's warnings by unit; those of a template's file belong to its instance."""
    units = {one.file: one.unit for one in cases} | {one.unit: one.unit for one in cases}
    found: dict[str, list[str]] = {one.unit: [] for one in cases}
    for row in _journal(f"--after-cursor={cursor}", "--priority=warning"):
        unit = units.get(str(row.get("UNIT", "")))
        if unit:
            found[unit].append(str(row["MESSAGE"]))
    return found


class Bus:
    """A connection by which units are started, and held until they were looked at."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._jobs: set[str] = set()
        self._ended: set[str] = set()
        self._idle = asyncio.Event()
        bus.add_message_handler(self._hear)

    def _hear(self, message: Message) -> None:
        if message.member == "JobRemoved":
            self._ended.add(message.body[1])
            self._idle.set()

    async def listen(self) -> None:
        """Be told of jobs that ended."""
        match = f"type='signal',sender='{SYSTEMD}',member='JobRemoved'"
        await self._send("org.freedesktop.DBus", "AddMatch", "s", match)
        await self.call("Subscribe")

    async def settled(self) -> None:
        """Wait for the end of all jobs that were begun here."""
        while not self._jobs <= self._ended:
            self._idle.clear()
            await self._idle.wait()

    async def call(self, member: str, signature: str = "", *body: object) -> Message:
        """Call systemd's manager; its answer, which may be an error."""
        return await self._send(SYSTEMD, member, signature, *body)

    async def _send(self, name: str, member: str, signature: str, *body: object) -> Message:
        systemd = name == SYSTEMD
        reply = await self._bus.call(
            Message(
                destination=name,
                path="/org/freedesktop/systemd1" if systemd else "/org/freedesktop/DBus",
                interface=f"{SYSTEMD}.Manager" if systemd else name,
                member=member,
                signature=signature,
                body=list(body),
            )
        )
        assert reply is not None
        return reply

    async def start(self, unit: TransientUnit) -> str:
        """Start a unit, alone, and keep it loaded; what systemd objected.

        One that may not be started by itself is loaded with another, as what a socket activates is.
        """
        rows = [[row.name, Variant(row.signature, row.value)] for row in unit.properties]
        rows.append(["AddRef", Variant("b", True)])
        names = {row.name for row in unit.properties if row.value is True}
        call = [unit.name, "ignore-dependencies", rows, []]
        if "RefuseManualStart" in names:
            call = [f"with-{unit.name}", "ignore-dependencies", NOTHING, [[unit.name, rows]]]
        reply = await self.call("StartTransientUnit", "ssa(sv)a(sa(sv))", *call)
        if reply.message_type is MessageType.ERROR:
            return str(reply.body[0])
        self._jobs.add(reply.body[0])
        return ""


Make = Callable[[Case], TransientUnit]


async def started(cases: Sequence[Case], make: Make) -> tuple[Shown, dict[str, str]]:
    """What is shown of units that were started over the bus, and what stood against the others."""
    connection = await MessageBus(bus_type=BusType.SYSTEM).connect()
    bus = Bus(connection)
    await bus.listen()
    refused = {one.unit: problem for one in cases if (problem := await _start(bus, one, make))}
    await bus.settled()
    held = [one.unit for one in cases if one.unit not in refused]
    shown = await asyncio.to_thread(show, held) if held else {}
    for unit in held:
        await bus.call("UnrefUnit", "s", unit)
    connection.disconnect()
    await asyncio.to_thread(forget, held)
    return shown, refused


async def _start(bus: Bus, one: Case, make: Make) -> str:
    try:
        objection = await bus.start(make(one))
    except Refused as error:
        return str(error)
    return objection and f"systemd: {objection}"


def forget(units: Sequence[str]) -> None:
    """Free the names of units that stay loaded because units of the host name them."""
    left = [path for name in units if (path := TRANSIENT / name).exists()]
    for path in left:
        path.unlink(missing_ok=True)  # it may go of itself in this moment
    if left:
        reload()


def as_translated(context: Context) -> Make:
    """The unit with nothing but what its file says."""
    return lambda one: translate(parse(one.text, one.file), one.unit, context)


def as_placed(context: Context) -> Make:
    """The unit as this machine's agent composes it."""
    composer = Composer(context, CLUSTER, 10.0)

    def make(one: Case) -> TransientUnit:
        wish = Assignment(
            unit=one.unit, machine=MACHINE, hash=one.unit, launch=1, target=Target.LAUNCHED
        )
        return composer.compose(wish, one.text).unit

    return make


async def compare(cases: Sequence[Case], place: bool) -> list[dict[str, Any]]:
    """All readings of each case; as an agent starts it only with ``place``."""
    settings = AgentSettings()
    context = facts.context(facts.read(settings), settings)
    found: dict[str, dict[str, Any]] = {}
    for part in batches(cases):
        native, complaints = await asyncio.to_thread(loaded, part)
        once, refused = await started(part, as_translated(context))
        for one in part:
            row: dict[str, Any] = {"native": native[one.unit], "warnings": complaints[one.unit]}
            found[one.file] = row | _either("started", once, "refused", refused, one.unit)
        if place:
            again, kept_out = await started(part, as_placed(context))
            for one in part:
                found[one.file] |= _either("placed", again, "kept_out", kept_out, one.unit)
    return [found[one.file] for one in cases]


def _either(yes: str, shown: Shown, no: str, refused: dict[str, str], unit: str) -> dict[str, Any]:
    return {yes: shown[unit]} if unit in shown else {no: refused[unit]}


def main() -> None:
    """See the module's own description."""
    os.environ["SYSTEMD_COLORS"] = "0"
    rows, place = json.load(sys.stdin)
    given = [Case(*row) for row in rows]
    make_room(given)
    print(json.dumps(asyncio.run(compare(given, place))))


if __name__ == "__main__":
    main()
