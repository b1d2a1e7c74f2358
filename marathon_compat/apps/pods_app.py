"""A pod as an app: the containers of an instance are processes of one unit.

They share their host's network, the instance's directory and its control group, and they live and
die together, as the end of a unit's main process is the end of all that it holds. bash waits for
them: the first that fails ends the unit with its status; when all have ended well, so has the unit.

    unit's directory     $MESOS_SANDBOX
    a container's        NAME below it: where it starts, and where its artifacts go
    other volumes        volumes/NAME below it, but for persistent ones

What a container writes is in the journal under its own name. Its variables are on its command line,
but for secrets, which it reads from the unit's credentials.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec

from marathon_compat.apps import credentials
from marathon_compat.apps.app import (
    App,
    Artifact,
    Command,
    Container,
    HealthCheck,
    HealthProtocol,
    PortDefinition,
    ResourceLimits,
    SecretRef,
    UpgradeStrategy,
    Volume,
)
from marathon_compat.apps.pods import (
    MesosCommand,
    Pod,
    PodCheck,
    PodContainer,
    PodVolume,
    endpoints_of,
)


def as_app(pod: Pod) -> App:
    """The app that a pod is to the planner; it has no version yet."""
    scheduling = pod.scheduling
    placement, backoff = scheduling.placement, scheduling.backoff
    app = App(id=pod.id, secrets=pod.secrets)  # names its credentials
    return App(
        id=pod.id,
        args=("/bin/bash", "-c", script(pod, app)),
        instances=pod.scaling.instances,
        cpus=sum(one.resources.cpus for one in pod.containers),
        mem=sum(one.resources.mem for one in pod.containers),
        disk=sum(one.resources.disk for one in pod.containers),
        gpus=sum(one.resources.gpus for one in pod.containers),
        resource_limits=_limits(pod),
        user=_common_user(pod),
        env=pod.environment,
        secrets=pod.secrets,
        labels=pod.labels,
        constraints=tuple(
            (one.field_name, one.operator, *(() if one.value is None else (one.value,)))
            for one in placement.constraints
        ),
        container=_container(pod),
        networks=pod.networks,
        port_definitions=_ports(pod),
        require_ports=any(one.host_port for one in endpoints_of(pod)),
        fetch=tuple(
            _fetched(one, artifact) for one in pod.containers for artifact in one.artifacts
        ),
        health_checks=tuple(
            _check(pod, one, app) for one in pod.containers if one.health_check is not None
        ),
        upgrade_strategy=UpgradeStrategy(
            minimum_health_capacity=scheduling.upgrade.minimum_health_capacity,
            maximum_over_capacity=scheduling.upgrade.maximum_over_capacity,
        ),
        backoff_seconds=round(backoff.backoff),
        backoff_factor=backoff.backoff_factor,
        max_launch_delay_seconds=round(backoff.max_launch_delay),
        kill_selection=scheduling.kill_selection,
        unreachable_strategy=scheduling.unreachable_strategy,
        task_kill_grace_period_seconds=_grace(pod),
        accepted_resource_roles=placement.accepted_resource_roles or None,
        role=pod.role,
        pod={key: value for key, value in _plain(pod).items() if key != "scaling"},
    )


def pod_of(app: App) -> Pod:
    """The pod that an app stands for. Raises ValueError for an app that stands for itself."""
    if app.pod is None:
        raise ValueError(f"{app.id} is no pod")
    scaling = {"scaling": {"instances": app.instances}}
    return msgspec.convert({**app.pod, **scaling}, Pod)


def show(app: App) -> dict[str, Any]:
    """The pod that an app stands for, as the API answers it."""
    found = _plain(pod_of(app))
    return {**found, "version": app.version} if app.version else found


def _plain(pod: Pod) -> dict[str, Any]:
    """A pod as JSON's values, without what is empty."""
    shown = _pruned(msgspec.json.decode(msgspec.json.encode(pod)))
    assert isinstance(shown, dict)
    return shown


def _pruned(value: object) -> object:
    if isinstance(value, dict):
        rows = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in rows.items() if item not in (None, {}, [])}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def script(pod: Pod, app: App) -> str:
    """What bash runs: every container in the background, and a wait for the first that fails."""
    started = [
        f"( {_prelude(pod, one, app)} && exec {_command(pod, one)} ) &" for one in pod.containers
    ]
    names = " ".join(one.name for one in pod.containers)
    return "\n".join([*started, f"for _ in {names}; do wait -n || exit; done"])


def _prelude(pod: Pod, one: PodContainer, app: App) -> str:
    """Shell words that take a process to a container's directory and give it its variables."""
    box = f'"$MESOS_SANDBOX/{one.name}"'
    task = f'MESOS_TASK_ID="${{MESOS_TASK_ID/._app./.{one.name}.}}"'
    steps = [f"mkdir -p {box}", f"cd {box}", f"export MESOS_SANDBOX={box} {task}"]
    if user := _own_user(pod, one):
        steps.insert(1, f"chown {shlex.quote(user)} {box}")
    ports = [
        f'ENDPOINT_{re.sub("[^A-Z0-9]", "_", endpoint.name.upper())}="$PORT{at}"'
        for at, endpoint in enumerate(endpoints_of(pod))
    ]
    if ports:
        steps.append(f"export {' '.join(ports)}")
    for name, value in one.environment.items():
        if isinstance(value, SecretRef):
            file = f'"$CREDENTIALS_DIRECTORY/{credentials.credential(app, value.secret)}"'
            steps += [f"{name}=$(cat {file})", f"export {name}"]
    return " && ".join(steps)


def _command(pod: Pod, one: PodContainer) -> str:
    """The command of a container, as words of a shell."""
    assert one.exec is not None
    words = [f"--identifier={one.name}", "--", "/usr/bin/env", *_variables(one)]
    head = "/usr/bin/systemd-cat " + shlex.join(words)
    if user := _own_user(pod, one):
        user = shlex.quote(user)
        head += f' setpriv --reuid={user} --regid="$(id -g {user})" --init-groups'
    line = _line(one.exec.command)
    if one.tty:
        return f"{head} script --quiet --return --command {shlex.quote(line)} /dev/null"
    argv = one.exec.command.argv
    return f"{head} {shlex.join(argv) if argv else '/bin/sh -c ' + shlex.quote(line)}"


def _variables(one: PodContainer) -> list[str]:
    own = {name: value for name, value in one.environment.items() if isinstance(value, str)}
    told = {
        "MARATHON_CONTAINER_ID": one.name,
        "MARATHON_CONTAINER_RESOURCE_CPUS": str(one.resources.cpus),
        "MARATHON_CONTAINER_RESOURCE_MEM": str(one.resources.mem),
        "MARATHON_CONTAINER_RESOURCE_DISK": str(one.resources.disk),
        "MARATHON_CONTAINER_RESOURCE_GPUS": str(one.resources.gpus),
    }
    return [f"{name}={value}" for name, value in {**told, **own}.items()]


def _line(command: MesosCommand) -> str:
    return command.shell if command.shell else shlex.join(command.argv or ())


def _common_user(pod: Pod) -> str | None:
    """The user of all containers; None, which is root, when there are several."""
    users = {one.user or pod.user for one in pod.containers}
    return users.pop() if len(users) == 1 else None


def _own_user(pod: Pod, one: PodContainer) -> str | None:
    """The user that a container has to change to; None: it has that of the unit."""
    return None if _common_user(pod) else one.user or pod.user


def _limits(pod: Pod) -> ResourceLimits | None:
    """The sum of the containers' limits; one without a limit of its processor time has the unit
    without, and the memory of one without a limit is what it asks for."""
    given = [(one.resource_limits or ResourceLimits(), one.resources) for one in pod.containers]
    if not any(one.resource_limits for one in pod.containers):
        return None
    cpus = [limits.cpus for limits, _ in given]
    mem = [asked.mem if limits.mem is None else limits.mem for limits, asked in given]
    return ResourceLimits(cpus=_sum(cpus), mem=_sum(mem))


def _sum(amounts: list[Any]) -> Any:
    if "unlimited" in amounts:
        return "unlimited"
    return None if None in amounts else sum(amounts)


def _grace(pod: Pod) -> int | None:
    given = [one.lifecycle.kill_grace_period_seconds for one in pod.containers if one.lifecycle]
    known = [seconds for seconds in given if seconds is not None]
    return round(max(known)) if known else None


def _ports(pod: Pod) -> tuple[PortDefinition, ...]:
    return tuple(
        PortDefinition(
            port=one.host_port or 0,
            name=one.name,
            protocol=",".join(one.protocol),
            labels=one.labels,
        )
        for one in endpoints_of(pod)
    )


def _fetched(one: PodContainer, artifact: Artifact) -> Artifact:
    return msgspec.structs.replace(artifact, dest_path=f"{one.name}/{artifact.dest_path or ''}")


def _container(pod: Pod) -> Container | None:
    """The volumes of a pod, each once where its containers mount it."""
    held = {volume.name: volume for volume in pod.volumes}
    found: dict[tuple[str, str], Volume] = {}
    for one in pod.containers:
        for mount in one.volume_mounts:
            at = (
                mount.mount_path
                if mount.mount_path[:1] == "/"
                else f"{one.name}/{mount.mount_path}"
            )
            mode = "RO" if mount.read_only else "RW"
            found[at, mount.name] = _volume(held[mount.name], at, mode)
    return Container(type="MESOS", volumes=tuple(found.values())) if found else None


def _volume(volume: PodVolume, at: str, mode: Any) -> Volume:
    if volume.secret is not None:
        return Volume(container_path=at, secret=volume.secret)
    if volume.persistent is not None:
        return Volume(container_path=at, persistent=volume.persistent, mode=mode)
    return Volume(container_path=at, host_path=volume.host or f"volumes/{volume.name}", mode=mode)


def _check(pod: Pod, one: PodContainer, app: App) -> HealthCheck:
    check = one.health_check
    assert check is not None
    kind, index, path, command = _probe(pod, one, check, app)
    return HealthCheck(
        protocol=kind,
        port_index=index,
        path=path,
        command=command,
        grace_period_seconds=check.grace_period_seconds,
        interval_seconds=check.interval_seconds,
        timeout_seconds=check.timeout_seconds,
        max_consecutive_failures=check.max_consecutive_failures,
        delay_seconds=check.delay_seconds,
    )


def _probe(
    pod: Pod, one: PodContainer, check: PodCheck, app: App
) -> tuple[HealthProtocol, int | None, str | None, Command | None]:
    names = [endpoint.name for endpoint in endpoints_of(pod)]
    if check.http is not None:
        kind = HealthProtocol(f"MESOS_{check.http.scheme}")
        return kind, names.index(check.http.endpoint), check.http.path, None
    if check.tcp is not None:
        return HealthProtocol.MESOS_TCP, names.index(check.tcp.endpoint), None, None
    assert check.exec is not None
    inner = f"{_prelude(pod, one, app)} && {_line(check.exec.command)}"
    return HealthProtocol.COMMAND, None, None, Command(value=f"exec bash -c {shlex.quote(inner)}")
