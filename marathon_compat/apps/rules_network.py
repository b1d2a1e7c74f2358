"""Rules of networks and ports, and of the checks that go through them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from marathon_compat.apps.app import (
    App,
    Container,
    HealthCheck,
    HealthProtocol,
    Network,
    PortDefinition,
    PortMapping,
)
from marathon_compat.apps.defaults import is_host, port_count
from marathon_compat.apps.errors import Wrong

PROTOCOLS = ("tcp", "udp", "udp,tcp")

#: Checks that Mesos ran on the agent, commands not counted; one of them at most.
AGENT_KINDS = (HealthProtocol.MESOS_HTTP, HealthProtocol.MESOS_HTTPS, HealthProtocol.MESOS_TCP)
LEADER_KINDS = (HealthProtocol.HTTP, HealthProtocol.HTTPS, HealthProtocol.TCP)

_NAME = re.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NETWORK_NAME = re.compile("[a-z0-9]([-a-z0-9_]*[a-z0-9])?")
_MAX_NAME = 63
_MAX_PATH = 1024


def networks(app: App) -> Wrong:
    """Which networks go together."""
    modes = Counter(network.mode for network in app.networks)
    if any(row.mode == "host" and (row.name or row.labels) for row in app.networks):
        yield "/networks", "Host networks may not have names or labels"
    if any(row.mode == "container/bridge" and row.name for row in app.networks):
        yield "/networks", "Bridge networks may not have names"
    names = Counter(row.name for row in app.networks if row.mode == "container")
    if any(count > 1 for count in names.values()):
        yield "/networks", "Duplicate networks are not allowed"
    if len(modes) > 1 or modes["host"] > 1 or modes["container/bridge"] > 1:
        yield (
            "/networks",
            "May specify a single host network, single bridge network,"
            " or else 1-to-n container networks",
        )
    yield from _named(app.networks)
    docker = app.container is not None and app.container.type == "DOCKER"
    if docker and modes["container"] > 1:
        yield (
            "",
            "may only specify a single container network when using the Docker container engine",
        )


def _named(rows: Iterable[Network]) -> Wrong:
    for at, row in enumerate(rows):
        if row.mode == "container" and not row.name:
            yield "/networks", "Network name must be specified when container network is selected."
        elif row.name and not (_NETWORK_NAME.fullmatch(row.name) and len(row.name) <= _MAX_NAME):
            yield f"/networks({at})/name", _pattern(_NETWORK_NAME, _MAX_NAME)


def ports(app: App) -> Wrong:
    """Port definitions of the host's network, port mappings of any other."""
    mappings = app.container.port_mappings if app.container else None
    if is_host(app) and mappings:
        yield "", "portMappings are not allowed with host-networking"
    yield from _declared("/portDefinitions", app.port_definitions or ())
    fixed = [row.port for row in app.port_definitions or () if row.port]
    if len(set(fixed)) < len(fixed):
        yield "/portDefinitions", "Ports must be unique."
    if mappings and app.container:
        yield from _declared("/container/portMappings", mappings)
        yield from _mapped(app, app.container)


def _declared(path: str, rows: Sequence[PortDefinition | PortMapping]) -> Wrong:
    names = [row.name for row in rows if row.name is not None]
    if len(set(names)) < len(names):
        yield path, "Port names must be unique."
    for at, row in enumerate(rows):
        if row.name is not None and not _NAME.fullmatch(row.name):
            yield f"{path}({at})/name", _pattern(_NAME)
        if row.protocol not in PROTOCOLS:
            yield f"{path}({at})/protocol", f"must be one of {'; '.join(PROTOCOLS)}"


def _mapped(app: App, container: Container) -> Wrong:
    known = [row.name for row in app.networks if row.name]
    several = sum(row.mode == "container" for row in app.networks) > 1
    for at, row in enumerate(container.port_mappings or ()):
        path = f"/container/portMappings({at})"
        for index, name in enumerate(row.network_names or ()):
            if name not in known:
                yield f"{path}/networkNames({index})", f"is not one of ({','.join(known)})"
        if several and row.host_port is not None and len(row.network_names or ()) != 1:
            yield (
                path,
                "networkNames must be a single item list when hostPort is specified"
                " and more than 1 container network is defined",
            )


def health_checks(app: App) -> Wrong:
    """Kinds, the ports that they are sent to, and what they say there."""
    count = port_count(app)
    docker = app.container is not None and app.container.type == "DOCKER"
    for at, check in enumerate(app.health_checks):
        path = f"/healthChecks({at})"
        if check.protocol in LEADER_KINDS and not _has_port(check, count):
            yield (
                path,
                "Health check port indices must address an element of the ports array"
                " or container port mappings.",
            )
        elif check.port_index is not None and check.port_index >= max(count, 1):
            yield f"{path}/portIndex", f"must be less than {count}, the number of ports"
        if check.protocol is HealthProtocol.COMMAND and not (check.command and check.command.value):
            yield f"{path}/command", "must be defined for the protocol COMMAND"
        if check.path is not None:
            yield from web_path(f"{path}/path", check.path)
        if check.ip_protocol == "IPv6" and not (docker and check.protocol in AGENT_KINDS):
            yield (
                path,
                "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp"
                " health checks",
            )
    if sum(check.protocol in AGENT_KINDS for check in app.health_checks) > 1:
        yield "", "AppDefinition can contain at most one Mesos health check"


def _has_port(check: HealthCheck, count: int) -> bool:
    if check.command:
        return True
    if check.port_index is not None:
        return check.port_index < count
    return check.port is not None or count == 1


def readiness_checks(app: App) -> Wrong:
    """At most one, of a port that is declared by name."""
    mappings = app.container.port_mappings if app.container else None
    names = {row.name for row in mappings or app.port_definitions or ()}
    if len(app.readiness_checks) > 1:
        yield "/readinessChecks", f"got {len(app.readiness_checks)}, expected 1 or less"
    for at, check in enumerate(app.readiness_checks):
        path = f"/readinessChecks({at})"
        if not check.name:
            yield f"{path}/name", "must not be empty"
        if check.port_name not in names:
            reason = f"No port definition reference for portName {check.port_name}"
            yield f"{path}/portName", reason
        if check.timeout_seconds >= check.interval_seconds:
            got, most = check.timeout_seconds, check.interval_seconds
            yield f"{path}/timeoutSeconds", f"got {got}, expected less than {most}"
        if not check.http_status_codes_for_ready:
            yield f"{path}/httpStatusCodesForReady", "must not be empty"
        if not all(100 <= code <= 999 for code in check.http_status_codes_for_ready):
            yield f"{path}/httpStatusCodesForReady", "must be numbers from 100 to 999"
        yield from web_path(f"{path}/path", check.path)


def web_path(where: str, text: str) -> Wrong:
    """The path of a request: of visible characters, and not one that names another host."""
    if not text or len(text) > _MAX_PATH:
        yield where, f"must have 1 to {_MAX_PATH} characters"
    elif text.startswith("//") or not all("!" <= char != "\x7f" for char in text):
        yield where, "must be the path of a URL, without spaces and control characters"


def _pattern(name: re.Pattern[str], longest: int = 0) -> str:
    most = f" and be at most {longest} characters long" if longest else ""
    return f"must fully match regular expression '^{name.pattern}$'{most}"
