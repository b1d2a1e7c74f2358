"""What people get wrong: told clearly by the command line and the API, and nothing half done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from fleetish.client import Client
from fleetish.errors import Conflict
from fleetish.lab.cluster import Lab
from fleetish.wire import Wish
from tests.lab.auditor import homes, mains
from tests.lab.hearing import begun, opened
from tests.lab.history import revision, wishes

pytestmark = pytest.mark.lab

GOOD = "[Service]\nExecStart=/bin/sleep infinity\n"


class Bad(NamedTuple):
    """A file, and what is to be said of it: at which line, of which directive."""

    name: str
    text: str
    said: str
    line: int = 0
    directive: str = ""


BAD = {
    "no section": Bad("bad.service", "ExecStart=/bin/true\n", "cannot take a line before", 1),
    "no assignment": Bad("bad.service", "[Service]\nExecStart /bin/true\n", "is not Name=Value", 2),
    "unclosed section": Bad("bad.service", GOOD + "[Install\n", "[Install", 3),
    "unknown directive": Bad(
        "bad.service", GOOD + "ExecStrat=/bin/true\n", "cannot use ExecStrat=", 3, "ExecStrat"
    ),
    "bad value": Bad(
        "bad.service", GOOD + "MemoryMax=lots\n", "cannot use MemoryMax=lots", 3, "MemoryMax"
    ),
    "control character": Bad(
        "bad.service", "[Unit]\nDescription=a\x01b\n" + GOOD, "control character '\\x01'", 2
    ),
    "contradictory options": Bad(
        "bad.service",
        GOOD + "[X-Fleet]\nMachineID=abc\nGlobal=true\n",
        "MachineID cannot be used with Global",
        5,
        "Global",
    ),
    "peer in conflict": Bad(
        "bad.service",
        GOOD + "[X-Fleet]\nMachineOf=a.service\nConflicts=a*\n",
        'peer "a.service" matches conflict "a*"',
        5,
        "Conflicts",
    ),
    "1 MiB": Bad("bad.service", GOOD + "#" + "x" * (1 << 20) + "\n", "the limit is"),
    "no ExecStart": Bad("bad.service", "[Service]\nType=simple\n", "ExecStart"),
    "another type": Bad("bad.target", "[Unit]\nDescription=x\n", "cannot run bad.target"),
    "name too long": Bad(f"{'a' * 250}.service", GOOD, "longer than 255 bytes"),
    "no name": Bad("@1.service", GOOD, "as a unit name"),
}


@pytest.fixture
def fleet(lab: Lab) -> Iterator[Client]:
    with Client(lab.endpoint) as fleet:
        yield fleet


def command(lab: Lab, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a directory, against the lab."""
    environ = {**os.environ, "FLEETISH_ENDPOINT": lab.endpoint}
    line = [sys.executable, "-m", "fleetish.cli.main", *argv]
    return subprocess.run(line, capture_output=True, text=True, env=environ, cwd=folder)


def post(lab: Lab, body: object) -> tuple[int, dict[str, Any]]:
    """The status and body of POST /v1/units."""
    answer = requests.post(f"{lab.endpoint}/v1/units", json=body, timeout=30)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_where_it_is_bad(lab: Lab, bad: Bad, tmp_path: Path) -> None:
    before = wishes(lab)
    status, body = post(
        lab, {"units": [{"name": bad.name, "text": bad.text, "target": "launched"}]}
    )
    error = body["error"]
    assert status == (413 if len(bad.text) > 1 << 20 else 400)
    if bad.line:
        (problem,) = error["problems"]
        assert problem["where"] == f"{bad.name}:{bad.line}"
        assert bad.said in problem["message"]
        assert bad.directive in ("", problem["directive"])
    elif status == 400:
        assert bad.said in str(error)
    if len(bad.name) <= 255:
        (tmp_path / bad.name).write_text(bad.text)
    done = command(lab, tmp_path, "start", bad.name)
    assert (done.returncode, done.stdout) == (1, "")
    assert bad.said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if bad.line:
        assert done.stderr.count(f"{bad.name}:{bad.line}: ") == 1
    assert wishes(lab) == before


def test_one_bad_unit_among_many_changes_nothing(lab: Lab, fleet: Client, tmp_path: Path) -> None:
    (tmp_path / "bulk@.service").write_text(GOOD)
    (tmp_path / "bulk-bad.service").write_text(GOOD + "NoSuch=1\n")
    before, keys = revision(lab), wishes(lab)
    done = command(lab, tmp_path, "start", "bulk@{1..20}", "bulk-bad")
    assert done.returncode == 1
    assert "bulk-bad.service:3: cannot use NoSuch=" in done.stderr
    bodies: list[list[dict[str, str]]] = [
        [{"name": "bulk-a.service", "text": GOOD}, {"name": "bulk-b.service", "text": "["}],
        [{"name": "bulk-a.service", "text": GOOD}, {"name": "bulk-b.service"}],
        [{"name": "bulk-a.service", "text": GOOD, "target": "up"}],
        [{"name": "bulk-a.service", "text": GOOD}] * 2,
    ]
    answers = [post(lab, {"units": body})[0] for body in bodies]
    assert answers == [400, 404, 400, 400]
    assert wishes(lab) == keys
    assert revision(lab) == before, "nothing at all was written"


def test_a_unit_that_exists_with_another_text_stays_as_it_is(lab: Lab, fleet: Client) -> None:
    fleet.submit([Wish(name="bulk-old.service", text=GOOD)])
    try:
        keys = wishes(lab)
        other = GOOD + "Nice=5\n"
        with pytest.raises(Conflict, match="it exists with another text"):
            fleet.submit(
                [
                    Wish(name="bulk-new.service", text=other),
                    Wish(name="bulk-old.service", text=other),
                ]
            )
        assert wishes(lab) == keys
    finally:
        fleet.destroy(["bulk-old.service"])


def test_a_newline_in_a_value_never_becomes_a_directive(lab: Lab, fleet: Client) -> None:
    """systemd reads what it wrote of a transient unit again at each daemon-reload."""
    text = (
        "[Service]\nExecStart=/bin/sh -c 'exec sleep infinity' \"x\\nExecStartPre=/bin/false\"\n"
        'Environment="A=b\\nExecStartPre=/bin/false"\n[X-Fleet]\nMachineMetadata=host=node2\n'
    )
    unit = "newline.service"
    show = ["systemctl", "show", unit, "-pExecStartPre", "-pEnvironment", "-pActiveState"]
    with opened(lab) as found, begun(found, text, unit):
        before = mains(lab, "node2", unit)
        lab.exec("node2", ["systemctl", "daemon-reload"], check=True)
        assert mains(lab, "node2", unit) == before != {}
        shown = lab.exec("node2", show, check=True).stdout
        environment, *others = shown.splitlines()
        assert environment.startswith('Environment="A=b\\nExecStartPre=/bin/false" FLEETISH_')
        assert others == ["ActiveState=active"]


@pytest.mark.parametrize("verb", ["start", "load"])
def test_a_template_is_not_a_unit_to_run(lab: Lab, tmp_path: Path, verb: str) -> None:
    (tmp_path / "tpl@.service").write_text(GOOD)
    before = wishes(lab)
    done = command(lab, tmp_path, verb, "tpl@.service")
    assert done.returncode == 1
    assert "it is a template (start an instance, such as tpl@1.service)" in done.stderr
    missing = command(lab, tmp_path, verb, "nothing@1.service")
    assert missing.returncode == 1
    assert "cannot find nothing@1.service" in missing.stderr
    assert wishes(lab) == before


def test_the_host_keeps_what_bears_its_name(lab: Lab, fleet: Client, tmp_path: Path) -> None:
    (tmp_path / "dbus.service").write_text(GOOD + "[X-Fleet]\nMachineMetadata=host=node2\n")
    before = mains(lab, "node2", "dbus.service")
    done = command(lab, tmp_path, "start", "dbus.service")
    try:
        assert done.returncode == 1
        assert "node2: cannot start dbus.service" in done.stderr
        assert "belongs to this host" in done.stderr
        (state,) = fleet.states(unit="dbus.service")
        assert ("belongs to this host" in state.error, state.active) == (True, "inactive")
        assert command(lab, tmp_path, "unload", "dbus.service").returncode == 0
    finally:
        gone = command(lab, tmp_path, "destroy", "dbus.service")
    assert (gone.returncode, gone.stderr) == (0, "")
    assert mains(lab, "node2", "dbus.service") == before
    assert homes(lab).get("dbus.service") is None


@pytest.mark.parametrize(
    ("option", "said"),
    [("Memory=9999G", "MiB memory"), ("CPUs=5000", "CPUs"), ("MachineMetadata=rack=r99", "rack")],
)
def test_what_fits_nowhere_waits_and_says_why(
    lab: Lab, fleet: Client, tmp_path: Path, option: str, said: str
) -> None:
    (tmp_path / "huge.service").write_text(f"{GOOD}[X-Fleet]\n{option}\n")
    done = command(lab, tmp_path, "start", "--timeout", "1", "huge.service")
    try:
        assert done.returncode == 3
        assert "huge.service waits for a machine that fits" in done.stderr
        assert done.stderr.count(said) == len(lab.hosts)
        explained = fleet.explain("huge.service")
        assert explained.reason == "none of 3 machines takes it"
        assert [(row.fits, said in row.reason) for row in explained.machines] == [
            (False, True)
        ] * len(lab.hosts)
        assert not [key for key in wishes(lab) if "/placement/" in key and "huge" in key]
    finally:
        assert command(lab, tmp_path, "destroy", "huge.service").returncode == 0


def test_wrong_usage_is_told_apart(lab: Lab, tmp_path: Path) -> None:
    for argv in (["start", "--bogus"], ["bogus"], ["start", "--timeout", "soon", "a.service"]):
        done = command(lab, tmp_path, *argv)
        assert (done.returncode, done.stderr != "") == (2, True)
    nobody = {**os.environ, "FLEETISH_ENDPOINT": "http://127.0.0.1:9"}
    line = [sys.executable, "-m", "fleetish.cli.main", "list-units"]
    done = subprocess.run(line, capture_output=True, text=True, env=nobody, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot reach the API at http://127.0.0.1:9" in done.stderr
