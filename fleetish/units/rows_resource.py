"""Directives of systemd.resource-control(5): what a unit's control group may use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from fleetish.units import codes, values
from fleetish.units.rows import (
    Empty,
    Given,
    Property,
    Row,
    absolute,
    choice,
    coded,
    flag,
    items,
    micros,
    scalar,
    selection,
    text,
    words,
)
from fleetish.units.words import split

CONTROLLERS = (
    "cpu",
    "cpuacct",
    "cpuset",
    "io",
    "blkio",
    "memory",
    "devices",
    "pids",
    "bpf-firewall",
    "bpf-devices",
    "bpf-foreign",
    "bpf-socket-bind",
    "bpf-restrict-network-interfaces",
)

_INET, _INET6 = 2, 10
_TCP, _UDP = 6, 17
_BIND = re.compile(r"(?:(ipv4|ipv6):)?(?:(tcp|udp):)?(?:any|(\d+)(?:-(\d+))?)|ipv4|ipv6|tcp|udp")
_INTERFACE = re.compile(r"[^\s/:~]{1,15}")
_BPF_KINDS = (
    *("ingress", "egress", "sock_create", "sock_ops", "device", "bind4", "bind6"),
    *("connect4", "connect6", "post_bind4", "post_bind6", "sendmsg4", "sendmsg6", "sysctl"),
    *("recvmsg4", "recvmsg6", "getsockopt", "setsockopt"),
)

_NETWORKS = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}


def _limited(name: str, read: Callable[[str], int]) -> Row:
    """An amount, ``infinity``, or a share in %, for which systemd has a …Scale property."""

    def take(given: Given) -> Property:
        if values.is_relative(given.text):
            return Property(f"{name}Scale", "u", values.scale(given.text))
        amount = values.INFINITY if given.text == "infinity" else read(given.text)
        return Property(name, "t", amount)

    properties = ((name, "t"), (f"{name}Scale", "u"))
    return Row((name,), properties, take, lambda found: (found[-1],))


def _quota(text: str) -> int:
    share = values.permyriad(text, bounded=False)
    if share == 0:
        raise ValueError("the quota is too small")
    return share * 1_000_000 // 10_000


def _cpu_weight(text: str) -> int:
    return 0 if text == "idle" else values.integer(text, 1, 10_000)


def _weight(name: str, low: int = 1, high: int = 10_000) -> Row:
    return scalar(name, "t", lambda text: values.integer(text, low, high))


def _bandwidth(text: str) -> int:
    return values.INFINITY if text == "infinity" else values.size(text, 1000)


def _per_device(name: str, read: Callable[[str], int], prop: str = "") -> Row:
    """``device amount``; each device has its own line."""

    def take(given: Given) -> list[object]:
        parts = split(given.text)
        if len(parts) != 2:
            raise ValueError("it is not a device and an amount")
        return [[absolute(given.scope.expand(parts[0])), read(parts[1])]]

    return items(name, "a(st)", take, prop)


def _device(given: Given) -> list[object]:
    """``/dev/x rwm``, ``char-tty r`` or ``block-*``; without letters all three are allowed."""
    parts = given.words()
    if not 1 <= len(parts) <= 2:
        raise ValueError("it is not a device and its permissions")
    device, rights = parts[0], parts[1] if len(parts) == 2 else "rwm"
    if not device.startswith(("/dev/", "/run/systemd/inaccessible/", "char-", "block-")):
        raise ValueError(f"{device!r} is no device node, char-… or block-…")
    if not set(rights) <= set("rwm"):
        raise ValueError(f"{rights!r} are not permissions out of r, w and m")
    return [[device, rights]]


def _addresses(given: Given) -> list[object]:
    rows: list[object] = []
    for word in split(given.text):
        for network in _NETWORKS.get(word, (word,)):
            rows.append(_network(network))
    return rows


def _network(text: str) -> list[object]:
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address or prefix such as 10.0.0.0/8") from None
    family = _INET if found.version == 4 else _INET6
    return [family, found.network_address.packed, found.prefixlen]


def _socket_bind(given: Given) -> list[object]:
    """``[ipv4:|ipv6:][tcp:|udp:]port``, ``a-b`` or ``any``: family, protocol, count, first port."""
    rows: list[object] = []
    for word in split(given.text):
        found = _BIND.fullmatch(word)
        if found is None:
            raise ValueError(f"{word!r} is not family:protocol:port")
        first = values.integer(found[3], 1, 65535) if found[3] else 0
        last = values.integer(found[4], first, 65535) if found[4] else first
        family = {"ipv4": _INET, "ipv6": _INET6}.get(found[1] or word, 0)
        protocol = {"tcp": _TCP, "udp": _UDP}.get(found[2] or word, 0)
        rows.append([family, protocol, last - first + 1 if first else 0, first])
    return rows


def _program(given: Given) -> list[object]:
    kind, _, path = given.scope.expand(given.text).partition(":")
    if kind not in _BPF_KINDS:
        raise ValueError("it is not kind:path with a kind such as egress")
    return [[kind, absolute(path)]]


def _interface(name: str) -> str:
    if not _INTERFACE.fullmatch(name):
        raise ValueError(f"{name!r} is no network interface")
    return name


def _controller(name: str) -> str:
    if name not in CONTROLLERS:
        raise ValueError(f"it is none of {', '.join(CONTROLLERS)}")
    return name


def _delegate() -> Row:
    """A boolean for all controllers, or those that are handed over too; an empty list delegates the
    group without any. Sent line by line, for a list adds to what stood before."""

    def read(given: Given) -> Property:
        try:
            return Property("Delegate", "b", values.boolean(given.text))
        except ValueError:
            names = [_controller(word) for word in split(given.text)]
            return Property("DelegateControllers", "as", names)

    properties = (("Delegate", "b"), ("DelegateControllers", "as"))
    return Row(("Delegate",), properties, read, tuple, empty=Empty.COUNTS)


_MEMORY = (
    *("MemoryMin", "MemoryLow", "MemoryHigh", "MemoryMax", "MemorySwapMax", "MemoryLimit"),
    *("DefaultMemoryMin", "DefaultMemoryLow"),
)
_CPU_SETS = ("AllowedCPUs", "StartupAllowedCPUs", "AllowedMemoryNodes", "StartupAllowedMemoryNodes")

CPU_AND_MEMORY = (
    flag("CPUAccounting"),
    scalar("CPUWeight", "t", _cpu_weight),
    scalar("StartupCPUWeight", "t", _cpu_weight),
    _weight("CPUShares", 2, 262_144),
    _weight("StartupCPUShares", 2, 262_144),
    scalar("CPUQuota", "t", _quota, "CPUQuotaPerSecUSec"),
    micros("CPUQuotaPeriodSec"),
    *(coded(name, "ay", codes.cpu_set) for name in _CPU_SETS),
    flag("MemoryAccounting"),
    *(_limited(name, values.size) for name in _MEMORY),
    flag("TasksAccounting"),
    _limited("TasksMax", lambda text: values.integer(text, 1)),
    choice("ManagedOOMSwap", "auto", "kill"),
    choice("ManagedOOMMemoryPressure", "auto", "kill"),
    choice("ManagedOOMPreference", "none", "avoid", "omit"),
    scalar("ManagedOOMMemoryPressureLimit", "u", values.scale),
)

IO = (
    flag("IOAccounting"),
    _weight("IOWeight"),
    _weight("StartupIOWeight"),
    _per_device("IODeviceWeight", lambda text: values.integer(text, 1, 10_000)),
    *(
        _per_device(name, _bandwidth)
        for name in ("IOReadBandwidthMax", "IOWriteBandwidthMax", "IOReadIOPSMax", "IOWriteIOPSMax")
    ),
    _per_device("IODeviceLatencyTargetSec", values.span, "IODeviceLatencyTargetUSec"),
    flag("BlockIOAccounting"),
    _weight("BlockIOWeight", 10, 1000),
    _weight("StartupBlockIOWeight", 10, 1000),
    _per_device("BlockIODeviceWeight", lambda text: values.integer(text, 10, 1000)),
    _per_device("BlockIOReadBandwidth", _bandwidth),
    _per_device("BlockIOWriteBandwidth", _bandwidth),
)

NETWORK = (
    flag("IPAccounting"),
    items("IPAddressAllow", "a(iayu)", _addresses),
    items("IPAddressDeny", "a(iayu)", _addresses),
    items("SocketBindAllow", "a(iiqq)", _socket_bind),
    items("SocketBindDeny", "a(iiqq)", _socket_bind),
    selection("RestrictNetworkInterfaces", _interface),
    items("BPFProgram", "a(ss)", _program),
    words("IPIngressFilterPath", check=absolute),
    words("IPEgressFilterPath", check=absolute),
)

RESOURCE = (
    text("Slice"),
    _delegate(),
    words("DisableControllers", check=_controller),
    items("DeviceAllow", "a(ss)", _device),
    choice("DevicePolicy", "auto", "closed", "strict"),
    *CPU_AND_MEMORY,
    *IO,
    *NETWORK,
)
