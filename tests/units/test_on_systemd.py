"""On a real systemd: a translated unit is the unit that systemd reads from the same file."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from fleetish.lab.cluster import Lab
from tests.units.samples import SAMPLES

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parent.parent.parent

#: What differs between a unit in a file and a transient one, or between one that has run and one
#: that has not. Not compared.
OF_THE_RUN = re.compile(
    r"Transient|FragmentPath|UnitFile(State|Preset)|InvocationID|.*Timestamp(Monotonic)?"
    r"|(Active|Sub)State|(Condition|Assert)?Result|ExecMain(Code|Status|PID)|(Main|Control)PID"
    r"|ControlGroup(Id)?|NRestarts|Status(Errno|Text)|Job|Refs|WatchdogUSec|TasksCurrent"
    r"|(CPUUsage|IO|IP|Memory)(NSec|Read|Write|Ingress|Egress|Current|Available)\w*"
    r"|Effective(CPUs|MemoryNodes)|UID|GID|Names|Id|NeedDaemonReload|Can(Start|Stop|Clean)"
)
#: Lists that systemd keeps in hash tables: the order says nothing.
UNORDERED = frozenset(
    {
        "After",
        "Before",
        "Requires",
        "Wants",
        "Conflicts",
        "RequiresMountsFor",
        "IPAddressAllow",
        "IPAddressDeny",
    }
)
#: What these cases have of their own.
EXPECTED: dict[str, dict[str, tuple[str, str]]] = {
    # On the bus, systemd leaves out a network that lies in another one at once.
    "[Service] IPAddressAllow=10.0.0.1 && IPAddressAllow=::1/64 localhost": {
        "IPAddressAllow": (
            "10.0.0.1/32 127.0.0.0/8 ::/64 ::1/128",
            "10.0.0.1/32 127.0.0.0/8 ::/64",
        )
    },
    # Said by the socket itself where there is one.
    "[Service] Sockets=%N.socket": {"TriggeredBy": ("NAME.socket", "")},
    "[Service] Sockets=%N.socket && Sockets= && Sockets=%p.socket": {
        "TriggeredBy": ("NAME.socket", "")
    },
}
#: Taken from no file: two loaded units cannot have one bus name, and a scope has none.
CASES = [
    sample
    for sample in SAMPLES
    if sample.label != "BusName=org.example.X" and sample.kind != "scope"
]


#: What systemd 252 would forget of a transient unit at a daemon-reload, and one of each other type.
KEPT = {
    "service": """
[Unit]
Description=100%% %p
[Service]
ExecStart=/bin/sh -c "echo %i $FOO; sleep 1000"
ExecReload=+/bin/kill -HUP $MAINPID
ExecStopPost=!/bin/echo "a\\nb" $BAR
RestrictNamespaces=yes
CPUQuota=12.5%
LogExtraFields="A=x y"
""",
    "socket": "[Socket]\nListenStream=/run/%p.sock\nListenStream=@%p\n"
    'Symlinks="/run/a %i"\nFileDescriptorName=%p\nSocketMode=0600\nMark=3\n',
    "timer": "[Timer]\nOnCalendar=Mon..Fri *-*~7/1 8:0:0/0.5 UTC\nOnBootSec=1w\nOnCalendar=daily\n"
    "AccuracySec=1us\nPersistent=yes\n",
    "path": "[Path]\nPathExists=/a b/%i\nPathChanged=/c\nTriggerLimitBurst=7\n",
    "mount": "[Mount]\nWhat=tmpfs\nType=tmpfs\nOptions=size=1%%\nTimeoutSec=0\n",
    "slice": "[Slice]\nMemoryMax=12.5%\nCPUQuota=12.5%\n",
}


#: What systemd says of a mount from a file too only until a daemon-reload.
FORGETS = {"mount": {"ExecMount", "SourcePath"}}


def ask(host: Lab, question: object) -> Any:
    """The answer of on_host.py, run inside the host."""
    python = str(Path(sys.prefix) / "bin/python")
    argv = ["env", f"PYTHONPATH={ROOT}", python, "-m", "tests.units.on_host"]
    done = host.exec("node1", argv, stdin=json.dumps(question), check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def seen(host: Lab) -> dict[str, dict[str, Any]]:
    """Label of each sample to what the host made of it."""
    answers = ask(host, [[case.kind, case.text] for case in CASES])
    return {case.title: answer for case, answer in zip(CASES, answers, strict=True)}


def test_a_daemon_reload_changes_nothing_of_units_with_their_fragments(host: Lab) -> None:
    shown = ask(host, KEPT)
    for kind, (before, after) in shown.items():
        assert set(differences(before, after)) == FORGETS.get(kind, set()), kind
        kept = [
            (row.get("MainPID"), row["ActiveState"], row["NeedDaemonReload"])
            for row in (before, after)
        ]
        assert kept == [(before.get("MainPID"), "active", "no")] * 2


def test_systemd_takes_the_properties_of_every_directive(seen: dict[str, dict[str, Any]]) -> None:
    assert {label: row["refused"] for label, row in seen.items() if "refused" in row} == {}


def test_systemd_loads_the_file_of_every_directive(seen: dict[str, dict[str, Any]]) -> None:
    states = {label: row["native"]["LoadState"] for label, row in seen.items()}
    assert {label: state for label, state in states.items() if state != "loaded"} == {}


def test_systemctl_shows_the_same_as_for_the_file(seen: dict[str, dict[str, Any]]) -> None:
    found = {label: differences(row["native"], row["transient"]) for label, row in seen.items()}
    assert {label: rows for label, rows in found.items() if rows} == EXPECTED


def differences(native: dict[str, str], transient: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Property to its two values, where they differ."""
    pairs = {
        key: (normal(key, native.get(key, "")), normal(key, transient.get(key, "")))
        for key in sorted(native.keys() | transient.keys())
        if not OF_THE_RUN.fullmatch(key)
    }
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def normal(key: str, value: str) -> str:
    """A shown value without the times of runs, and sorted where order says nothing."""
    if key.startswith("Exec"):
        return re.sub(r" ; start_time=.*?(?=\}|$)", "", value, flags=re.DOTALL)
    return " ".join(sorted(value.split())) if key in UNORDERED else value
