"""Command lines for OpenSSH's ``ssh``, from fleetctl's settings.

fleetctl had an SSH client of its own. Here it is ssh(1), which also reads ~/.ssh/config and asks
for what it needs; host keys are kept apart in fleetctl's file, as they were.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from fleetish.cli.fleetctl.settings import Settings
from fleetish.errors import Refused

#: Where ssh listens unless told otherwise.
PORT = 22


class Place(NamedTuple):
    """A host, and the port that ssh listens on there."""

    host: str
    port: int


def place_of(text: str) -> Place:
    """``HOST[:PORT]``, an IPv6 address in brackets. Raises Refused."""
    try:
        found = urlsplit(f"//{text}")
        host, port = found.hostname, found.port
    except ValueError:
        host, port = None, None
    if not host:
        raise Refused(f"cannot read {text!r} as HOST[:PORT]")
    return Place(host, port or PORT)


def options(how: Settings) -> list[str]:
    """What every ssh is told: how long to try, and whether and where to check the host's key."""
    checked = how.strict_host_key_checking
    pairs = {
        "ConnectTimeout": str(math.ceil(how.ssh_timeout)),
        "StrictHostKeyChecking": "ask" if checked else "no",
        "UserKnownHostsFile": f'"{_plain(how.known_hosts_file)}"' if checked else "/dev/null",
        **({} if checked else {"LogLevel": "ERROR"}),
    }
    return [word for name, value in pairs.items() for word in ("-o", f"{name}={value}")]


def _plain(text: str) -> str:
    """A text in which ssh expands nothing (ssh_config(5), TOKENS)."""
    return text.replace("%", "%%")


def dial(how: Settings, endpoint: str) -> list[str]:
    """The command whose standard input and output are a connection to ``endpoint``, made from the
    host of the tunnel. Raises Refused for an endpoint that cannot be reached this way."""
    there = urlsplit(endpoint)
    place = place_of(how.tunnel)
    to = ["--", f"{how.ssh_username}@{place.host}"]
    words = ["ssh", *options(how), "-p", str(place.port)]
    if there.scheme == "unix":
        path = "/" + endpoint.removeprefix("unix:").lstrip("/")
        return [*words, "-T", *to, shlex.join(["fleetctl", "fd-forward", path])]
    if there.scheme != "http" or not there.hostname or there.path.strip("/"):
        raise Refused(f"cannot tunnel to {endpoint}", hint="unix:///PATH or http://HOST:PORT")
    host = f"[{there.hostname}]" if ":" in there.hostname else there.hostname
    return [*words, "-W", f"{host}:{there.port or 80}", *to]


def login(
    how: Settings, place: Place, command: Sequence[str] = (), *, forward_agent: bool = False
) -> list[str]:
    """The command that opens a shell on a machine, or runs a command there; through the tunnel's
    host when there is one."""
    words = ["ssh", *options(how), "-p", str(place.port)]
    if how.tunnel:
        hop = place_of(how.tunnel)
        head = shlex.join(["ssh", *options(how), "-p", str(hop.port)])
        tail = shlex.join(["--", f"{how.ssh_username}@{hop.host}"])
        words += ["-o", f"ProxyCommand={_plain(head)} -W %h:%p {_plain(tail)}"]
    words += [*(["-A"] if forward_agent else []), *([] if command else ["-t"])]
    return [*words, "--", f"{how.ssh_username}@{place.host}", *command]
