"""``listeners.py PID …``: how many sockets listen on task ports, in each process's network.

Prints a line of JSON for each look at all of them, until standard input ends. A look is a dump of
the listening sockets alone (sock_diag(7)), which takes microseconds where /proc/net/tcp takes
milliseconds. One that took longer than :data:`LONGEST`, since this process had to wait for a core,
is left out: what was seen first may be past by then.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator

#: Seconds: a look at most, and between two.
LONGEST, BETWEEN = 0.005, 0.01
PORTS = range(31000, 32001)

_CLONE_NEWNET = 0x40000000
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _DUMP, _DONE = 4, 20, 0x301, 3
_TCP_LISTEN = 10
#: struct nlmsghdr; the head of struct inet_diag_req_v2; what of struct inet_diag_msg says the port.
_HEADER, _REQUEST, _PORT = struct.Struct("=IHHII"), struct.Struct("=BBBxI"), struct.Struct("!4xH")
_SOCKET_ID = bytes(48)


def opened(pid: int) -> socket.socket:
    """A netlink socket in a process's network namespace: it stays there, whoever uses it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net") as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the network of {pid}")
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)


def listening(asked: socket.socket) -> Iterator[int]:
    """The ports on which sockets of TCP over IPv4 listen."""
    body = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN) + _SOCKET_ID
    size = _HEADER.size + len(body)
    asked.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + body)
    while True:
        data = asked.recv(1 << 16)
        while data:
            size, kind, *_ = _HEADER.unpack_from(data)
            if kind != _SOCK_DIAG_BY_FAMILY:
                if kind == _DONE:
                    return
                raise OSError("cannot list sockets: the kernel refuses")
            (port,) = _PORT.unpack_from(data, _HEADER.size)
            yield port
            data = data[(size + 3) & ~3 :]


def main(pids: list[str]) -> None:
    """See the module's own description."""
    hosts = [opened(int(pid)) for pid in pids]
    os.nice(-10)
    while not select.select([sys.stdin], [], [], BETWEEN)[0]:
        begin = time.monotonic()
        counts = [sum(port in PORTS for port in listening(host)) for host in hosts]
        if time.monotonic() - begin <= LONGEST:
            print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
