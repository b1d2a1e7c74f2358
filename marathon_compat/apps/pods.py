"""A pod's definition: containers that live and die together, with its defaults filled in.

Only containers that are commands are taken; they are processes of their host, as those of apps
without an image are. Field names are Marathon's in snake case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from marathon_compat.apps import decode, ids, shape
from marathon_compat.apps.app import (
    Artifact,
    Network,
    PersistentVolume,
    ResourceLimits,
    SecretRef,
    SecretSource,
    UnreachableStrategy,
)
from marathon_compat.apps.errors import Violation, Wrong
from marathon_compat.apps.json_text import parse

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every part of a pod's definition."""


class MesosCommand(Part, frozen=True, kw_only=True, rename="camel"):
    """A line for the shell, or a program with its arguments."""

    shell: str | None = None
    argv: tuple[str, ...] | None = None


class Exec(Part, frozen=True, kw_only=True, rename="camel"):
    command: MesosCommand
    override_entrypoint: bool | None = None


class Resources(Part, frozen=True, kw_only=True, rename="camel"):
    """Cores, MiB, MiB."""

    cpus: float = 1.0
    mem: float = 128.0
    disk: float = 0.0
    gpus: int = 0


class Endpoint(Part, frozen=True, kw_only=True, rename="camel"):
    """A port of a container; ``host_port`` 0: any that is free."""

    name: str
    container_port: int | None = None
    host_port: int | None = None
    protocol: tuple[str, ...] = ("tcp",)
    labels: dict[str, str] = {}
    network_names: tuple[str, ...] = ()


class HttpProbe(Part, frozen=True, kw_only=True, rename="camel"):
    endpoint: str
    path: str | None = None
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"


class TcpProbe(Part, frozen=True, kw_only=True, rename="camel"):
    endpoint: str


class ExecProbe(Part, frozen=True, kw_only=True, rename="camel"):
    command: MesosCommand


class PodCheck(Part, frozen=True, kw_only=True, rename="camel"):
    """How it is told that a container is healthy: one of http, tcp, exec. Times in seconds."""

    http: HttpProbe | None = None
    tcp: TcpProbe | None = None
    exec: ExecProbe | None = None
    grace_period_seconds: int = 300
    interval_seconds: int = 60
    max_consecutive_failures: int = 3
    timeout_seconds: int = 20
    delay_seconds: int = 15


class VolumeMount(Part, frozen=True, kw_only=True, rename="camel"):
    name: str
    mount_path: str
    read_only: bool | None = None


class Lifecycle(Part, frozen=True, kw_only=True, rename="camel"):
    kill_grace_period_seconds: float | None = None


class PodContainer(Part, frozen=True, kw_only=True, rename="camel"):
    """One container of a pod."""

    name: str
    exec: Exec | None = None
    resources: Resources = Resources()
    resource_limits: ResourceLimits | None = None
    endpoints: tuple[Endpoint, ...] = ()
    image: dict[str, object] | None = None
    environment: dict[str, str | SecretRef] = {}
    user: str | None = None
    health_check: PodCheck | None = None
    volume_mounts: tuple[VolumeMount, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    labels: dict[str, str] = {}
    lifecycle: Lifecycle | None = None
    tty: bool | None = None


class PodVolume(Part, frozen=True, kw_only=True, rename="camel"):
    """A path of the host, a secret, kept with the instance, or (none of these) as long as it."""

    name: str
    host: str | None = None
    secret: str | None = None
    persistent: PersistentVolume | None = None


class Scaling(Part, frozen=True, kw_only=True, rename="camel"):
    kind: Literal["fixed"] = "fixed"
    instances: int = 1


class Backoff(Part, frozen=True, kw_only=True, rename="camel"):
    """Seconds, and the factor between two waits."""

    backoff: float = 1.0
    backoff_factor: float = 1.15
    max_launch_delay: float = 300.0


class Upgrade(Part, frozen=True, kw_only=True, rename="camel"):
    minimum_health_capacity: float = 1.0
    maximum_over_capacity: float = 1.0


class PodConstraint(Part, frozen=True, kw_only=True, rename="camel"):
    field_name: str
    operator: str
    value: str | None = None


class Placement(Part, frozen=True, kw_only=True, rename="camel"):
    constraints: tuple[PodConstraint, ...] = ()
    accepted_resource_roles: tuple[str, ...] = ()


class Scheduling(Part, frozen=True, kw_only=True, rename="camel"):
    backoff: Backoff = Backoff()
    upgrade: Upgrade = Upgrade()
    placement: Placement = Placement()
    kill_selection: Literal["YOUNGEST_FIRST", "OLDEST_FIRST"] = "YOUNGEST_FIRST"
    unreachable_strategy: UnreachableStrategy | Literal["disabled"] = UnreachableStrategy()


class Pod(Part, frozen=True, kw_only=True, rename="camel"):
    """A pod's definition. ``id`` is absolute."""

    id: str
    labels: dict[str, str] = {}
    user: str | None = None
    environment: dict[str, str | SecretRef] = {}
    containers: tuple[PodContainer, ...] = ()
    secrets: dict[str, SecretSource] = {}
    volumes: tuple[PodVolume, ...] = ()
    networks: tuple[Network, ...] = (Network(mode="host"),)
    scaling: Scaling = Scaling()
    scheduling: Scheduling = Scheduling()
    executor_resources: dict[str, float] | None = None
    role: str = "*"


def read_pod(body: bytes, pod_id: str = "") -> Pod:
    """The pod that a body defines; ``pod_id``, when given, stands in for an id that it leaves out.

    Raises BadBody: 400 for what is no JSON, else 422 with everything that is wrong with the pod
    itself; what follows from its app is found by validating that (``pods_app.as_app``).
    """
    findings = decode.Findings()
    given = decode.object_of(parse(body), "", findings)
    if given is not None:
        given = {**({"id": pod_id} if pod_id else {}), **given}
        pod = shape.read(Pod, given, "", findings.faults)
    findings.raise_any()
    pod = msgspec.structs.replace(pod, id=ids.canonical(pod.id))
    findings.wrong += [Violation(path or "/", text) for path, text in problems(pod)]
    findings.raise_any()
    return pod


def problems(pod: Pod) -> Wrong:
    """What is wrong with a pod, beyond what is of its app: (path, sentence)."""
    for text in ids.problems(pod.id):
        yield "/id", text
    if not pod.containers:
        yield "/containers", "must not be empty"
    if pod.scaling.instances < 0:
        yield "/scaling/instances", f"got {pod.scaling.instances}, expected 0 or more"
    yield from _twice("/containers({at})/name", (one.name for one in pod.containers))
    yield from _twice("/volumes({at})/name", (one.name for one in pod.volumes))
    endpoints = [one.name for container in pod.containers for one in container.endpoints]
    yield from _twice("/containers", endpoints)
    known = {one.name for one in pod.volumes}
    for at, container in enumerate(pod.containers):
        for path, text in _container(container, known):
            yield f"/containers({at}){path}", text
    yield from _secrets(pod)
    yield from _mounts(pod)


def _twice(path: str, names: Iterable[str]) -> Wrong:
    seen: set[str] = set()
    for at, name in enumerate(names):
        if name in seen:
            yield path.format(at=at), f"{name} is given twice"
        seen.add(name)


def _container(one: PodContainer, volumes: set[str]) -> Wrong:
    if not _NAME.fullmatch(one.name):
        yield "/name", "must be lower-case letters, digits and dashes, 63 at most"
    if one.image is not None:
        yield "/image", "a pod's containers are commands here: run an image as an app"
    elif one.exec is None:
        yield "/exec", "must be given"
    else:
        yield from _one_command("/exec/command", one.exec.command)
    for at, mount in enumerate(one.volume_mounts):
        if mount.name not in volumes:
            yield f"/volumeMounts({at})/name", f"the pod has no volume {mount.name}"
    for at, endpoint in enumerate(one.endpoints):
        if not _NAME.fullmatch(endpoint.name):
            yield f"/endpoints({at})/name", "must be lower-case letters, digits and dashes"
    if one.health_check:
        yield from _check(one.health_check, {endpoint.name for endpoint in one.endpoints})


def _mounts(pod: Pod) -> Wrong:
    """Containers see one file system, so what one has mounted at a path, all have there."""
    lasting = {volume.name for volume in pod.volumes if volume.persistent}
    at: dict[str, str] = {}
    for n, container in enumerate(pod.containers):
        for m, mount in enumerate(container.volume_mounts):
            path = f"/containers({n})/volumeMounts({m})"
            if mount.mount_path.startswith("/"):
                other = at.setdefault(mount.mount_path, mount.name)
                if other != mount.name:
                    yield f"{path}/mountPath", f"the volume {other} is mounted there already"
            elif mount.name in lasting:
                place = at.setdefault(f"{mount.name}:", f"{container.name}/{mount.mount_path}")
                if place != f"{container.name}/{mount.mount_path}":
                    yield path, f"the persistent volume {mount.name} can be mounted once only"


def _check(check: PodCheck, endpoints: set[str]) -> Wrong:
    probes = [probe for probe in (check.http, check.tcp, check.exec) if probe]
    if len(probes) != 1:
        yield "/healthCheck", "must have exactly one of http, tcp and exec"
    for probe in probes:
        if isinstance(probe, ExecProbe):
            yield from _one_command("/healthCheck/exec/command", probe.command)
        elif probe.endpoint not in endpoints:
            yield "/healthCheck", f"the container has no endpoint {probe.endpoint}"


def _one_command(path: str, command: MesosCommand) -> Wrong:
    if bool(command.shell) == bool(command.argv):
        yield path, "must have exactly one of shell and argv"


def _secrets(pod: Pod) -> Wrong:
    held = [("/environment", pod.environment)]
    held += [(f"/containers({n})/environment", c.environment) for n, c in enumerate(pod.containers)]
    for path, variables in held:
        for name, value in variables.items():
            if isinstance(value, SecretRef) and value.secret not in pod.secrets:
                yield f"{path}/{name}", f"references a secret {value.secret} that is not defined"
    for at, volume in enumerate(pod.volumes):
        if volume.secret is not None and volume.secret not in pod.secrets:
            yield f"/volumes({at})/secret", f"the secret {volume.secret} is not defined"


def endpoints_of(pod: Pod) -> Iterator[Endpoint]:
    """All endpoints of a pod, in order: its ports."""
    for container in pod.containers:
        yield from container.endpoints
