"""An app as a unit file: what one instance of it is on a systemd host.

    cmd, args          ExecStart=, through /bin/sh where a shell was asked for or is needed
    image              podman inside the unit (:mod:`marathon_compat.apps.containers`)
    cpus, mem, disk    [X-Fleet] CPUs= Memory= Disk=, from which follow CPUWeight= and MemoryMax=
    resourceLimits     CPUQuota=, MemoryLow= and MemoryMax=
    env                Environment=, with what Marathon adds to it
    secrets            LoadCredential=, read into the environment just before the start
    ports              [X-Fleet] Ports=
    volumes            BindPaths=, BindReadOnlyPaths=, StateDirectory=
    fetch, checks      [X-Fleet] Fetch=, HealthCheck=, Readiness=
    constraints        [X-Fleet] Constraint=
    kill grace         TimeoutStopSec=

The text is the same for all instances of a definition: what tells them apart are specifiers and
what their machine fills in. Restarts are the driver's, by Marathon's back-off, and so is every
move, so a unit has neither Restart= nor a class that would let the engine move it.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator
from typing import Any

from fleetish.errors import BadUnit
from fleetish.units.constraint import Constraint, Operator
from fleetish.units.fetch import Fetch
from marathon_compat.apps import (
    containers,
    credentials,
    environment,
    translate_checks,
    translate_lines,
    translate_ports,
    volumes,
)
from marathon_compat.apps.app import App, Artifact
from marathon_compat.apps.environment import Environment
from marathon_compat.apps.translate_lines import (
    SANDBOX,
    Line,
    command,
    fleet,
    literal,
    plain,
    quoted,
    service,
    unit,
)
from marathon_compat.apps.translate_ports import claims, is_host, ports

#: Seconds between SIGTERM and SIGKILL where the app does not say; the default of Mesos.
GRACE = 3

#: Seconds that a start may take when files or an image have to be fetched for it.
FETCHING = 900

#: MiB that a process may use, at least, for which something is fetched: Mesos fetches with memory
#: of its own, here it is the unit's.
FETCHER = 32

MIB = 1 << 20


def unit_text(app: App, name: str) -> str:
    """The unit file of one instance, the unit ``name``.

    Raises BadUnit, in the app's own words, for what cannot run on a systemd host.
    """
    try:
        return translate_lines.text(_lines(app))
    except BadUnit as error:
        raise BadUnit(error.message, where=name, hint=error.hint) from None


def _lines(app: App) -> Iterator[Line]:
    image = containers.docker(app)
    yield unit("Description", plain(f"Marathon app {app.id}"))
    if image:
        env = environment.environment(app, containers.INSIDE)
        start = containers.run(app, image, env)
        yield from containers.lines(app, env, _grace(app))
        yield service("Environment", quoted(f"FLEETISH_CONTAINER={containers.NAME}"))
        wrap: translate_checks.Wrap = containers.inside
    else:
        env = environment.environment(app, SANDBOX)
        start = _process(app, env)
        yield from _process_lines(app, env)
        wrap = str
    yield service("ExecStart", command(_with_secrets(app, env, start)))
    yield from translate_ports.lines(start)
    if image or app.fetch:
        yield service("TimeoutStartSec", f"{FETCHING}s")
    yield from credentials.lines(app)
    yield from volumes.kept(app)
    yield from _resources(app)
    yield from _place(app)
    yield from translate_checks.lines(app, wrap)


def _process(app: App, env: Environment) -> list[str]:
    """The command of an app that is a process of its host."""
    if not is_host(app):
        raise BadUnit(
            "cannot give a process without an image a network of its own",
            hint='use networks [{"mode": "host"}], or container.docker.image',
        )
    if app.tty:
        line = app.cmd if app.cmd is not None else shlex.join(app.args or ())
        script = ["/usr/bin/script", "--quiet", "--return", "--command", literal(line)]
        return [*_renamed(env), *script, "/dev/null"]
    return [*_renamed(env), *_program(app)]


def _program(app: App) -> list[str]:
    if app.cmd is not None:
        return ["/bin/sh", "-c", literal(app.cmd)]
    if not app.args:
        raise BadUnit("cannot run an app that has neither cmd, args nor an image")
    words = [literal(word) for word in app.args]
    if re.fullmatch(r"/[A-Za-z0-9._/-]*[A-Za-z0-9._-]", app.args[0]):
        return words
    return ["/bin/sh", "-c", 'exec "$$@"', "sh", *words]  # looked up by PATH, or below the sandbox


def _renamed(env: Environment) -> list[str]:
    """The start of a command that sets the variables that systemd would not."""
    return ["/usr/bin/env", *map(env.argument, env.odd)] if env.odd else []


def _with_secrets(app: App, env: Environment, start: list[str]) -> list[str]:
    """A command that runs with the secrets of its app in its environment."""
    if not env.secret:
        return start
    for name in env.secret:
        if not environment.is_plain(name):
            raise BadUnit(f"cannot give a secret to a variable named {name!r}")
    read = [
        f'{name}=$(cat "$CREDENTIALS_DIRECTORY/{credentials.credential(app, secret)}")'
        f" && export {name}"
        for name, secret in env.secret.items()
    ]
    script = " && ".join([*read, 'exec "$@"'])
    return ["/bin/sh", "-c", literal(script), "sh", *start]


def _process_lines(app: App, env: Environment) -> Iterator[Line]:
    yield service("Type", "exec")
    yield service("TimeoutStopSec", f"{_grace(app)}s" if _grace(app) else "1ms")
    if app.user is not None:
        yield service("User", plain(app.user))
    yield from environment.lines(env, env.even)
    yield from volumes.lines(app)
    yield from _confined(app)


def _grace(app: App) -> int:
    given = app.task_kill_grace_period_seconds
    return GRACE if given is None else given


def _confined(app: App) -> Iterator[Line]:
    """linuxInfo of a process: which System V and POSIX queues it sees, which calls it may make."""
    info: dict[str, Any] = (app.container.linux_info if app.container else None) or {}
    seccomp, ipc = info.get("seccomp") or {}, info.get("ipcInfo") or {}
    if ipc.get("mode") == "PRIVATE":
        yield service("PrivateIPC", "yes")
        size = f":size={int(ipc['shmSize'])}M,mode=1777" if ipc.get("shmSize") else ":mode=1777"
        yield service("TemporaryFileSystem", f"/dev/shm{size}")
    if seccomp.get("profileName"):
        yield service("SystemCallFilter", "@system-service")
        yield service("SystemCallErrorNumber", "EPERM")


def _resources(app: App) -> Iterator[Line]:
    yield fleet("CPUs", _short(math.ceil(app.cpus * 1000) / 1000, 3))
    if app.mem:
        yield fleet("Memory", _mebibytes(app.mem))
    if app.fetch and 0 < app.mem < FETCHER:
        yield service("MemoryMax", f"{FETCHER}M")
    if app.disk:
        yield fleet("Disk", _mebibytes(app.disk))
    limits = app.resource_limits
    if limits and isinstance(limits.cpus, float | int):
        yield service(
            "CPUQuota", f"{max(0.01, limits.cpus * 100):.2f}".rstrip("0").rstrip(".") + "%"
        )
    if limits and limits.mem is not None:
        top = "infinity" if isinstance(limits.mem, str) else _mebibytes(limits.mem)
        yield service("MemoryLow", _mebibytes(app.mem))
        yield service("MemoryMax", top)


def _short(amount: float, places: int) -> str:
    return f"{amount:.{places}f}".rstrip("0").rstrip(".")


def _mebibytes(amount: float) -> str:
    return f"{int(amount)}M" if amount == int(amount) else str(math.ceil(amount * MIB))


def _place(app: App) -> Iterator[Line]:
    yield fleet("Class", "pinned")
    asked = claims(ports(app))
    if asked:
        yield fleet("Ports", " ".join(map(str, asked)))
    for constraint in app.constraints:
        yield fleet("Constraint", _constraint(constraint))
    yield fleet("Sandbox", "yes")
    for artifact in app.fetch:
        yield fleet("Fetch", _fetch(artifact))


def _constraint(given: tuple[str, ...]) -> str:
    field, word, *value = given
    if word in ("LIKE", "UNLIKE"):
        value = [pattern.replace("%", r"\x25") for pattern in value]
    try:
        found = str(Constraint(field, Operator(word), *value))
    except ValueError as error:
        raise BadUnit(f"cannot use the constraint {' '.join(given)}: {error}") from None
    if re.search(r"%[nNpi]", found) or " " in field or field.startswith('"'):
        raise BadUnit(f"cannot write the constraint {found} into a unit")
    return found


def _fetch(given: Artifact) -> str:
    try:
        return str(
            Fetch(given.uri, given.extract, given.executable, given.cache, given.dest_path or "")
        )
    except ValueError as error:
        raise BadUnit(f"cannot fetch: {error}") from None
