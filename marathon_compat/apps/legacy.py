"""What users of Marathon up to 1.4 wrote, turned into today's fields.

    ports: [80, 0]                          portDefinitions, one per port
    uris: ["http://h/a.tgz"]                fetch; what looks like an archive is extracted
    container.docker.network: BRIDGE        networks: [{"mode": "container/bridge"}]
    container.docker.portMappings           container.portMappings
    ipAddress {networkName, labels, …}      networks; its discovery.ports are port mappings
    container {image: "docker:///i",        container {docker {image: "i", parameters}}
               options: ["--net=host"]}     (2014)

A field may be said in the old way or in the new one, not in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec.structs import replace

from marathon_compat.apps.app import (
    App,
    Artifact,
    Container,
    Docker,
    Network,
    Parameter,
    Piece,
    PortDefinition,
    PortMapping,
)
from marathon_compat.apps.errors import Wrong

#: What the fetcher extracts when only a URI is given.
ARCHIVES = (".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar", ".gz", ".zip")

#: The name under which Mesos knew its own bridge; it could be asked for by name.
BRIDGE_NAME = "mesos-bridge"

_IMAGE_SCHEME = "docker:///"
#: Options that have a field of their own.
_NO_PARAMETERS = ("net", "network", "privileged")
_SHORT_OPTIONS = {
    "v": "volume", "e": "env", "p": "publish", "u": "user", "w": "workdir", "h": "hostname",
    "l": "label", "m": "memory", "c": "cpu-shares",
}  # fmt: skip


class DiscoveryPort(Piece, frozen=True, kw_only=True, rename="camel"):
    name: str
    number: int = 0
    protocol: str = "tcp"
    labels: dict[str, str] | None = None


class Discovery(Piece, frozen=True, kw_only=True, rename="camel"):
    ports: tuple[DiscoveryPort, ...] = ()


class IpAddress(Piece, frozen=True, kw_only=True, rename="camel"):
    """An address of its own for each task."""

    network_name: str | None = None
    labels: dict[str, str] | None = None
    discovery: Discovery | None = None


class OldDocker(Piece, frozen=True, kw_only=True, rename="camel"):
    network: Literal["BRIDGE", "HOST", "NONE", "USER"] | None = None
    port_mappings: tuple[PortMapping, ...] | None = None
    credential: dict[str, object] | None = None


class OldContainer(Piece, frozen=True, kw_only=True, rename="camel"):
    docker: OldDocker | None = None
    image: str | None = None
    options: tuple[str, ...] = ()


class OldApp(Piece, frozen=True, kw_only=True, rename="camel"):
    """The fields of an app that are read but never answered."""

    ports: tuple[int, ...] | None = None
    uris: tuple[str, ...] | None = None
    ip_address: IpAddress | None = None
    container: OldContainer | None = None

    @property
    def docker(self) -> OldDocker:
        """What is said of docker, or nothing."""
        return (self.container and self.container.docker) or OldDocker()

    @property
    def discovery(self) -> tuple[DiscoveryPort, ...]:
        """The ports that are announced for an address of its own."""
        found = self.ip_address and self.ip_address.discovery
        return found.ports if found else ()


def names_network(old: OldApp) -> bool:
    """True when the old fields say what networks there are."""
    return bool(old.ip_address or old.docker.network or _option_network(old))


def conflicts(app: App, old: OldApp, given: Mapping[str, object]) -> Wrong:
    """What is said twice, or cannot be said any more.

    ``given`` are the fields of the body; ``app`` is what they are in today's terms alone.
    """
    networks = bool(given.get("networks"))
    if old.uris and app.fetch:
        yield "/uris", "may not be set in conjunction with fetch"
    if old.docker.network and networks:
        yield "", "must not specify both container.docker.network and networks"
    if old.ip_address and networks:
        yield "", "must not specify both networks and ipAddress"
    fixed = [port for port in old.ports or () if port]
    if len(set(fixed)) < len(fixed):
        yield "", "ports must be unique"
    if old.ip_address and (old.ports or app.port_definitions):
        yield "", "cannot specify both an IP address and port"
    declared = app.port_definitions or ()
    if old.ports and declared and tuple(row.port for row in declared) != old.ports:
        yield "", "cannot specify both ports and port definitions"
    yield from _docker_conflicts(app, old)


def _docker_conflicts(app: App, old: OldApp) -> Wrong:
    container, docker = app.container, old.docker
    if docker.credential is not None:
        yield "/container/docker/credential", "must be empty; use pullConfig"
    if docker.network == "NONE":
        yield "/container/docker/network", "unsupported docker network type NONE"
    if container is None:
        return
    if docker.port_mappings and container.port_mappings:
        yield "/container", "cannot specify both portMappings and docker.portMappings"
    if old.discovery and container.type == "DOCKER":
        yield "/ipAddress", "ipAddress/discovery is not allowed for Docker containers"
    if old.discovery and container.port_mappings:
        yield "", "container.portMappings and ipAddress.discovery.ports must not both be set"
    if container.type == "MESOS" and docker.network:
        yield "/container/docker/network", "must be empty"
    if container.type == "MESOS" and docker.port_mappings:
        yield "/container/docker/portMappings", "must be empty"


def upgraded(app: App, old: OldApp) -> App:
    """The app with its old fields in today's terms. ``networks`` is empty when the body has said
    nothing of networks, old or new; see :mod:`marathon_compat.apps.defaults`."""
    return replace(
        app,
        fetch=app.fetch or tuple(map(artifact, old.uris or ())),
        networks=app.networks if not names_network(old) else (_network(old),),
        container=_container(app.container, old),
        port_definitions=_port_definitions(app, old),
    )


def artifact(uri: str) -> Artifact:
    """A bare URI as something to fetch: an archive is extracted, anything else left as it is."""
    path = uri.partition("?")[0].partition("#")[0]
    return Artifact(uri=uri, extract=path.endswith(ARCHIVES))


def _port_definitions(app: App, old: OldApp) -> tuple[PortDefinition, ...] | None:
    if app.port_definitions is not None or old.ports is None:
        return app.port_definitions
    return tuple(PortDefinition(port=port) for port in old.ports)


def _network(old: OldApp) -> Network:
    address = old.ip_address
    kind = old.docker.network or _option_network(old)
    if kind == "HOST":
        return Network(mode="host")
    labels = (address.labels if address else None) or None
    name = address.network_name if address else None
    if kind == "BRIDGE" or (kind is None and name == BRIDGE_NAME):
        return Network(mode="container/bridge", labels=labels)
    return Network(mode="container", name=name, labels=labels)


def _option_network(old: OldApp) -> Literal["BRIDGE", "HOST"] | None:
    options = parameters(old.container.options) if old.container else ()
    nets = [option.value for option in options if option.key in ("net", "network")]
    if not nets:
        return None
    return "BRIDGE" if nets[-1] == "bridge" else "HOST"


def _container(container: Container | None, old: OldApp) -> Container | None:
    if container is None:
        container = Container(type="MESOS") if old.ip_address else None
    if container is None:
        return None
    first = old.container
    if first and first.image and container.docker is None:
        rows = {row.key: row.value for row in parameters(first.options)}
        docker = Docker(
            image=first.image.removeprefix(_IMAGE_SCHEME),
            privileged=rows.get("privileged") == "true",
            parameters=tuple(
                row for row in parameters(first.options) if row.key not in _NO_PARAMETERS
            ),
        )
        container = replace(container, docker=docker)
    if container.port_mappings is not None:
        return container
    return replace(container, port_mappings=old.docker.port_mappings or _discovered(old))


def _discovered(old: OldApp) -> tuple[PortMapping, ...] | None:
    return (
        tuple(
            PortMapping(
                container_port=port.number,
                name=port.name,
                protocol=port.protocol,
                labels=port.labels or {},
            )
            for port in old.discovery
        )
        or None
    )


def parameters(options: Iterable[str]) -> tuple[Parameter, ...]:
    """Options of the docker command line as parameters: ``--key=value``, ``--key value``,
    ``-k value``; one without a value is ``true``."""
    found: list[Parameter] = []
    waiting = ""
    for word in options:
        if waiting and not word.startswith("-"):
            found.append(Parameter(key=waiting, value=word))
            waiting = ""
            continue
        if waiting:
            found.append(Parameter(key=waiting, value="true"))
        name, equals, value = word.lstrip("-").partition("=")
        key = name if word.startswith("--") else _SHORT_OPTIONS.get(name, name)
        waiting = "" if equals else key
        if equals:
            found.append(Parameter(key=key, value=value))
    return (*found, Parameter(key=waiting, value="true")) if waiting else tuple(found)
