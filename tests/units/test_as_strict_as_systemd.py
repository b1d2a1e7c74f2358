"""What systemd would drop with a warning, or refuse over the bus, is refused with its line."""

from __future__ import annotations

import pytest

from fleetish.errors import BadUnit
from fleetish.units.file import parse
from fleetish.units.properties import translate
from fleetish.units.specifiers import Context

BASE = {
    "service": "[Service]\nExecStart=/bin/true\n[{}]\n",
    "slice": "[Slice]\n[{}]\n",
    "path": "[Path]\nPathExists=/a\n[{}]\n",
}

DROPPED = [
    ("service", "Service", "SystemCallArchitectures=x886-64"),
    ("service", "Service", "SystemCallFilter=~@moount"),
    ("service", "Service", "SystemCallFilter=reboot''"),
    ("service", "Service", "RestrictAddressFamilies=AF_I"),
    ("service", "Service", 'RestrictNamespaces=~n""et'),
    ("service", "Service", r"RuntimeDirectory=\101"),
    ("service", "Service", r"MountImages=/\x41a:/b"),
    ("service", "Service", r"RootImageOptions=ro,\dev"),
    ("service", "Service", "RootImageOptions=root:rt:ro"),
    ("service", "Service", r"Environment=A=a\=b"),
    ("service", "Service", r"LogExtraFields=A=1\;"),
    ("service", "Service", "LogExtraFields=1A=1"),
    ("service", "Service", "UnsetEnvironment=A=1 A=2"),
    ("service", "Service", "StandardInput=fd:a:b"),
    ("service", "Service", "StandardOutput=%ijournal"),
    ("service", "Service", "StandardInputData=SSGVsbG8="),
    ("service", "Service", "IPAddressAllow=10.1.2.3/''8"),
    ("service", "Service", 'SocketBindAllow=ud""p'),
    ("service", "Service", "SocketBindAllow=tcp:1 udp:2"),
    ("service", "Service", "TasksMax=100%"),
    ("service", "Service", "Personality=x10"),
    ("service", "Service", "LogNamespace=f=]"),
    ("service", "Service", r"ExecStart=/bin/echo\n"),
    ("service", "Service", r"ExecStartPre=-/b\ in/a"),
    ("service", "Service", "USBFunctionDescriptors=rel/path\nUSBFunctionStrings=/a"),
    ("service", "Service", "USBFunctionDescriptors=/a"),
    ("service", "Service", "RuntimeRandomizedExtraSec=5"),
    ("service", "Service", "IODeviceWeight=/dev/null 50\nIODeviceWeight=/dev/null 60"),
    ("service", "Service", "IOReadBandwidthMax=/dev/null 1''G"),
    ("service", "Service", "DeviceAllow=/dev//zero"),
    ("service", "Service", "ExecSearchPath=/a::/b"),
    ("service", "Service", r"RestrictNetworkInterfaces=e\a"),
    ("service", "Service", 'RestrictNetworkInterfaces=eth"1'),
    ("service", "Service", "TimerSlackNSec=10 0"),
    ("service", "Service", "CPUAffinity=n''uma"),
    ("service", "Service", "DisableControllers=cp''u"),
    ("service", "Service", r"ExecSearchPath=/\101r"),
    ("service", "Service", "LoadCredential=a:/etc//x"),
    ("service", "Service", "ReadOnlyPaths=/\\ "),
    ("service", "Service", "RestartSec=1.51.5"),
    ("service", "Service", "RestartSec=1+0"),
    ("service", "Unit", "Documentation=man"),
    ("service", "Unit", "RebootArgument=é"),
    ("service", "Unit", 'After=a.servic""e'),
    ("service", "Unit", "After=\u00a0a.service"),
    ("service", "Service", "Type=oneshot\nExitType=cgroup"),
    ("service", "Service", "Type=oneshot\nRestartForceExitStatus=1"),
    ("service", "Service", "Type=oneshot\nRuntimeMaxSec=5"),
    ("service", "Service", "User=-"),
    ("service", "Service", "IOReadBandwidthMax=/dev/null 0"),
    ("service", "Service", "DeviceAllow=/dev/null r\nDeviceAllow=/dev/null w"),
    ("slice", "Unit", "OnFailure=a.service"),
    ("path", "Path", "Unit=x.service\nUnit=x.service"),
]

TAKEN = [
    (
        "IODeviceWeight=/dev/null 50\nIODeviceWeight=\nIODeviceWeight=/dev/null 60",
        [["/dev/null", 60]],
    ),
    ("RestartSec=1.5s.5s", 2_000_000),
    ("RestartSec=1 .5", 1_500_000),
    ("PassEnvironment=A B A", ["A", "B"]),
    (r"BindPaths=/a\:b", [["/a:b", "/a:b", False, 16384]]),
    ("TemporaryFileSystem=/a:r%o", [["/a", "r%o"]]),
    ("IPIngressFilterPath=/a b", ["/a b"]),
    ("RootHash=/a%sb", "/a%sb"),
    ("ExecSearchPath=/a:/b:", ["/a", "/b"]),
    ("StandardOutput=file:/var/%p", "/var/x"),
]


@pytest.mark.parametrize(("kind", "section", "line"), DROPPED, ids=lambda part: part[:40])
def test_a_line_that_systemd_would_drop_is_refused(kind: str, section: str, line: str) -> None:
    text = f"{BASE[kind].format(section)}{line}\n"
    with pytest.raises(BadUnit) as caught:
        translate(parse(text), f"x.{kind}", Context())
    assert caught.value.directive in line


@pytest.mark.parametrize(("lines", "value"), TAKEN, ids=lambda part: str(part)[:40])
def test_what_is_close_to_it_is_taken(lines: str, value: object) -> None:
    text = f"{BASE['service'].format('Service')}{lines}\n"
    assert translate(parse(text), "x.service", Context()).properties[-1].value == value
