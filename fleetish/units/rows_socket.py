"""The [Socket] section (systemd.socket(5)); what it shares with other types is elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable

from fleetish.units import addresses, codes, values
from fleetish.units.rows import (
    Empty,
    Given,
    Property,
    Row,
    absolute,
    count,
    file_mode,
    flag,
    micros,
    only_default,
    only_no,
    scalar,
    signed,
    text,
    words,
)
from fleetish.units.rows_exec import user_or_group
from fleetish.units.rows_service import plain_exec_line

_FD_NAME = re.compile(r"[\x20-\x39\x3b-\x7e]{1,255}")


def _fifo(path: str) -> str:
    return absolute(addresses.without_var(path))


#: Directive to what reads its value. The bus has its name without "Listen".
_LISTEN: dict[str, Callable[[str], str]] = {
    "ListenStream": addresses.socket,
    "ListenDatagram": addresses.socket,
    "ListenSequentialPacket": addresses.sequential,
    "ListenFIFO": _fifo,
    "ListenNetlink": addresses.netlink,
    "ListenSpecial": absolute,
    "ListenMessageQueue": absolute,
    "ListenUSBFunction": absolute,
}


def _listen() -> Row:
    """All that is listened on, in file order; an empty line of any kind drops all before it."""

    def read(given: Given) -> list[str]:
        address = _LISTEN[given.directive](given.scope.expand(given.text))
        return [given.directive.removeprefix("Listen"), address]

    def build(found: list[list[str]]) -> tuple[Property]:
        return (Property("Listen", "a(ss)", found),)

    return Row(tuple(_LISTEN), (("Listen", "a(ss)"),), read, build)


def _file_descriptor_name(name: str) -> str:
    if not _FD_NAME.fullmatch(name):
        raise ValueError("it is no name of up to 255 ASCII characters without a colon")
    return name


def _device() -> Row:
    """A network interface; ``*`` is none in particular."""

    def build(found: list[str]) -> tuple[Property, ...]:
        prop = Property("BindToDevice", "s", found[-1])
        return (prop,) if found[-1] != "*" else ()

    def read(given: Given) -> str:
        return given.text if given.text == "*" else addresses.interface(given.text)

    return Row(("BindToDevice",), (("BindToDevice", "s"),), read, build)


def _ipv6_only(text: str) -> str:
    if text not in ("default", "both", "ipv6-only"):
        values.boolean(text)
    return text


def _timestamping(text: str) -> str:
    if text not in ("off", "us", "ns", "usec", "nsec", "µs", "μs"):
        values.boolean(text)
    return text


def _type_of_service(text: str) -> int:
    return codes.IP_TOS[text] if text in codes.IP_TOS else values.integer(text, 0, 255)


def _protocol(text: str) -> int:
    return codes.code(text.lower(), codes.SOCKET_PROTOCOLS)


def _size(name: str) -> Row:
    return scalar(name, "t", values.size, empty=Empty.REFUSED)


#: What is done with the connections is the service's business.
_ONE_SERVICE = "each connection would need an instance of a template file; use Accept=no"

ADDRESSES = (
    _listen(),
    scalar("SocketProtocol", "i", _protocol, empty=Empty.REFUSED),
    scalar("BindIPv6Only", "s", _ipv6_only, empty=Empty.REFUSED),
    _device(),
    text("SocketUser", check=user_or_group),
    text("SocketGroup", check=user_or_group),
    file_mode("SocketMode"),
    file_mode("DirectoryMode"),
    words("Symlinks", check=absolute),
    flag("RemoveOnStop"),
    flag("Writable"),
    text("FileDescriptorName", check=_file_descriptor_name),
    only_no("Accept", _ONE_SERVICE),
    only_default("Service", "service"),
)

OPTIONS = (
    count("Backlog"),
    count("MaxConnections"),
    count("MaxConnectionsPerSource"),
    flag("FlushPending"),
    flag("KeepAlive"),
    micros("KeepAliveTimeSec"),
    micros("KeepAliveIntervalSec"),
    count("KeepAliveProbes"),
    micros("DeferAcceptSec"),
    flag("NoDelay"),
    signed("Priority"),
    _size("ReceiveBuffer"),
    _size("SendBuffer"),
    _size("PipeSize"),
    scalar("IPTOS", "i", _type_of_service),
    signed("IPTTL"),
    signed("Mark"),
    flag("FreeBind"),
    flag("Transparent"),
    flag("Broadcast"),
    flag("PassCredentials"),
    flag("PassSecurity"),
    flag("PassPacketInfo"),
    flag("ReusePort"),
    scalar("Timestamping", "s", _timestamping, empty=Empty.REFUSED),
    scalar("TCPCongestion", "s", str),
    signed("MessageQueueMaxMessages", "x", 63),
    signed("MessageQueueMessageSize", "x", 63),
    text("SmackLabel"),
    text("SmackLabelIPIn", "SmackLabelIPin"),  # so spelled where systemd 252 takes it
    text("SmackLabelIPOut"),
    flag("SELinuxContextFromNet"),
)

SOCKET = (
    *ADDRESSES,
    *OPTIONS,
    micros("TimeoutSec", read=values.span_or_never),
    micros("TriggerLimitIntervalSec"),
    count("TriggerLimitBurst"),
    *(
        plain_exec_line(name)
        for name in ("ExecStartPre", "ExecStartPost", "ExecStopPre", "ExecStopPost")
    ),
)
