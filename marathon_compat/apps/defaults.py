"""What is filled in where a definition is silent and the answer hangs on its other fields.

networks         host
portDefinitions  host mode: one, port 0, named "default"; else none
portMappings     else: one, container port 0, named "default"; host port 0 on a bridge
healthChecks     portIndex 0 where neither index nor port is said
upgradeStrategy  0.5 and 0 with volumes that stay, 0 and 0 for a single instance, else 1 and 1
unreachable      disabled with volumes that stay; they are what residency is for
"""

from __future__ import annotations

from collections.abc import Container as Names
from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from marathon_compat.apps import ids
from marathon_compat.apps.app import (
    App,
    Container,
    Docker,
    HealthCheck,
    HealthProtocol,
    Network,
    PortDefinition,
    PortMapping,
    ReadinessCheck,
    UpgradeStrategy,
    Volume,
)

T = TypeVar("T")

SINGLE_INSTANCE = "MARATHON_SINGLE_INSTANCE_APP"

HOST = (Network(mode="host"),)
DEFAULT_PORTS = (PortDefinition(name="default"),)
DEFAULT_MAPPINGS = (PortMapping(name="default"),)
DEFAULT_RESIDENCY: dict[str, object] = {
    "relaunchEscalationTimeoutSeconds": 3600,
    "taskLostBehavior": "WAIT_FOREVER",
}


def completed(app: App, given: Names[str], base: str = ids.ROOT) -> App:
    """The app with everything filled in; ``given`` are the names of the fields that its body has,
    ``base`` is the group that its relative ids are in. It need not be valid yet."""
    app = _ports(_tidy(app), stated="networks" in given)
    return replace(
        app,
        id=ids.canonical(app.id, base),
        args=app.args or None,
        dependencies=_once(ids.canonical(row, base) for row in app.dependencies),
        constraints=_once(app.constraints),
        health_checks=_once(_indexed(check, app) for check in app.health_checks),
        readiness_checks=tuple(map(_readiness, app.readiness_checks)),
        accepted_resource_roles=app.accepted_resource_roles and _once(app.accepted_resource_roles),
        require_ports=app.require_ports and is_host(app),
        version="",
        version_info=None,
        **_volume_fields(app, given),
    )


def _once(rows: Iterable[T]) -> tuple[T, ...]:
    """Each row once: these lists are sets to Marathon, which remembers their order."""
    return tuple(dict.fromkeys(rows))


def is_host(app: App) -> bool:
    """True when the app's ports are the machine's own. No networks at all are the host's."""
    return all(network.mode == "host" for network in app.networks)


def keeps_data(app: App) -> bool:
    """True when the app has volumes that stay on their machine."""
    return any(volume.persistent for volume in app.container.volumes) if app.container else False


def is_single(app: App) -> bool:
    """True when its label allows one instance at a time."""
    return app.labels.get(SINGLE_INSTANCE) == "true"


def _tidy(app: App) -> App:
    """Empty parts that are as good as none are none."""
    networks = tuple(replace(row, labels=row.labels or None) for row in app.networks)
    return replace(app, networks=networks)


def _ports(app: App, stated: bool) -> App:
    container = app.container and _container(app.container)
    if is_host(app):
        # Who has named the host's network himself shall hear that mappings make no sense on it.
        if container and not (stated and container.port_mappings):
            container = replace(container, port_mappings=None)
        definitions = DEFAULT_PORTS if app.port_definitions is None else app.port_definitions
        return replace(
            app, networks=app.networks or HOST, container=container, port_definitions=definitions
        )
    container = container or Container(type="MESOS")
    mappings = DEFAULT_MAPPINGS if container.port_mappings is None else container.port_mappings
    more = len(app.port_definitions or ()) - len(mappings)
    mappings = (*mappings, *(PortMapping() for _ in range(more)))
    bridge = any(network.mode == "container/bridge" for network in app.networks)
    mappings = tuple(_mapping(row, bridge) for row in mappings)
    return replace(app, container=replace(container, port_mappings=mappings), port_definitions=None)


def _mapping(row: PortMapping, bridge: bool) -> PortMapping:
    port = 0 if bridge and row.host_port is None else row.host_port
    return replace(row, host_port=port, network_names=row.network_names or None)


def _container(container: Container) -> Container:
    docker = container.docker
    if docker and container.type == "DOCKER":
        docker = _docker(docker)
    return replace(container, docker=docker, volumes=tuple(map(_volume, container.volumes)))


def _docker(docker: Docker) -> Docker:
    """The docker engine's two own fields are always answered, the Mesos engine has neither."""
    return replace(docker, privileged=bool(docker.privileged), parameters=docker.parameters or ())


def _volume(volume: Volume) -> Volume:
    if volume.mode is None and volume.secret is None:
        volume = replace(volume, mode="RW")
    disk = volume.persistent
    if disk is None:
        return volume
    profiled = disk.profile_name and disk.type == "root"  # a profile is of a mount, says Marathon
    kind = "mount" if profiled else disk.type
    return replace(
        volume, persistent=replace(disk, type=kind, constraints=disk.constraints or None)
    )


def _indexed(check: HealthCheck, app: App) -> HealthCheck:
    silent = check.port is None and check.port_index is None
    needs = check.protocol is not HealthProtocol.COMMAND and bool(port_count(app))
    return replace(check, port_index=0) if silent and needs else check


def port_count(app: App) -> int:
    """How many ports a task gets, which is what port indices count."""
    mappings = app.container.port_mappings if app.container else None
    return len(mappings if mappings else app.port_definitions or ())


def _readiness(check: ReadinessCheck) -> ReadinessCheck:
    return replace(check, http_status_codes_for_ready=_once(check.http_status_codes_for_ready))


def _volume_fields(app: App, given: Names[str]) -> dict[str, object]:
    """The fields that have another default when data stays, or only one instance may be."""
    stays = keeps_data(app)
    found: dict[str, object] = {}
    if stays and app.residency is None:
        found["residency"] = DEFAULT_RESIDENCY
    if stays and "unreachableStrategy" not in given:
        found["unreachable_strategy"] = "disabled"
    if "upgradeStrategy" not in given:
        found["upgrade_strategy"] = _upgrade(app, stays)
    return found


def _upgrade(app: App, stays: bool) -> UpgradeStrategy:
    if is_single(app):
        return UpgradeStrategy(minimum_health_capacity=0.0, maximum_over_capacity=0.0)
    if stays or (app.container and any(row.external for row in app.container.volumes)):
        return UpgradeStrategy(minimum_health_capacity=0.5, maximum_over_capacity=0.0)
    return UpgradeStrategy()
