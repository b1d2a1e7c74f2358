"""What systemd-run sends for a directive is what the table makes of it.

A private bus on which this test plays org.freedesktop.systemd1 receives the call; nothing is run.
Where systemd-run and systemd's reading of files differ, the file counts (test_on_systemd.py).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from dbus_fast import DBusError, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusSignature
from dbus_fast.service import ServiceInterface, dbus_method

from fleetish.units.file import parse
from fleetish.units.properties import translate
from fleetish.units.specifiers import Context
from tests.units.samples import SAMPLES, Sample

MISSING = [tool for tool in ("systemd-run", "dbus-daemon") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")

#: What systemd-run of version 252 does not know, or sends in another way to the same end.
DIFFERENT = {
    "OnSuccessJobMode": "unknown to systemd-run, taken by systemd",
    "OnFailureIsolate": "unknown to systemd-run; an older form of OnFailureJobMode=",
    "NonBlocking": "unknown to systemd-run, taken by systemd",
    "StartLimitInterval": "unknown to systemd-run; an older name",
    "BindTo": "unknown to systemd-run; an older name",
    "PropagateReloadTo": "unknown to systemd-run; an older name",
    "PropagateReloadFrom": "unknown to systemd-run; an older name",
    "ReadWriteDirectories": "an older name of ReadWritePaths=",
    "ReadOnlyDirectories": "an older name of ReadOnlyPaths=",
    "InaccessibleDirectories": "an older name of InaccessiblePaths=",
    "StandardInputText": "sent as the same bytes of StandardInputData",
    "LogExtraFields": "systemd-run takes the whole value as one field",
    "ExecSearchPath": "systemd-run does not part the list at its colons",
    "DeviceAllow": "permissions are sent where systemd-run lets systemd fill them in",
    "IPAddressDeny": "systemd-run takes only one word of the named networks",
    "IPAddressAllow": "systemd-run does not clear the host bits",
    "RestrictAddressFamilies": "none is refused by systemd as systemd-run sends it",
    "Sockets": "not on the bus; what the table makes of it is Wants= and After=",
    "Service": "not on the bus",
    "Unit": "not on the bus",
    "ExecStopPre": "unknown to systemd-run, taken by systemd",
    "ReadWriteOnly": "misspelled by systemd-run, taken by systemd",
    "SmackLabelIPIn": "spelled by systemd-run as systemd does not take it",
}
#: What systemd-run is told, by section, so that it sends the setting for a unit of that type.
SWITCHES = {
    "Socket": ("--socket-property",),
    "Timer": ("--on-boot=1week", "--timer-property"),
    "Path": ("--path-property",),
}
#: One line without quoting, specifiers or resets: these are the file reader's business.
PLAIN = [
    sample
    for sample in SAMPLES
    if len(sample.lines) == 1
    and sample.section in ("Unit", "Service", *SWITCHES)
    and not re.search(
        r"[%\"'\\;]|=$|=0$|=~$|:~|//|/$|@\.|/var/run/|=syslog|^\w+=\S*[|!] ", sample.label
    )
    and sample.label.partition("=")[0] not in DIFFERENT
]

CONFIGURATION = """<busconfig><type>session</type><listen>unix:path={path}</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
</policy></busconfig>"""


class Manager(ServiceInterface):
    """Stands where systemd would be: keeps the properties of the call and refuses it."""

    def __init__(self) -> None:
        super().__init__("org.freedesktop.systemd1.Manager")
        self.properties: list[list[Any]] = []

    @dbus_method()
    def StartTransientUnit(
        self,
        name: Annotated[str, DBusSignature("s")],
        mode: Annotated[str, DBusSignature("s")],
        properties: Annotated[list[list[Any]], DBusSignature("a(sv)")],
        aux: Annotated[list[list[Any]], DBusSignature("a(sa(sv))")],
    ) -> Annotated[str, DBusSignature("o")]:
        self.properties = properties
        raise DBusError("org.example.Seen", "seen")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A message bus of our own."""
    folder: Path = tmp_path_factory.mktemp("bus")
    configuration = folder / "bus.conf"
    configuration.write_text(CONFIGURATION.format(path=folder / "socket"))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        yield f"unix:path={folder / 'socket'}"
        daemon.terminate()


async def sent(address: str, samples: list[Sample]) -> dict[str, object]:
    """Sample to what systemd-run sends for it, or what it said instead."""
    bus = await MessageBus(bus_address=address).connect()
    manager = Manager()
    bus.export("/org/freedesktop/systemd1", manager)
    await bus.request_name("org.freedesktop.systemd1")
    found: dict[str, object] = {}
    for sample in samples:
        manager.properties = []
        said = await run(address, sample)
        found[sample.title] = [plain(row) for row in manager.properties] or said
    bus.disconnect()
    return found


async def run(address: str, sample: Sample) -> str:
    """Run systemd-run with one setting against our bus; what it wrote."""
    *before, switch = SWITCHES.get(sample.section, ("--wait", "--property"))
    setting = f"{switch}={sample.lines[0]}"
    argv = ("systemd-run", "--user", "-q", "--unit=x.service", *before, setting, "/bin/false")
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": address},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    return said.decode()


def plain(value: object) -> object:
    """Values of the bus in the lists that the table makes."""
    if isinstance(value, Variant):
        return [value.signature, plain(value.value)]
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def test_the_table_makes_what_systemd_run_sends(address: str) -> None:
    theirs = asyncio.run(sent(address, PLAIN))
    ours = {
        sample.title: [
            [row.name, [row.signature, plain(row.value)]]
            for row in translate(parse(sample.text), f"x.{sample.kind}", Context()).properties
        ]
        for sample in PLAIN
    }
    assert len(PLAIN) > 480
    assert {k: own(v) for k, v in ours.items()} == {k: own(v) for k, v in theirs.items()}


def own(rows: object) -> object:
    """Without what frames every call: systemd-run's own command and ours, and its defaults."""
    frame = (
        ["AddRef", ["b", True]],
        ["Description", ["s", "/bin/false"]],
        ["ExecStart", ["a(sasb)", [["/bin/false", ["/bin/false"], False]]]],
        ["ExecStart", ["a(sasb)", [["/bin/true", ["/bin/true"], False]]]],
        ["RemainAfterExit", ["b", True]],
        ["RemainAfterElapse", ["b", False]],
        ["Conditions", ["a(sbbs)", [["ConditionPathExists", False, True, "/"]]]],
        ["Listen", ["a(ss)", [["Stream", "/run/base"]]]],
        ["TimersMonotonic", ["a(st)", [["OnBootSec", 604_800_000_000]]]],
        ["Paths", ["a(ss)", [["PathExists", "/nonexistent"]]]],
    )
    return [row for row in rows if row not in frame] if isinstance(rows, list) else rows
