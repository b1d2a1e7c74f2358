"""An image, run by podman inside the unit.

The unit's control group holds the container too (``--cgroups=disabled``), so its limits are the
container's; conmon is the unit's main process and ends with the container's exit status; the
container writes into the journal as the unit does. The container is named after the unit, so a new
start takes the place of what an old one may have left.

Variables go by name, so their values are not in the process list; but those that would change what
podman itself does are given on its command line only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fleetish.errors import BadUnit
from marathon_compat.apps import docker_parameters, environment, volumes
from marathon_compat.apps.app import App, Docker
from marathon_compat.apps.credentials import credential
from marathon_compat.apps.environment import Environment
from marathon_compat.apps.translate_lines import SANDBOX, Line, literal, service, unit
from marathon_compat.apps.translate_ports import Port, argument, is_host, ports

PODMAN = "/usr/bin/podman"

#: The container's name. It has a letter that is no hexadecimal digit: podman takes the first
#: characters of an id for a name as well.
NAME = "%p.%i"

#: Where a container finds its instance's directory, as it did on Mesos.
INSIDE = "/mnt/mesos/sandbox"

#: Seconds that podman may take for its own part of a stop.
MARGIN = 15

#: Variables that podman, its runtime, Go or the dynamic linker would take for their own.
_PODMANS = re.compile(
    r"(LD_|GO|CONTAINER|DOCKER_|STORAGE_|REGISTRY_|REGISTRIES_|XDG_|DBUS_|LISTEN_|SSL_|LIBPOD|"
    r"BUILDAH|PODMAN|_CONTAINERS|CREDENTIALS_|NOTIFY_|WATCHDOG_|CONMON|OCI|CNI|NETAVARK|TMPDIR$|"
    r"TMP$|HOME$|PATH$|USER$|LOGNAME$|SHELL$|LANG|LC_|SYSTEMD|INVOCATION_ID$|JOURNAL_STREAM$|"
    r"MAINPID$|[Hh][Tt][Tt][Pp][Ss]?_[Pp]|[Nn][Oo]_P|[Aa][Ll][Ll]_P)"
)


def docker(app: App) -> Docker | None:
    """The image of an app and how it is run; None for an app without one."""
    return app.container.docker if app.container else None


def reference(image: str) -> str:
    """An image as podman finds it without asking: ``docker:///ubuntu`` and ``ubuntu`` are
    ``docker.io/library/ubuntu``. Raises BadUnit."""
    name = re.sub(r"^docker:/+", "", image)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", name):
        raise BadUnit(f"cannot run {image!r}: it is no name of an image")
    first, slash, _ = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def run(app: App, image: Docker, env: Environment) -> list[str]:
    """The command that runs an app's image, ``%`` and ``$`` of its own values guarded."""
    words = [PODMAN, "--events-backend=none", "run", f"--name={NAME}"]
    words += ["--replace", "--rm", "--detach", "--sdnotify=conmon", "--cgroups=disabled"]
    words += ["--runtime=crun", f"--log-driver={'journald' if app.tty else 'passthrough'}"]
    words.append("--pull=always" if image.force_pull_image else "--pull=missing")
    if image.pull_config:
        words.append(f"--authfile=%d/{credential(app, image.pull_config.secret)}")
    words += [*_network(app), *_rights(app, image), *_mounts(app), *_variables(env)]
    words += docker_parameters.flags(app)
    shell = ["--entrypoint=/bin/sh"] if app.cmd is not None else []
    rest = ["-c", app.cmd] if app.cmd is not None else list(app.args or ())
    return [*words, *shell, reference(image.image), *map(literal, rest)]


def named(env: Environment) -> tuple[str, ...]:
    """The variables that the container gets by name, from podman's own environment."""
    return tuple(name for name in env.even if not _PODMANS.match(name))


def lines(app: App, env: Environment, grace: float) -> Iterator[Line]:
    """The lines of a unit that runs an image, but for its ExecStart=; ``grace`` in seconds."""
    yield service("Type", "notify")
    yield service("NotifyAccess", "all")
    yield service("KillMode", "mixed")
    stop = f"{PODMAN} --events-backend=none stop --ignore --time={max(1, round(grace))} {NAME}"
    yield service("ExecStop", stop)
    clean = f"-{PODMAN} --events-backend=none rm --force --ignore --time=0 {NAME}"
    yield service("ExecStopPost", clean)
    yield service("TimeoutStopSec", f"{max(1, round(grace)) + MARGIN}s")
    yield service("SuccessExitStatus", "143")
    yield service("SyslogIdentifier", "%p")
    if not is_host(app):
        yield unit("AssertPathIsReadWrite", "/proc/sys/net")
    yield from docker_parameters.lines(app)
    yield from environment.lines(env, named(env))


def inside(command: str) -> str:
    """A command of the app's, run in its container."""
    quoted = "'" + command.replace("'", "'\\''") + "'"
    return f'exec {PODMAN} exec "$FLEETISH_CONTAINER" /bin/sh -c {quoted}'


def _network(app: App) -> Iterator[str]:
    if is_host(app):
        yield "--network=host"
        return
    for network in app.networks:
        yield f"--network={literal(network.name or 'bridge')}"
    for port in ports(app):
        yield from _published(port)


def _published(port: Port) -> Iterator[str]:
    if port.claim is not None:
        for protocol in port.protocol.split(","):
            outside = argument(port.text)
            yield f"--publish={outside}:{port.inside or outside}/{protocol}"


def _rights(app: App, image: Docker) -> Iterator[str]:
    if image.privileged or docker_parameters.is_privileged(app):
        yield "--privileged"
    if app.user is not None:
        yield f"--user={literal(app.user)}"
    if app.tty:
        yield "--tty"
    info: dict[str, Any] = (app.container.linux_info if app.container else None) or {}
    seccomp, ipc = info.get("seccomp") or {}, info.get("ipcInfo") or {}
    if seccomp.get("unconfined"):
        yield "--security-opt=seccomp=unconfined"
    if ipc.get("mode") == "PRIVATE":
        yield "--ipc=private"
    if ipc.get("shmSize"):
        yield f"--shm-size={int(ipc['shmSize'])}m"


def _mounts(app: App) -> Iterator[str]:
    yield f"--volume={SANDBOX}:{INSIDE}"
    for mount in volumes.mounts(app, INSIDE):
        if ":" in mount.source or ":" in mount.target:
            raise BadUnit(f"cannot mount {mount.source} at {mount.target}: podman parts at the :")
        mode = ":ro" if mount.read_only else ""
        yield f"--volume={_dollars(mount.source)}:{_dollars(mount.target)}{mode}"


def _dollars(path: str) -> str:
    """A path, its specifiers left alone, without variables."""
    return path.replace("$", "$$")


def _variables(env: Environment) -> Iterator[str]:
    by_name = (*named(env), *env.secret)
    yield from (f"--env={name}" for name in by_name)
    for name in (*env.fixed, *env.made):
        if name not in by_name:
            yield f"--env={env.argument(name)}"
