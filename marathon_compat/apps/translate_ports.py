"""The ports of an app: which of them its machine grants, and what each is called in a command.

A definition in host mode and a mapping of a container both become a :class:`Port`, in order. The
machine's own ports are granted when the instance is placed. Until then ``${PORT0}`` stands for one
([X-Fleet] Environment=), and in a command ``${FLEETISH_PORT0}``: an app may set PORT0 itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fleetish.errors import BadUnit
from marathon_compat.apps.app import App, PortMapping
from marathon_compat.apps.translate_lines import Line, fleet


class Port(NamedTuple):
    """One port of an app.

    ``declared`` is the number that the definition names. ``claim`` is what is asked of the machine
    (0: any port, None: nothing); ``grant`` counts those that are. ``text`` is the port where others
    reach it, ``inside`` the one in the container (0: the same).
    """

    declared: int
    name: str
    protocol: str
    claim: int | None
    grant: int
    text: str
    inside: int = 0


def is_host(app: App) -> bool:
    """Whether the processes of an app share the network of their machine."""
    return all(network.mode == "host" for network in app.networks)


def ports(app: App) -> tuple[Port, ...]:
    """The ports of an app, in the order of its definition. Raises BadUnit."""
    if is_host(app):
        return tuple(
            Port(one.port, one.name or "", one.protocol, claim, at, f"${{PORT{at}}}")
            for at, one in enumerate(app.port_definitions or ())
            for claim in (one.port if app.require_ports else 0,)
        )
    return _mapped(app)


def claims(found: tuple[Port, ...]) -> tuple[int, ...]:
    """What Ports= asks for."""
    return tuple(port.claim for port in found if port.claim is not None)


def argument(text: str) -> str:
    """The text of a port in a command."""
    return text.replace("${PORT", "${FLEETISH_PORT")


def lines(command: Iterable[str]) -> Iterator[Line]:
    """The lines that make the variables by which a command names ports."""
    named = {at for word in command for at in re.findall(r"\$\{FLEETISH_PORT(\d+)\}", word)}
    for at in sorted(named, key=int):
        yield fleet("Environment", f"FLEETISH_PORT{at}=${{PORT{at}}}")


def _mapped(app: App) -> tuple[Port, ...]:
    bridged = any(network.mode == "container/bridge" for network in app.networks)
    found: list[Port] = []
    grant = 0
    for mapping in (app.container and app.container.port_mappings) or ():
        claim = _claim(mapping, bridged)
        outside = f"${{PORT{grant}}}" if claim is not None else str(mapping.container_port)
        inside, name, protocol = mapping.container_port, mapping.name or "", mapping.protocol
        found.append(Port(inside, name, protocol, claim, grant, outside, inside))
        grant += claim is not None
    return tuple(found)


def _claim(mapping: PortMapping, bridged: bool) -> int | None:
    if mapping.host_port is None and not bridged:
        if not mapping.container_port:
            raise BadUnit(
                "cannot map a port that has neither a number in the container nor on the host",
                hint="give containerPort or hostPort",
            )
        return None
    return mapping.host_port or 0
