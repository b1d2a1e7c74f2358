"""Runs inside a lab host: each unit text from standard input both ways, what systemd shows.

Input: a JSON list of [unit type, text]. Output: a JSON list of {"refused": text} or {"native": {…},
"transient": {…}}, the properties of the unit as systemd loaded it from a file and as it was made
from the translated properties, with the two names made alike. Or an object of unit type to text,
and of each what is shown of it before and after a daemon-reload.

What a unit activates is there beside it: as a file, and as an auxiliary unit of the same call.
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
from fleetish.units.bonds import ACTIVATES
from fleetish.units.file import parse
from fleetish.units.fragment import fragment
from fleetish.units.properties import TransientUnit, translate
from fleetish.units.specifiers import Context

BATCH = 100
UNITS = Path("/run/systemd/system")
PEER = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
PEERS = ("a", "b", "c", "f", "g", "x@", r"y\x2dz")
#: What an activated unit of each type is.
ACTIVATED = {"service": PEER, "mount": "[Mount]\nWhat=tmpfs\nType=tmpfs\n"}
#: What systemctl shows as unprintable is asked for on the bus.
UNPRINTABLE = "[unprintable]"
DESTINATION = "org.freedesktop.systemd1"

Case = tuple[str, str]


def names(at: int, kind: str) -> tuple[str, str]:
    return f"case{at}n.{kind}", f"case{at}t.{kind}"


def activated(name: str) -> str:
    """The unit that systemd activates by this one, "" for none."""
    stem, _, kind = name.rpartition(".")
    return f"{stem}.{ACTIVATES[kind][2]}" if kind in ACTIVATES else ""


def properties(unit: TransientUnit) -> list[list[Any]]:
    return [[row.name, Variant(row.signature, row.value)] for row in unit.properties]


async def start(bus: MessageBus, unit: TransientUnit) -> str:
    """Start the unit and keep it loaded as long as the bus is open; what systemd objected."""
    other = activated(unit.name)
    text = ACTIVATED.get(other.rpartition(".")[2], "")
    more = [[other, properties(translate(parse(text), other, Context()))]] if other else []
    given = [*properties(unit), ["AddRef", Variant("b", True)]]
    reply = await bus.call(
        Message(
            destination=DESTINATION,
            path="/org/freedesktop/systemd1",
            interface="org.freedesktop.systemd1.Manager",
            member="StartTransientUnit",
            signature="ssa(sv)a(sa(sv))",
            body=[unit.name, "replace", given, more],
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


async def print_the_unprintable(bus: MessageBus, name: str, row: dict[str, str]) -> None:
    """Fill in the properties for which systemctl has no form."""
    wanted = [key for key, value in row.items() if value == UNPRINTABLE]
    if not wanted:
        return
    path = "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):02x}" for c in name)
    reply = await bus.call(
        Message(
            destination=DESTINATION,
            path=f"/org/freedesktop/systemd1/unit/{path}",
            interface="org.freedesktop.DBus.Properties",
            member="GetAll",
            signature="s",
            body=[""],
        )
    )
    assert reply is not None
    assert reply.message_type is MessageType.METHOD_RETURN, name
    for key in wanted:
        value = reply.body[0][key].value
        if key in ("Conditions", "Asserts"):
            value = [one[:-1] for one in value]  # the last item is what came of it
        row[key] = repr(sorted(value) if key.endswith(("Credential", "Encrypted")) else value)


def write(cases: list[Case]) -> None:
    """Load every text as a file of systemd's own, and the units that the texts name."""
    for peer in PEERS:
        (UNITS / f"{peer}.service").write_text(PEER)
    for at, (kind, text) in enumerate(cases):
        name = names(at, kind)[0]
        (UNITS / name).write_text(text)
        other = activated(name)
        if other:
            (UNITS / other).write_text(ACTIVATED[other.rpartition(".")[2]])
    subprocess.run(["systemctl", "daemon-reload"], check=True)


async def compare(cases: list[Case]) -> list[dict[str, Any]]:
    """Start every text as a transient unit and show both kinds while they are held.

    A batch at a time: each unit held costs PID 1 a match rule on the bus, and at 512 of them the
    bus throws it out.
    """
    results: list[dict[str, Any]] = []
    for first in range(0, len(cases), BATCH):
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        part = list(enumerate(cases[first : first + BATCH], first))
        rows = [await attempt(bus, case, at) for at, case in part]
        units = [name for at, (kind, _) in part for name in names(at, kind)]
        shown = await asyncio.to_thread(show, units)
        for name, row in shown.items():
            await print_the_unprintable(bus, name, row)
        results += [
            row or alike(names(at, kind), shown)
            for (at, (kind, _)), row in zip(part, rows, strict=True)
        ]
        bus.disconnect()
    return results


async def attempt(bus: MessageBus, case: Case, at: int) -> dict[str, Any]:
    kind, text = case
    try:
        unit = translate(parse(text), names(at, kind)[1], Context())
    except BadUnit as error:
        return {"refused": str(error)}
    objection = await start(bus, unit)
    return {"refused": f"systemd: {objection}"} if objection else {}


def alike(pair: tuple[str, str], shown: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The properties of both, each with its own name replaced."""
    rows: dict[str, Any] = {}
    for kind, name in zip(("native", "transient"), pair, strict=True):
        stem = name.rpartition(".")[0]
        rows[kind] = {key: value.replace(stem, "NAME") for key, value in shown[name].items()}
    return rows


async def reloaded(texts: dict[str, str]) -> dict[str, list[dict[str, str]]]:
    """What is shown of units whose own files were replaced by ``fragment``, before and after a
    daemon-reload."""
    plain = ("mount", "slice")  # which have no instances
    units = {kind: f"{kind}.{kind}" if kind in plain else f"{kind}@7.{kind}" for kind in texts}
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    for kind, name in units.items():
        objection = await start(bus, translate(parse(texts[kind]), name, Context()))
        assert not objection, objection
        keep(Path("/run/systemd/transient") / name, fragment(parse(texts[kind])))
    names = list(units.values())
    before = await asyncio.to_thread(show, names)
    await asyncio.to_thread(subprocess.run, ["systemctl", "daemon-reload"], check=True)
    after = await asyncio.to_thread(show, names)
    bus.disconnect()
    return {kind: [before[name], after[name]] for kind, name in units.items()}


def keep(path: Path, text: str) -> None:
    """Replace a unit's file so that systemd does not call it changed."""
    was = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(was, was))


if __name__ == "__main__":
    given = json.load(sys.stdin)
    if isinstance(given, dict):
        answer: object = asyncio.run(reloaded(given))
    else:
        write(given)
        answer = asyncio.run(compare(given))
    print(json.dumps(answer))
