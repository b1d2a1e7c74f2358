"""Unit files as properties of transient units: the table, the walk, the refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.errors import BadUnit
from fleetish.units.file import parse
from fleetish.units.properties import PROPERTIES, SECTIONS, Property, TransientUnit, translate
from fleetish.units.specifiers import Context
from fleetish.units.values import INFINITY
from tests.units.samples import untested

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


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.data())
def test_any_value_makes_its_own_properties_or_a_refusal(value: str, data: st.DataObject) -> None:
    section = data.draw(st.sampled_from(["Unit", "Service"]))
    key = data.draw(st.sampled_from(sorted(PROPERTIES[section])))
    text = f"[{section}]\n{key}={value}\n[Service]\nExecStart=/bin/true\n"
    try:
        found = translate(parse(text), "a@b.service", HOST).properties
    except BadUnit:
        return
    rows = PROPERTIES[section][key].properties
    assert {(row.name, row.signature) for row in found} <= {*rows, ("ExecStart", "a(sasb)")}


def test_each_directive_has_one_row_and_a_sample() -> None:
    for section, rows in SECTIONS.items():
        names = [name for row in rows for name in row.directives]
        assert sorted(names) == sorted(set(names)), section
    assert untested() == set()
