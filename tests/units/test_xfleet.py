"""[X-Fleet]: fleet's options as fleet read them, and fleetish's own."""

from __future__ import annotations

import msgspec
import pytest

from fleetish.errors import BadOption, BadUnit
from fleetish.resources import MIB, Resources
from fleetish.units.file import parse
from fleetish.units.xfleet import Class, Requirements, requirements


def read(text: str, name: str = "web@3.service", strict: bool = True) -> Requirements:
    return requirements(parse(f"[X-Fleet]\n{text}\n", "web@.service"), name, strict)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Requirements()),
        ("MachineID=abc\nMachineID=def", Requirements(machine_id="abc")),
        ("X-ConditionMachineID=old\nMachineID=new", Requirements(machine_id="new")),
        ("X-ConditionMachineBootID=boot", Requirements(machine_id="boot")),
        (
            "MachineOf=a.service\nMachineOf=b.service",
            Requirements(machine_of=("a.service", "b.service")),
        ),
        ('MachineOf="a.service" "b.service"', Requirements(machine_of=("a.service", "b.service"))),
        ("MachineOf=b@%i.service", Requirements(machine_of=("b@3.service",))),
        ("MachineOf=b@*.service", Requirements(machine_of=("b@*.service",))),
        ("MachineOf=b*\nConflicts=b@1*", Requirements(machine_of=("b*",), conflicts=("b@1*",))),
        ("Conflicts=a* b?\nConflicts=c", Requirements(conflicts=("a*", "b?", "c"))),
        ("X-Conflicts=old\nConflicts=new", Requirements(conflicts=("old", "new"))),
        ("Conflicts=%p@*.service", Requirements(conflicts=("web@*.service",))),
        ("Conflicts=%N %n", Requirements(conflicts=("web@3", "web@3.service"))),
        ("Conflicts=100%%", Requirements(conflicts=("100%%",))),
        ("Replaces=a*", Requirements(replaces=("a*",))),
        ("Global=no\nGlobal=T", Requirements(global_=True)),
        ("Global=true\nGlobal=maybe", Requirements()),
        (
            'MachineMetadata="disk=ssd" "zone=a"\nMachineMetadata=zone=b',
            Requirements(metadata=(("disk", ("ssd",)), ("zone", ("a", "b")))),
        ),
        ("Ports=80 8000-8002\nPorts=0 0", Requirements(ports=(80, 8000, 8001, 8002, 0, 0))),
        ("Ports=80\nPorts=\nPorts=90", Requirements(ports=(90,))),
        ("Class=exclusive", Requirements(klass=Class.EXCLUSIVE)),
        ("Priority=-5\nPriority=7", Requirements(priority=7)),
        (
            "Reschedule=on-failure\nRescheduleAfter=5",
            Requirements(reschedule=True, reschedule_after=5),
        ),
        ("Backoff=500ms\nBackoffMax=2min", Requirements(backoff_s=0.5, backoff_max_s=120.0)),
        (
            "CPUs=0.5\nMemory=512M\nDisk=1G",
            Requirements(resources=Resources(500, 512 * MIB, 1024 * MIB)),
        ),
    ],
)
def test_an_option_becomes_a_requirement(text: str, expected: Requirements) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MachineID=a\nMachineOf=b", "web@.service:3: MachineID cannot be used with Peers"),
        ("Conflicts=b\nMachineID=a", "web@.service:3: MachineID cannot be used with Conflicts"),
        ("MachineID=a\nGlobal=1", "web@.service:3: MachineID cannot be used with Global"),
        ("MachineID=a\nReplaces=b", "web@.service:3: MachineID cannot be used with Replaces"),
        ("Global=1\nReplaces=b", "web@.service:3: Global cannot be used with Replaces"),
        ("Replaces=b\nConflicts=c", "web@.service:3: Conflicts cannot be used with Replaces"),
        (
            "MachineOf=ab\nConflicts=a*",
            'web@.service:3: unresolvable requirements: peer "ab" matches conflict "a*"',
        ),
        (
            "MachineOf=ab\nReplaces=a*",
            'web@.service:3: unresolvable requirements: peer "ab" matches replace "a*"',
        ),
        (
            "MachineOf=ab*\nConflicts=a*",
            'web@.service:3: unresolvable requirements: peer "ab*" matches conflict "a*"',
        ),
        ("Backoff=2min", "web@.service:2: BackoffMax cannot be less than Backoff"),
    ],
)
def test_options_that_exclude_each_other_are_refused_in_fleets_words(
    text: str, message: str
) -> None:
    with pytest.raises(BadOption) as caught:
        read(text)
    assert str(caught.value) == message


def test_a_unit_is_not_to_drive_out_or_avoid_what_it_activates() -> None:
    socket = parse("[Socket]\nListenStream=80\n[X-Fleet]\nConflicts=web*\n", "web.socket")
    with pytest.raises(BadOption) as caught:
        requirements(socket, "web.socket")
    text = 'unresolvable requirements: it activates web.service, which matches conflict "web*"'
    assert str(caught.value) == f"web.socket:4: {text}"


@pytest.mark.parametrize(
    ("text", "line", "directive"),
    [
        ("MachineMetadata=zone=a\nMachineMetadata=zone", 3, "MachineMetadata"),
        ("MachineMetadata=a=b c=d", 2, "MachineMetadata"),
        ("MachineOf=a.service\nMachineOf=web@[.service", 3, "MachineOf"),
        ("MachineMetadata==x", 2, "MachineMetadata"),
        ("MachineID=", 2, "MachineID"),
        ("Conflicts=ok\nConflicts=[", 3, "Conflicts"),
        ("Ports=70000", 2, "Ports"),
        ("Ports=0-5", 2, "Ports"),
        ("Ports=9-5", 2, "Ports"),
        ("Ports=80\nPorts=80", 3, "Ports"),
        ("Ports=1-2000", 2, "Ports"),
        ("CPUs=-1", 2, "CPUs"),
        ("CPUs=nan", 2, "CPUs"),
        ("CPUs=1e308", 2, "CPUs"),
        ("CPUs=0.0001", 2, "CPUs"),
        ("Memory=lots", 2, "Memory"),
        ("Memory=8E", 2, "Memory"),
        ("Class=best", 2, "Class"),
        ("Priority=1001", 2, "Priority"),
        ("Reschedule=yes", 2, "Reschedule"),
        ("RescheduleAfter=0", 2, "RescheduleAfter"),
        ("Backoff=infinity", 2, "Backoff"),
        ("Unknown=1", 2, "Unknown"),
    ],
)
def test_a_bad_option_is_refused_with_its_line_and_name(
    text: str, line: int, directive: str
) -> None:
    with pytest.raises(BadOption) as caught:
        read(text)
    assert (caught.value.where, caught.value.directive) == (f"web@.service:{line}", directive)


def test_unknown_options_pass_where_fleet_let_them_pass() -> None:
    assert read("Unknown=1\nPriority=3", strict=False) == Requirements(priority=3)


@pytest.mark.parametrize(
    ("service", "xfleet", "expected"),
    [
        ("CPUQuota=50%\nMemoryMax=1G", "", Resources(500, 1024 * MIB)),
        ("CPUQuota=250%\nMemoryHigh=1G", "", Resources(2500, 1024 * MIB)),
        ("MemoryMax=infinity\nMemoryHigh=2G", "", Resources(0, 2048 * MIB)),
        ("MemoryMax=50%", "", Resources()),
        ("CPUQuota=50%\nCPUQuota=", "", Resources()),
        ("CPUQuota=50%\nMemoryMax=1G", "CPUs=2\nMemory=0", Resources(2000, 0)),
    ],
)
def test_what_is_not_said_is_reserved_from_the_limits(
    service: str, xfleet: str, expected: Resources
) -> None:
    file = parse(f"[Service]\n{service}\n[X-Fleet]\n{xfleet}\n")
    assert requirements(file, "a.service").resources == expected


def test_a_limit_that_is_no_amount_is_refused() -> None:
    with pytest.raises(BadUnit, match=r"unit:2: cannot use MemoryMax=much"):
        requirements(parse("[Service]\nMemoryMax=much\n"), "a.service")


def test_requirements_travel_as_json() -> None:
    wanted = read("Global=yes\nClass=pinned\nMachineMetadata=a=b\nPorts=80")
    encoded = msgspec.json.encode(wanted)
    assert msgspec.json.decode(encoded, type=Requirements) == wanted
    assert msgspec.json.decode(encoded) == {
        "global": True,
        "class": "pinned",
        "metadata": [["a", ["b"]]],
        "ports": [80],
    }
