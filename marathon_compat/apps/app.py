"""An app definition, complete: what Marathon 1.11 takes, with its defaults filled in.

Field names are Marathon's in snake case; on the wire they are in camel case. Memory and disk are
in MiB, CPUs in cores, times in seconds. What users of Marathon up to 1.4 wrote (``ports``,
``uris``, ``ipAddress``, ``container.docker.network`` and ``.portMappings``) is turned into today's
fields when a definition is decoded, and is never answered.

``None`` means: not given, and so not answered either; strict old clients live on that rule.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class Piece(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every part of a definition."""


class PortDefinition(Piece, frozen=True, kw_only=True, rename="camel"):
    """A port in host mode; ``port`` is the service port (0: to be assigned, 10000–20000)."""

    port: int = 0
    protocol: str = "tcp"
    name: str | None = None
    labels: dict[str, str] = {}


class PortMapping(Piece, frozen=True, kw_only=True, rename="camel"):
    """A port of a container that has a network of its own."""

    container_port: int = 0
    host_port: int | None = None
    service_port: int = 0
    protocol: str = "tcp"
    name: str | None = None
    labels: dict[str, str] = {}
    network_names: tuple[str, ...] | None = None


class Network(Piece, frozen=True, kw_only=True, rename="camel"):
    mode: Literal["host", "container/bridge", "container"] = "container"
    name: str | None = None
    labels: dict[str, str] | None = None


class Parameter(Piece, frozen=True, kw_only=True, rename="camel"):
    key: str
    value: str


class PullConfig(Piece, frozen=True, kw_only=True, rename="camel"):
    secret: str


class Docker(Piece, frozen=True, kw_only=True, rename="camel"):
    image: str
    force_pull_image: bool = False
    privileged: bool | None = None
    parameters: tuple[Parameter, ...] | None = None
    pull_config: PullConfig | None = None


class PersistentVolume(Piece, frozen=True, kw_only=True, rename="camel"):
    """Kept on the machine with the instance; ``size`` in MiB."""

    type: Literal["root", "path", "mount"] = "root"
    size: int = 0
    max_size: int | None = None
    profile_name: str | None = None
    constraints: tuple[tuple[str, ...], ...] | None = None


class Volume(Piece, frozen=True, kw_only=True, rename="camel"):
    """One of: of the host (``host_path``), persistent, external, or a secret."""

    container_path: str
    host_path: str | None = None
    mode: Literal["RO", "RW"] | None = None
    persistent: PersistentVolume | None = None
    external: dict[str, object] | None = None
    secret: str | None = None


class Container(Piece, frozen=True, kw_only=True, rename="camel"):
    type: Literal["DOCKER", "MESOS"] = "DOCKER"
    docker: Docker | None = None
    volumes: tuple[Volume, ...] = ()
    port_mappings: tuple[PortMapping, ...] | None = None
    linux_info: dict[str, object] | None = None


class Artifact(Piece, frozen=True, kw_only=True, rename="camel"):
    """Something to fetch into the sandbox before the start."""

    uri: str
    extract: bool = True
    executable: bool = False
    cache: bool = False
    dest_path: str | None = None


class Command(Piece, frozen=True, kw_only=True, rename="camel"):
    value: str


class HealthProtocol(StrEnum):
    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TCP = "TCP"
    COMMAND = "COMMAND"
    MESOS_HTTP = "MESOS_HTTP"
    MESOS_HTTPS = "MESOS_HTTPS"
    MESOS_TCP = "MESOS_TCP"


class HealthCheck(Piece, frozen=True, kw_only=True, rename="camel"):
    """How it is told whether a task is healthy; run on its own machine, whatever the kind."""

    protocol: HealthProtocol = HealthProtocol.HTTP
    path: str | None = None
    port_index: int | None = None
    port: int | None = None
    command: Command | None = None
    grace_period_seconds: int = 300
    interval_seconds: int = 60
    timeout_seconds: int = 20
    max_consecutive_failures: int = 3
    delay_seconds: int = 15
    ignore_http1xx: bool | None = msgspec.field(default=None, name="ignoreHttp1xx")
    ip_protocol: Literal["IPv4", "IPv6"] = msgspec.field(default="IPv4", name="ipProtocol")


class ReadinessCheck(Piece, frozen=True, kw_only=True, rename="camel"):
    """When a new task counts in a deployment."""

    name: str = "readinessCheck"
    protocol: Literal["HTTP", "HTTPS"] = "HTTP"
    path: str = "/"
    port_name: str = "http-api"
    interval_seconds: int = 30
    timeout_seconds: int = 10
    http_status_codes_for_ready: tuple[int, ...] = (200,)
    preserve_last_response: bool = False


class UpgradeStrategy(Piece, frozen=True, kw_only=True, rename="camel"):
    minimum_health_capacity: float = 1.0
    maximum_over_capacity: float = 1.0


class UnreachableStrategy(Piece, frozen=True, kw_only=True, rename="camel"):
    inactive_after_seconds: int = 0
    expunge_after_seconds: int = 0


class ResourceLimits(Piece, frozen=True, kw_only=True, rename="camel"):
    cpus: float | Literal["unlimited"] | None = None
    mem: float | Literal["unlimited"] | None = None


class SecretRef(Piece, frozen=True, kw_only=True, rename="camel"):
    """The value of an environment variable that is a secret's."""

    secret: str


class SecretSource(Piece, frozen=True, kw_only=True, rename="camel"):
    source: str


class VersionInfo(Piece, frozen=True, kw_only=True, rename="camel"):
    """When an app was last scaled, and when anything else of it last changed."""

    last_scaling_at: str
    last_config_change_at: str


class App(Piece, frozen=True, kw_only=True, rename="camel"):
    """An app definition. ``id`` is absolute. ``version`` is empty until it is stored. ``pod`` is
    the definition of the pod that the app stands for (:mod:`marathon_compat.apps.pods_app`)."""

    id: str
    cmd: str | None = None
    args: tuple[str, ...] | None = None
    instances: int = 1
    cpus: float = 1.0
    mem: float = 128.0
    disk: float = 0.0
    gpus: int = 0
    resource_limits: ResourceLimits | None = None
    executor: str = ""
    executor_resources: dict[str, float] | None = None
    user: str | None = None
    env: dict[str, str | SecretRef] = {}
    secrets: dict[str, SecretSource] = {}
    labels: dict[str, str] = {}
    constraints: tuple[tuple[str, ...], ...] = ()
    container: Container | None = None
    networks: tuple[Network, ...] = (Network(mode="host"),)
    port_definitions: tuple[PortDefinition, ...] | None = None
    require_ports: bool = False
    fetch: tuple[Artifact, ...] = ()
    health_checks: tuple[HealthCheck, ...] = ()
    check: dict[str, object] | None = None
    readiness_checks: tuple[ReadinessCheck, ...] = ()
    dependencies: tuple[str, ...] = ()
    upgrade_strategy: UpgradeStrategy = UpgradeStrategy()
    backoff_seconds: int = 1
    backoff_factor: float = 1.15
    max_launch_delay_seconds: int = 300
    kill_selection: Literal["YOUNGEST_FIRST", "OLDEST_FIRST"] = "YOUNGEST_FIRST"
    unreachable_strategy: UnreachableStrategy | Literal["disabled"] = UnreachableStrategy()
    task_kill_grace_period_seconds: int | None = None
    accepted_resource_roles: tuple[str, ...] | None = None
    role: str = "*"
    residency: dict[str, object] | None = None
    tty: bool | None = None
    version: str = ""
    version_info: VersionInfo | None = None
    pod: dict[str, object] | None = None
