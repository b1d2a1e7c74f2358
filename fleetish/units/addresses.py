"""What a socket unit listens on: the values of ``ListenStream=`` and its kin (systemd.socket(5)).

Each reader gives the address back as systemd takes it over the bus, or raises ValueError, whose
message completes the sentence "cannot use ``text``: …".
"""

from __future__ import annotations

import ipaddress
import re

from fleetish.units import values

#: Bytes in the path or name of a Unix socket, at most (sun_path less its NUL).
MAX_UNIX = 107

#: Netlink families by the names that systemd has for them.
NETLINK_FAMILIES = frozenset(
    {
        *("route", "firewall", "inet-diag", "nflog", "xfrm", "selinux", "iscsi", "audit"),
        *("fib-lookup", "connector", "netfilter", "ip6-fw", "dnrtmsg", "kobject-uevent"),
        *("generic", "scsitransport", "ecryptfs", "rdma"),
    }
)

_VSOCK = re.compile(r"vsock:([^:]*):(.*)", re.DOTALL)
_INTERNET = re.compile(r"(?:([0-9.]+)|\[([^\[\]]*)\]):([^:%]*)(?:%(.+))?", re.ASCII | re.DOTALL)
_INTERFACE = re.compile(r"[!-.0-9;-~]+")


def socket(text: str) -> str:
    """A Unix socket (``/path`` or ``@name``), a port, ``address:port`` or ``vsock:cid:port``."""
    if text[:1] in ("/", "@"):
        return _unix(text)
    if vsock := _VSOCK.fullmatch(text):
        for part in filter(None, vsock.groups()):
            values.integer(part, 0, 2**32 - 1)
        if not vsock[2]:
            raise ValueError("it has no port")
        return text
    if ":" in text:
        _internet(text)
    else:
        _port(text)
    return text


def sequential(text: str) -> str:
    """A Unix socket: no other has sequential packets."""
    if text[:1] not in ("/", "@"):
        raise ValueError("only a Unix socket, /path or @name, has sequential packets")
    return _unix(text)


def netlink(text: str) -> str:
    """``family`` or ``family group``, the group a number."""
    family, _, group = text.strip(" \t").partition(" ")
    if family not in NETLINK_FAMILIES:
        raise ValueError(f"{family!r} is no netlink family such as kobject-uevent")
    if group.strip(" \t"):
        values.integer(group.strip(" \t"), 0, 2**32 - 1)
    return text


def interface(name: str, longest: int = 15) -> str:
    """The name of a network interface, of at most so many characters; without quotes and
    backslashes, which systemd reads in one way here and in another there."""
    plain = _INTERFACE.fullmatch(name) is not None and not name.isdecimal()
    plain = plain and not set("%\\\"'").intersection(name)
    if not plain or len(name) > longest or name in (".", "..", "all", "default"):
        raise ValueError(f"{name!r} is no network interface")
    return name


def without_var(path: str) -> str:
    """``/run/…`` for ``/var/run/…``, as systemd reads it."""
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _unix(text: str) -> str:
    path = without_var(text)
    if not 2 <= len(path.encode()) <= MAX_UNIX:
        raise ValueError(f"a Unix socket has a name of 1 … {MAX_UNIX - 1} bytes")
    if path.startswith("/") and ".." in path.split("/"):
        raise ValueError(f"{path!r} is no path without ..")
    return path


def _internet(text: str) -> None:
    found = _INTERNET.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        (ipaddress.IPv4Address if found[1] else ipaddress.IPv6Address)(found[1] or found[2])
    except ValueError:
        raise ValueError(
            "it is no port, path, address:port, [address]:port or vsock:cid:port"
        ) from None
    _port(found[3])
    if found[4] and not found[4].isdecimal():
        interface(found[4], longest=127)


def _port(text: str) -> None:
    try:
        values.integer(text, 1, 65535)
    except ValueError:
        raise ValueError(f"{text!r} is no port of 1 … 65535") from None
