"""Directives of systemd.resource-control(5): what a unit's control group may use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from fleetish.units import addresses, codes, values
from fleetish.units.execline import simplify
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
)
from fleetish.units.words import Escapes, bare_words, raw_words, split, unquote

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
_SLICE = re.compile(r"[A-Za-z0-9:_.\\]+(?:-[A-Za-z0-9:_.\\]+)*\.slice", re.ASCII)
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


def _limited(name: str, read: Callable[[str], int], whole: bool = True) -> Row:
    """An amount, ``infinity``, or a share in %, for which systemd has a …Scale property; unless
    ``whole``, the bus does not take 100%."""

    def take(given: Given) -> Property:
        if values.is_relative(given.text):
            share = values.scale(given.text)
            if share == 2**32 - 1 and not whole:
                raise ValueError("it is no less than everything: write infinity")
            return Property(f"{name}Scale", "u", share)
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
    amount = values.INFINITY if text == "infinity" else values.size(text, 1000)
    if not amount:
        raise ValueError("it would let nothing through")
    return amount


def _per_device(name: str, read: Callable[[str], int], prop: str = "") -> Row:
    """``device amount``; each device has its own line."""

    def take(given: Given) -> list[object]:
        parts = list(raw_words(given.text, Escapes.DROP))
        if len(parts) != 2:
            raise ValueError("it is not a device and an amount")
        device = given.scope.expand(unquote(parts[0], Escapes.DROP))
        return [[absolute(device), read(parts[1])]]

    def build(found: list[list[list[object]]]) -> Iterable[Property]:
        devices = [device for rows in found for device, _ in rows]
        again = next((one for one in devices if devices.count(one) > 1), None)
        if again:
            raise ValueError(f"{again} is given twice; take the first back with {name}= alone")
        return row.build(found)

    row = items(name, "a(st)", take, prop)
    return replace(row, build=build)


def _device(given: Given) -> list[object]:
    """``/dev/x rwm``, ``char-tty r`` or ``block-*``; without letters all three are allowed."""
    parts = given.words()
    if not 1 <= len(parts) <= 2:
        raise ValueError("it is not a device and its permissions")
    device, rights = parts[0], parts[1] if len(parts) == 2 else "rwm"
    if not device.startswith(("/dev/", "/run/systemd/inaccessible/", "char-", "block-")):
        raise ValueError(f"{device!r} is no device node, char-… or block-…")
    if device.startswith("/") and (device != simplify(device) or " " in device):
        raise ValueError(f"{device!r} has blanks, or more slashes or dots than it needs")
    if not set(rights) <= set("rwm"):
        raise ValueError(f"{rights!r} are not permissions out of r, w and m")
    return [[device, rights]]


def _device_allow() -> Row:
    """Devices with what may be done to them; the bus keeps one set of rights for each."""
    row = items("DeviceAllow", "a(ss)", _device)

    def build(found: list[list[list[object]]]) -> Iterable[Property]:
        rights: dict[object, object] = {}
        for device, letters in (pair for pairs in found for pair in pairs):
            if rights.setdefault(device, letters) != letters:
                raise ValueError(f"{device} is given twice, with other permissions")
        return row.build(found)

    return replace(row, build=build)


def _addresses(given: Given) -> list[object]:
    rows: list[object] = []
    for word in bare_words(given.text):
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
    word = given.text
    found = _BIND.fullmatch(word)
    if found is None:
        raise ValueError(f"{word!r} is not family:protocol:port")
    first = values.integer(found[3], 1, 65535) if found[3] else 0
    last = values.integer(found[4], first, 65535) if found[4] else first
    family = {"ipv4": _INET, "ipv6": _INET6}.get(found[1] or word, 0)
    protocol = {"tcp": _TCP, "udp": _UDP}.get(found[2] or word, 0)
    return [[family, protocol, last - first + 1 if first else 0, first]]


def _program(given: Given) -> list[object]:
    kind, _, path = given.scope.expand(given.text).partition(":")
    if kind not in _BPF_KINDS:
        raise ValueError("it is not kind:path with a kind such as egress")
    return [[kind, absolute(path)]]


def slice_name(name: str) -> str:
    """The name of a slice, ``a-b.slice`` (systemd.slice(5)); ``-.slice`` is the root."""
    if name != "-.slice" and not _SLICE.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a slice such as a-b.slice")
    return name


def _controller(name: str) -> str:
    if name not in CONTROLLERS:
        raise ValueError(f"it is none of {', '.join(CONTROLLERS)}")
    return name


def _controllers(given: Given) -> list[object]:
    return [_controller(word) for word in bare_words(given.text)]


def _filter(given: Given) -> list[object]:
    """One path, blanks and all."""
    return [absolute(given.scope.expand(given.text))]


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
    micros("CPUQuotaPeriodSec", empty=Empty.RESETS),
    *(coded(name, "ay", codes.cpu_set) for name in _CPU_SETS),
    flag("MemoryAccounting"),
    *(_limited(name, values.size) for name in _MEMORY),
    flag("TasksAccounting"),
    _limited("TasksMax", lambda text: values.integer(text, 1), whole=False),
    choice("ManagedOOMPreference", "none", "avoid", "omit"),
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
    selection("RestrictNetworkInterfaces", addresses.interface),
    items("BPFProgram", "a(ss)", _program),
    items("IPIngressFilterPath", "as", _filter),
    items("IPEgressFilterPath", "as", _filter),
)

#: Of all types with a control group.
RESOURCE = (
    items("DisableControllers", "as", _controllers),
    _device_allow(),
    choice("DevicePolicy", "auto", "closed", "strict"),
    *CPU_AND_MEMORY,
    *IO,
    *NETWORK,
)

#: Which slice a unit is in. A slice's own name says in which one it is.
SLICE = text("Slice", check=slice_name, empty=Empty.REFUSED)

#: Only services and scopes can manage a part of the tree of control groups themselves.
DELEGATE = _delegate()

#: What systemd-oomd does about a whole group; sockets and mounts are no such group.
MANAGED_OOM = (
    choice("ManagedOOMSwap", "auto", "kill", empty=Empty.RESETS),
    choice("ManagedOOMMemoryPressure", "auto", "kill", empty=Empty.RESETS),
    scalar("ManagedOOMMemoryPressureLimit", "u", values.scale),
)

_FEW = "systemd has it for services, scopes and slices only; leave it out"

#: Why some types lack some of these.
RESOURCE_NOT_TRANSIENT = {"NetClass": "systemd ignores it; leave it out"}
NO_SLICE = {"Slice": "the slice's name says in which slice it is: a-b.slice is in a.slice"}
NO_DELEGATE = {"Delegate": "systemd has it for services and scopes only; leave it out"}
NO_MANAGED_OOM = {name: _FEW for row in MANAGED_OOM for name in row.directives}
