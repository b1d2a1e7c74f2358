"""Files that somebody got wrong, or made to do harm: an error that says where, or what systemd
reads; never another meaning."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from fleetish.errors import BadUnit
from fleetish.units.file import decode, parse
from fleetish.units.properties import Property, translate
from fleetish.units.specifiers import Context
from fleetish.units.verify import verify
from tests.units.samples import sample

HOST = Context(hostname="a\nUser=root", pretty_hostname="a\0b")


def refused(text: str) -> str:
    with pytest.raises(BadUnit) as caught:
        translate(parse(text, "f"), "web.service", HOST)
    return str(caught.value)


def service(line: str) -> str:
    return f"[Service]\nExecStart=/bin/true\n{line}\n"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Environment=A=\0", "cannot take Environment: it holds the control character '\\x00'"),
        ("Environment=A=\rB", "cannot take Environment: it holds the control character '\\r'"),
        ("SyslogIdentifier=%q", "its value would hold a control character"),
        ("User=%H", "'a\\nUser=root' is no name of a user or group"),
        ('LogExtraFields="A=x\\ny"', "its value would hold a control character"),
        ("StandardInputText=\\x00", "an escape stands for the NUL character"),
        ("StandardInputText=\\q", "a backslash in it begins no escape such as \\n or \\x20"),
        ("User=a%", "cannot expand '%': there is no such specifier"),
        ("User=%", "cannot expand '%': there is no such specifier"),
        ("User=%%%", "cannot expand '%': there is no such specifier"),
        ("User=%{", "cannot expand '%{': there is no such specifier"),
        ('Environment="A=1', "a quote is not closed"),
        ("Environment='A=1\"", "a quote is not closed"),
        ('ExecStop=/bin/echo "a', "a quote is not closed"),
        ('ReadWritePaths="/a', "a quote is not closed"),
        ("ExecStop=/bin/echo \\xff", "its escapes do not make UTF-8 text"),
        ("ReadWritePaths=/" + "x" * 256, "is longer than a path can be"),
        ("ReadWritePaths=" + "/x" * 70_000, "is longer than a path can be"),
        ("Environment=A=" + "x" * 131_070, "a word of 131072 bytes; the kernel passes 131071"),
        ("ExecStop=/bin/a " + "ä" * 65_536, "a word of 131072 bytes; the kernel passes 131071"),
        ("User=" + "x" * 131_072, "is no name of a user or group"),
        ("Nice=" + "9" * 131_072, "cannot use Nice="),
        ("TimeoutSec=" + "9" * 131_072, "cannot use TimeoutSec="),
        ("MemoryMax=" + "9" * 131_072, "cannot use MemoryMax="),
        ("CPUAffinity=0-99999999999", "it is not within"),
        ("IPAddressAllow=" + "1" * 131_072, "is no address or prefix"),
    ],
)
def test_a_bad_value_is_refused_with_its_line(line: str, problem: str) -> None:
    found = refused(service(line))
    assert problem in found
    assert found.startswith("f:3: cannot ")
    assert len(found) < 500


def test_an_escaped_escape_is_resolved_once() -> None:
    text = service('Environment="A=\\\\n" "B=\\\\x41" "C=%%n" D=\\x25n')
    found = translate(parse(text), "web.service", Context()).properties
    assert found[-1] == Property("Environment", "as", ["A=\\n", "B=\\x41", "C=%n", "D=web.service"])


def test_an_expansion_is_not_expanded_again() -> None:
    host = Context(hostname="%n", pretty_hostname='a" "B=2')
    text = service('SyslogIdentifier=%H\nEnvironment="A=%q"')
    found = translate(parse(text), "web.service", host).properties
    assert found[1:] == (
        Property("SyslogIdentifier", "s", "%n"),
        Property("Environment", "as", ['A=a" "B=2']),
    )


def test_a_section_may_be_opened_again_and_a_directive_repeated() -> None:
    text = service("Nice=1\n[Unit]\nDescription=a\n[Service]\nNice=2\n[Unit]\nDescription=b")
    found = translate(parse(text), "web.service", Context()).properties
    assert found[1:] == (Property("Nice", "i", 2), Property("Description", "s", "b"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[Servce]\nNice=1\n", "f:2: cannot use the section [Servce]"),
        ("[Service\nNice=1\n", "f:1: cannot read the section header"),
        ("[service]\nNice=1\n", "f:2: cannot use the section [service]"),
        ("Nice=1\n[Service]\n", "f:1: cannot take a line before the first [Section]"),
        ("[Service]\n=1\n", "f:2: cannot read '=1': it is not Name=Value"),
        (
            "[A]\nB=" + "x" * 2**20,
            "f: cannot take a unit file of 1048582 bytes",
        ),
    ],
)
def test_a_text_that_is_no_unit_file_is_refused(text: str, problem: str) -> None:
    assert refused(text).startswith(problem)


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    with pytest.raises(BadUnit) as caught:
        decode(b"[Unit]\nDescription=\xc3\xa4\nDocumentation=\xff\n", "f")
    assert str(caught.value) == "f:3: cannot read the byte 0xff at offset 36: not UTF-8"
    assert decode("ä\r\n".encode(), "f") == "ä\r\n"


@pytest.mark.parametrize(
    "value",
    [
        "\\" * 200_000,
        '"' * 200_001,
        "%" * 200_001,
        "a" * 400_000,
        '"\\' * 100_000,
        " ".join(["a"] * 100_000),
        "1s " * 60_000,
        "1" * 100_000 + "." + "1" * 100_000,
        "1," * 100_000,
        ":" * 200_000,
        "/." * 100_000,
    ],
    ids=lambda value: value[:6],
)
@pytest.mark.parametrize(
    "key",
    [
        *("Service.ExecStop", "Service.Environment", "Service.BindPaths", "Service.TimeoutSec"),
        *("Service.MemoryMax", "Service.SetCredential", "Service.CPUAffinity", "Unit.After"),
        *("Service.CapabilityBoundingSet", "Timer.OnCalendar", "Socket.ListenStream"),
        *("Service.StandardInputText", "Service.IPAddressAllow", "Service.CPUQuota"),
    ],
)
def test_a_long_value_costs_no_long_time(key: str, value: str) -> None:
    section, _, directive = key.partition(".")
    one = sample(section, (f"{directive}={value}",))
    before = time.process_time()
    problems = verify(parse(one.text), f"web.{one.kind}")
    assert time.process_time() - before < 2
    assert all(re.search(r":\d+: .{10,700}$", str(problem)) for problem in problems)


ANALYZE = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze not installed"
)


@ANALYZE
def test_systemd_too_refuses_what_contradicts_itself(tmp_path: Path) -> None:
    wrong = {
        "a.socket": "[Socket]\nBacklog=5\n",
        "b.socket": "[Socket]\nListenStream=80\nSymlinks=/x\n",
        "c.timer": "[Timer]\nPersistent=yes\n",
        "d.path": "[Path]\nMakeDirectory=yes\n",
        "e.mount": "[Mount]\nWhere=/e\n",
        "f.mount": "[Mount]\nWhat=x\nWhere=/b\n",
        "proc.mount": "[Mount]\nWhat=x\n",
        "g.automount": "[Automount]\nExtraOptions=ro,fd=3\n",
        "h-.slice": "[Slice]\n",
        "i.service": "[Service]\nType=simple\n",
    }
    for name, text in wrong.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(BadUnit):
            translate(parse(text), name, Context())
        done = subprocess.run(
            ["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True
        )
        assert done.returncode != 0, name
