"""How fleetctl reaches the API: which endpoint, through which tunnel, with which certificates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from fleetish.cli.fleetctl.settings import Settings, given
from fleetish.client import DEFAULT_ENDPOINT, Client
from fleetish.errors import FleetishError, Refused, Unavailable
from fleetish.transport import Tls

#: fleet's own socket, which a machine may or may not offer beside ours.
FLEET_SOCKET = "unix:///var/run/fleet.sock"


def endpoints(text: str) -> str:
    """What :class:`Client` shall try for an ``--endpoint``; "" for its default.

    fleet wrote unix sockets as ``file://`` too. Its default is ours under another name, so that a
    script which spells it out works on a machine where that socket was not set up.
    """
    words = [one.strip().replace("file:", "unix:", 1) for one in text.split(",") if one.strip()]
    if FLEET_SOCKET in words:
        words.append(DEFAULT_ENDPOINT)
    return ",".join(words)


def check_driver(how: Settings) -> None:
    """Raises Refused when the cluster shall be reached by another way than the API."""
    if how.driver.upper() == "API" and how.experimental_api:
        return
    what = f"--driver={how.driver}" if how.experimental_api else "--experimental-api=false"
    raise Refused(
        f"cannot use {what}: fleetish keeps its state in etcd v3, not under fleet's keys",
        hint="leave it out, and let --endpoint be that of the API",
    )


def tls_of(how: Settings) -> Tls:
    """The certificates to use with https. Raises Refused when a file cannot be read."""
    for path in (how.ca_file, how.cert_file, how.key_file):
        if path and not os.access(path, os.R_OK):
            raise Refused(f"cannot read {path}: there is no such file, or it may not be read")
    return Tls(how.ca_file, how.cert_file, how.key_file)


def keep_known_hosts(how: Settings) -> None:
    """Make the directory of the file of known hosts, which ssh does not. Raises Refused."""
    if not how.strict_host_key_checking:
        return
    try:
        Path(how.known_hosts_file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(
            f"cannot keep known hosts in {how.known_hosts_file}: {error.strerror}",
            hint="use --known-hosts-file",
        ) from None


class Route(NamedTuple):
    """The endpoints that the client connects to, and what people call them."""

    endpoints: str
    shown: str


@contextmanager
def connect() -> Iterator[Client]:
    """A client as the global flags want it, closed at the end with all that it needed.

    Raises Refused, as fleetctl says it, when they want what cannot be.
    """
    how = given()
    with ExitStack() as held:
        try:
            check_driver(how)
            route = _route(how, held)
            fleet = held.enter_context(Client(route.endpoints, tls=tls_of(how)))
        except FleetishError as error:
            raise Refused(
                f"Unable to initialize client: {error.message}", hint=error.hint
            ) from None
        if how.debug:
            _tell_requests()
        try:
            yield fleet
        except Unavailable as error:
            if not how.tunnel:
                raise
            said = error.message.replace(route.endpoints, route.shown)
            raise Unavailable(said, hint="see --tunnel and --endpoint") from None


def _route(how: Settings, held: ExitStack) -> Route:
    """The way to the API; a tunnel is ``held`` open. Raises Refused."""
    asked = endpoints(how.endpoint)
    if not how.tunnel:
        return Route(asked, asked)
    from fleetish.cli.fleetctl.openssh import dial
    from fleetish.cli.fleetctl.tunnel import Tunnel

    there = (asked or DEFAULT_ENDPOINT).split(",")[-1 if FLEET_SOCKET in asked else 0]
    keep_known_hosts(how)
    return Route(held.enter_context(Tunnel(dial(how, there))), f"{there} through {how.tunnel}")


def _tell_requests() -> None:
    """Have the HTTP library tell each request on standard error."""
    import logging

    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
