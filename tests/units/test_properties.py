"""Unit files as properties of transient units: the table, the walk, the refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.errors import BadUnit
from fleetish.units.file import parse
from fleetish.units.properties import PROPERTIES, Property, TransientUnit, translate
from fleetish.units.sections import SECTIONS
from fleetish.units.specifiers import Context
from fleetish.units.values import INFINITY
from tests.units.samples import sample

HOST = Context(hostname="node1")


def properties(text: str, name: str = "web@1.service", base: bool = True) -> tuple[Property, ...]:
    start = "[Service]\nExecStart=/bin/true\n" if base else ""
    found = translate(parse(text + "\n" + start, "web@.service"), name, HOST).properties
    return tuple(row for row in found if row.name != "ExecStart") if base else found


def refusal(text: str, name: str = "web@1.service", base: bool = True) -> str:
    with pytest.raises(BadUnit) as caught:
        properties(text, name, base)
    return str(caught.value)


def test_a_whole_unit_becomes_one_call() -> None:
    text = """
[Unit]
Description=Web %i on %H
After=network.target

[Service]
ExecStart=/usr/bin/web --port 80%i \\
  --name "%p %i"
Environment=A=1 "B=x y"
Environment=A=2
MemoryMax=1G
CPUQuota=50%
TimeoutSec=10
TimeoutStopSec=3
Restart=always

[Install]
WantedBy=multi-user.target

[X-Fleet]
Conflicts=web@*.service
"""
    argv = ["/usr/bin/web", "--port", "801", "--name", "web 1"]
    assert translate(parse(text), "web@1.service", HOST) == TransientUnit(
        "web@1.service",
        (
            Property("Description", "s", "Web 1 on node1"),
            Property("After", "as", ["network.target"]),
            Property("ExecStart", "a(sasb)", [["/usr/bin/web", argv, False]]),
            Property("Environment", "as", ["A=2", "B=x y"]),
            Property("MemoryMax", "t", 1 << 30),
            Property("CPUQuotaPerSecUSec", "t", 500_000),
            Property("TimeoutStartUSec", "t", 10_000_000),
            Property("TimeoutStopUSec", "t", 10_000_000),
            Property("TimeoutStopUSec", "t", 3_000_000),
            Property("Restart", "s", "always"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Unit]\nDescription=a\nDescription=b", [("Description", "s", "b")]),
        ("[Unit]\nDescription=a\nDescription=", []),
        (
            "[Unit]\nAfter=a.service\nAfter=\nAfter=b.service",
            [("After", "as", ["a.service", "b.service"])],
        ),
        ("[Unit]\nAfter=db@.service", [("After", "as", ["db@1.service"])]),
        ("[Unit]\nBindTo=a.service", [("BindsTo", "as", ["a.service"])]),
        ("[Unit]\nOnFailureIsolate=yes", [("OnFailureJobMode", "s", "isolate")]),
        (
            "[Unit]\nConditionHost=a\nConditionPathExists=\nConditionPathExists=|!/%i",
            [("Conditions", "a(sbbs)", [["ConditionPathExists", True, True, "/1"]])],
        ),
        ("[Service]\nMemoryMax=10%", [("MemoryMaxScale", "u", 429496730)]),
        ("[Service]\nTimeoutStartSec=0", [("TimeoutStartUSec", "t", INFINITY)]),
        (
            "[Service]\nExecStop=+/bin/a\nExecStop=-/bin/b",
            [
                (
                    "ExecStopEx",
                    "a(sasas)",
                    [
                        ["/bin/a", ["/bin/a"], ["privileged"]],
                        ["/bin/b", ["/bin/b"], ["ignore-failure"]],
                    ],
                )
            ],
        ),
        (
            '[Service]\nExecStop=/bin/echo "a\\nb"',
            [("ExecStop", "a(sasb)", [["/bin/echo", ["/bin/echo", "a\nb"], False]])],
        ),
        ("[Service]\nUser=u%i", [("User", "s", "u1")]),
        ("[Service]\nLimitNOFILE=10:20", [("LimitNOFILE", "t", 20), ("LimitNOFILESoft", "t", 10)]),
        ("[Service]\nCapabilityBoundingSet=", [("CapabilityBoundingSet", "t", 0)]),
        (
            "[Service]\nCapabilityBoundingSet=CAP_CHOWN\nCapabilityBoundingSet=~CAP_CHOWN CAP_KILL",
            [("CapabilityBoundingSet", "t", 0)],
        ),
        (
            "[Service]\nSystemCallFilter=@system-service\nSystemCallFilter=~reboot",
            [
                ("SystemCallFilter", "(bas)", [True, ["@system-service"]]),
                ("SystemCallFilter", "(bas)", [False, ["reboot"]]),
            ],
        ),
        (
            "[Service]\nCPUAffinity=0 2-3\nCPUAffinity=64",
            [("CPUAffinity", "ay", b"\r" + bytes(7) + b"\1" + bytes(7))],
        ),
        ("[Service]\nX-Mine=1\n[X-Other]\nwhatever=1\n[Install]\nWantedBy=x", []),
    ],
)
def test_a_directive_becomes_its_property(
    text: str, expected: list[tuple[str, str, object]]
) -> None:
    assert list(properties(text)) == [Property(*row) for row in expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[Service]\nMemmoryMax=1",
            "web@.service:2: cannot use MemmoryMax=: [Service] has no such directive"
            " (did you mean MemoryMax=?)",
        ),
        (
            "[Service]\nDescription=x",
            "web@.service:2: cannot use Description=: [Service] has no such directive"
            " (it belongs in [Unit])",
        ),
        (
            "[Service]\nTimeoutCleanSec=5",
            "web@.service:2: cannot use TimeoutCleanSec=: systemd does not take it for a transient"
            " unit (it only bounds systemctl clean)",
        ),
        (
            "[Socket]\nListenStream=80",
            "web@.service:2: cannot use the section [Socket]"
            " (a service has [Unit], [Service], [Install] and [X-…])",
        ),
        ("[Service]\nNice=30", "web@.service:2: cannot use Nice=30: it is not within -20 … 19"),
        (
            "[Service]\nUser=%Z",
            "web@.service:2: cannot use User=%Z: cannot expand '%Z': there is no such specifier"
            " (write %% for a percent sign)",
        ),
        (
            "[Service]\nNice=1\nNice=x\nNice=2",
            "web@.service:3: cannot use Nice=x: it is no whole number",
        ),
        (
            '[Service]\nLogExtraFields="A=x\\ny"',
            'web@.service:2: cannot use LogExtraFields="A=x\\ny": its value would hold a control'
            " character",
        ),
        (
            "[Service]\nStartLimitIntervalSec=5",
            "web@.service:2: cannot use StartLimitIntervalSec=: [Service] has no such directive"
            " (it belongs in [Unit])",
        ),
        (
            "[Service]\nNice=5\nNice=\nRemainAfterExit=",
            "web@.service:4: cannot use RemainAfterExit=: it is empty",
        ),
        (
            "[Install]\nWantdBy=x.service",
            "web@.service:2: cannot use WantdBy=: [Install] has no such directive"
            " (did you mean WantedBy=?)",
        ),
        (
            "[Unit]\nRefuseManualStop=yes",
            "web@.service:2: cannot use RefuseManualStop=yes: such a unit cannot be stopped from"
            " outside its host",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_with_file_line_and_directive(
    text: str, message: str
) -> None:
    assert refusal(text) == message


def test_a_socket_becomes_one_call() -> None:
    text = """
[Socket]
ListenStream=/var/run/%p.sock
ListenDatagram=
ListenStream=80
ListenFIFO=/run//fifo
BindToDevice=*
Service=web@1.service
ExecStartPre=-/bin/mkdir /a
"""
    assert translate(parse(text), "web@1.socket", HOST).properties == (
        Property("Listen", "a(ss)", [["Stream", "80"], ["FIFO", "/run/fifo"]]),
        Property("ExecStartPre", "a(sasb)", [["/bin/mkdir", ["/bin/mkdir", "/a"], True]]),
    )


def test_a_timer_becomes_one_call() -> None:
    text = "[Timer]\nOnCalendar=daily\nOnBootSec=\nOnBootSec=1min\nOnCalendar=Mon *:0/15\n"
    found = translate(parse(text + "OnActiveSec=2s\nAccuracySec=1us\n"), "a.timer", HOST)
    assert found.properties == (
        Property("TimersMonotonic", "a(st)", [["OnBootSec", 60_000_000], ["OnActiveSec", 2000000]]),
        Property("TimersCalendar", "a(ss)", [["OnCalendar", "Mon *:0/15"]]),
        Property("AccuracyUSec", "t", 1),
    )


def test_a_path_and_an_automount_become_calls() -> None:
    text = "[Path]\nPathExists=/a//%p\nDirectoryNotEmpty=/b/\nUnit=x.service\n"
    assert translate(parse(text), "x.path", HOST).properties == (
        Property("Paths", "a(ss)", [["PathExists", "/a/x"], ["DirectoryNotEmpty", "/b"]]),
    )
    text = "[Automount]\nWhere=/a/b/\nTimeoutIdleSec=0\n"
    assert translate(parse(text), "a-b.automount", HOST).properties == (
        Property("Where", "s", "/a/b"),
        Property("TimeoutIdleUSec", "t", INFINITY),
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.socket", "[Socket]\nBacklog=5", "a socket needs something to listen on"),
        ("a.socket", "[Socket]\nListenStream=80\nAccept=yes", "an instance of a template file"),
        (
            "a.socket",
            "[Socket]\nListenStream=80\nService=b.service",
            "a transient socket activates a.service, whose name it has"
            " (call it b.socket and leave out Service=)",
        ),
        ("a.socket", "[Socket]\nListenStream=80\nSymlinks=/x", "need exactly one socket or FIFO"),
        ("a.socket", "[Socket]\nListenStream=80\nExecStartPre=+/x", "take no prefix but - and @"),
        ("a.socket", "[Socket]\nListenStream=80\nDelegate=yes", "for services and scopes only"),
        ("a.socket", "[Socket]\nListenStream=localhost", "is no port of 1 … 65535"),
        ("a.socket", "[Socket]\nListenStream=1.2.3.4:0", "'0' is no port of 1 … 65535"),
        ("a.socket", "[Socket]\nListenStream=/" + "x" * 107, "a name of 1 … 106 bytes"),
        ("a.socket", "[Socket]\nListenSequentialPacket=80", "only a Unix socket"),
        ("a.socket", "[Socket]\nListenNetlink=foo 1", "'foo' is no netlink family"),
        ("a.socket", "[Socket]\nListenStream=80\nPAMName=a\nKillMode=mixed", "needs KillMode="),
        ("a.timer", "[Timer]\nPersistent=yes", "a timer needs a time, such as OnCalendar=daily"),
        ("a.timer", "[Timer]\nOnCalendar=25:00", "there is no such hour"),
        ("a.timer", "[Timer]\nOnBootSec=1\nUnit=b.service", "call it b.timer"),
        ("a.path", "[Path]\nMakeDirectory=yes", "a path unit needs a path to watch"),
        ("a.path", "[Path]\nPathExists=a/b", "is no absolute path without .."),
        ("a.mount", "[Mount]\nWhere=/a", "a mount needs What="),
        ("a.mount", "[Mount]\nWhat=x\nWhere=/b", "its name must be its path"),
        ("a@b.mount", "[Mount]\nWhat=x\nWhere=/a", "its name must be its path"),
        ("proc.mount", "[Mount]\nWhat=x", "systemd mounts API file systems itself"),
        ("-.automount", "[Automount]\n", "the root directory cannot be mounted on demand"),
        ("a.automount", "[Automount]\nExtraOptions=ro,fd=3", "some of the options are systemd's"),
        ("a-.slice", "[Slice]\n", "a slice is named after its place"),
        ("a-b.slice", "[Slice]\nSlice=a.slice", "a-b.slice is in a.slice"),
        ("a.scope", "[Scope]\n", "so it has no file"),
        ("a.target", "[Unit]\n", "systemd takes no transient targets"),
        ("a.swap", "[Swap]\n", "systemd takes no transient swap units"),
        ("dev-sda.device", "[Unit]\n", "devices come from the kernel, not from files"),
    ],
)
def test_what_systemd_would_not_run_is_refused(name: str, text: str, why: str) -> None:
    with pytest.raises(BadUnit) as caught:
        translate(parse(text), name, HOST)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[Service]\nType=simple", "a service needs ExecStart=, ExecStop= or SuccessAction="),
        ("[Service]\nType=simple\nExecStop=/a", "may do without ExecStart="),
        ("[Service]\nType=oneshot\nExecStop=/a", "needs RemainAfterExit=yes"),
        ("[Service]\nExecStart=/a\nExecStart=/b", "may have several ExecStart="),
        ("[Service]\nType=oneshot\nExecStart=/a\nRestart=always", "does not go with Restart="),
        ("[Service]\nType=dbus\nExecStart=/a", "Type=dbus needs BusName="),
        ("[Service]\nPAMName=login\nKillMode=none\nExecStart=/a", "PAMName= needs KillMode="),
    ],
)
def test_a_service_that_contradicts_itself_is_refused(text: str, why: str) -> None:
    assert why in refusal(text, base=False)


def test_a_template_is_not_run_itself() -> None:
    assert "cannot run web@.service: it is a template (start an instance" in refusal(
        "", "web@.service"
    )


def test_a_specifier_cannot_bring_in_a_directive() -> None:
    host = Context(hostname="a\nUser=root")
    file = parse("[Unit]\nDescription=%H\n[Service]\nExecStart=/bin/true\n")
    with pytest.raises(BadUnit, match="its value would hold a control character"):
        translate(file, "a.service", host)


def test_unknown_directives_pass_when_asked_to_be_as_lenient_as_systemd() -> None:
    file = parse("[Service]\nExecStart=/a\nFoo=1\n[Bar]\nx=y\n")
    found = translate(file, "a.service", HOST, refuse_unknown=False).properties
    assert [row.name for row in found] == ["ExecStart"]


def test_a_slice_takes_limits() -> None:
    file = parse("[Slice]\nMemoryMax=1G\nCPUWeight=50\n")
    assert translate(file, "fleetish-web.slice", HOST).properties == (
        Property("MemoryMax", "t", 1 << 30),
        Property("CPUWeight", "t", 50),
    )


#: What the rest of such a file sets.
FRAME = {
    ("Conditions", "a(sbbs)"),
    ("ExecStart", "a(sasb)"),
    ("RemainAfterExit", "b"),
    ("Listen", "a(ss)"),
    ("TimersMonotonic", "a(st)"),
    ("Paths", "a(ss)"),
    ("What", "s"),
}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.data())
def test_any_value_makes_its_own_properties_or_a_refusal(value: str, data: st.DataObject) -> None:
    section = data.draw(st.sampled_from(sorted(set(PROPERTIES) - {"Scope"})))
    key = data.draw(st.sampled_from(sorted(PROPERTIES[section])))
    base = sample(section, (f"{key}={value}",))
    try:
        found = translate(parse(base.text), f"a.{base.kind}", HOST).properties
    except BadUnit:
        return
    rows = {prop for row in SECTIONS[section] if key in row.directives for prop in row.properties}
    assert {(row.name, row.signature) for row in found} <= rows | FRAME
