"""Runs inside a lab host: each unit text from standard input both ways, what systemctl shows.

Input: a JSON list of texts. Output: a JSON list of {"refused": text} or {"native": {…},
"transient": {…}}, the properties of the unit as systemd loaded it from a file and as it was made
from the translated properties, with the two names made alike. Or one text, and what is shown of it
before and after a daemon-reload.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from fleetish.errors import BadUnit
from fleetish.units.file import parse
from fleetish.units.fragment import fragment
from fleetish.units.properties import TransientUnit, translate
from fleetish.units.specifiers import Context

BATCH = 100
UNITS = Path("/run/systemd/system")
PEER = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
PEERS = ("a", "b", "c", "f", "g", "x@", r"y\x2dz")


def names(at: int) -> tuple[str, str]:
    return f"case{at}n.service", f"case{at}t.service"


async def start(bus: MessageBus, unit: TransientUnit) -> str:
    """Start the unit and keep it loaded as long as the bus is open; what systemd objected."""
    properties = [[row.name, Variant(row.signature, row.value)] for row in unit.properties]
    reply = await bus.call(
        Message(
            destination="org.freedesktop.systemd1",
            path="/org/freedesktop/systemd1",
            interface="org.freedesktop.systemd1.Manager",
            member="StartTransientUnit",
            signature="ssa(sv)a(sa(sv))",
            body=[unit.name, "replace", [*properties, ["AddRef", Variant("b", True)]], []],
        )
    )
    assert reply is not None
    return str(reply.body[0]) if reply.message_type is MessageType.ERROR else ""


def show(units: list[str]) -> dict[str, dict[str, str]]:
    """Unit to its properties; a property that is shown in several lines has them joined."""
    argv = ["systemctl", "show", "--all", "--", *units]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, str]] = {}
    for block in done.stdout.strip().split("\n\n"):
        rows: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition("=")
            # What is no name is the rest of an argument that has a newline in it.
            key, value = (name, value) if name.isalnum() else (next(reversed(rows)), line)
            rows[key] = f"{rows[key]}\n{value}" if key in rows else value
        found[rows["Id"]] = rows
    return found


def write(texts: list[str]) -> None:
    """Load every text as a file of systemd's own, and the units that the texts name."""
    for peer in PEERS:
        (UNITS / f"{peer}.service").write_text(PEER)
    for at, text in enumerate(texts):
        (UNITS / names(at)[0]).write_text(text)
    subprocess.run(["systemctl", "daemon-reload"], check=True)


async def compare(texts: list[str]) -> list[dict[str, Any]]:
    """Start every text as a transient unit and show both kinds while they are held.

    A batch at a time: each unit held costs PID 1 a match rule on the bus, and at 512 of them the
    bus throws it out.
    """
    results: list[dict[str, Any]] = []
    for first in range(0, len(texts), BATCH):
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        part = list(enumerate(texts[first : first + BATCH], first))
        rows = [await attempt(bus, text, at) for at, text in part]
        units = [name for at, _ in part for name in names(at)]
        shown = await asyncio.to_thread(show, units)
        results += [row or alike(at, shown) for (at, _), row in zip(part, rows, strict=True)]
        bus.disconnect()
    return results


async def attempt(bus: MessageBus, text: str, at: int) -> dict[str, Any]:
    try:
        unit = translate(parse(text), names(at)[1], Context())
    except BadUnit as error:
        return {"refused": str(error)}
    objection = await start(bus, unit)
    return {"refused": f"systemd: {objection}"} if objection else {}


def alike(at: int, shown: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The properties of both, each with its own name replaced."""
    rows: dict[str, Any] = {}
    for kind, name in zip(("native", "transient"), names(at), strict=True):
        stem = name.removesuffix(".service")
        rows[kind] = {key: value.replace(stem, "NAME") for key, value in shown[name].items()}
    return rows


async def reloaded(text: str) -> list[dict[str, str]]:
    """What is shown of a unit whose own file was replaced by ``fragment``, before and after a
    daemon-reload."""
    name = "fragment@7.service"
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    objection = await start(bus, translate(parse(text), name, Context()))
    assert not objection, objection
    path = Path("/run/systemd/transient") / name
    was = path.stat().st_mtime_ns
    path.write_text(fragment(parse(text)))
    os.utime(path, ns=(was, was))
    before = await asyncio.to_thread(show, [name])
    await asyncio.to_thread(subprocess.run, ["systemctl", "daemon-reload"], check=True)
    after = await asyncio.to_thread(show, [name])
    bus.disconnect()
    return [before[name], after[name]]


if __name__ == "__main__":
    given = json.load(sys.stdin)
    if isinstance(given, str):
        answer: object = asyncio.run(reloaded(given))
    else:
        write(given)
        answer = asyncio.run(compare(given))
    print(json.dumps(answer))
