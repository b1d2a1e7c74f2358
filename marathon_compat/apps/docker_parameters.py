"""``container.docker.parameters``: which options of ``docker run`` an app may give, and what they
become.

Most are options of ``podman run`` as well. What limits resources becomes a limit of the unit, for
it is the unit's control group that holds the container. What would take the container out of the
unit's hands, or is said elsewhere in the definition, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fleetish.errors import BadUnit
from marathon_compat.apps.app import App, Parameter
from marathon_compat.apps.translate_lines import Line, literal, plain, service

#: Options of podman-run(1), version 4.3, that are handed on with their value.
PASSED = frozenset(
    {
        *("add-host", "annotation", "cap-add", "cap-drop", "device", "dns", "dns-option"),
        *("dns-search", "entrypoint", "env", "env-file", "expose", "group-add", "hostname"),
        *("image-volume", "init", "init-path", "ipc", "label", "label-file", "mac-address"),
        *("mount", "no-hosts", "oom-score-adj", "pid", "platform", "read-only"),
        *("read-only-tmpfs", "security-opt", "shm-size", "stop-signal", "sysctl", "systemd"),
        *("timeout", "tmpfs", "tz", "ulimit", "umask", "user", "userns", "uts", "volume"),
        *("volumes-from", "workdir"),
    }
)

#: Short spellings of docker run, and those that podman spells otherwise.
SPELLINGS = {
    "a": "attach", "e": "env", "h": "hostname", "l": "label", "u": "user", "v": "volume",
    "w": "workdir", "c": "cpu-shares", "m": "memory", "dns-opt": "dns-option",
    "net": "network", "p": "publish",
}  # fmt: skip

#: What changes nothing here: output goes to the journal, the container is removed when it ends.
NOTHING = frozenset({"log-driver", "log-opt", "rm", "attach", "sig-proxy", "detach"})


def _size(value: str) -> str:
    found = re.fullmatch(r"(\d+)([bkmgBKMG]?)[bB]?", value)
    if not found:
        raise ValueError("it is no size such as 512m")
    return found[1] + found[2].upper().replace("B", "")


def _percent(value: str) -> str:
    amount = float(value) * 100
    if not 0 < amount < 10**7:
        raise ValueError("it is no number of cores")
    return f"{amount:.2f}".rstrip("0").rstrip(".") + "%"


def _weight(value: str) -> str:
    """docker's shares, 1024 to a core, as a weight, 100 to a core."""
    return str(min(10_000, max(1, round(int(value) * 100 / 1024))))


def _whole(value: str) -> str:
    return "infinity" if int(value) < 0 else str(int(value))


#: Options that become a limit of the unit: the directive, and its value.
LIMITS: dict[str, tuple[str, Callable[[str], str]]] = {
    "memory": ("MemoryMax", _size),
    "memory-reservation": ("MemoryLow", _size),
    "cpus": ("CPUQuota", _percent),
    "cpu-shares": ("CPUWeight", _weight),
    "cpuset-cpus": ("AllowedCPUs", plain),
    "pids-limit": ("TasksMax", _whole),
    "blkio-weight": ("IOWeight", _whole),
}


def flags(app: App) -> list[str]:
    """The options for podman, in order. Raises BadUnit for one that is not taken."""
    found = []
    for name, given in _named(app):
        if name in PASSED:
            found.append(f"--{name}={literal(given.value)}" if given.value else f"--{name}")
        elif name not in LIMITS and name not in NOTHING and not _is_privilege(name, given.value):
            raise BadUnit(
                f"cannot give the container the option --{given.key}: it is not one of those taken",
                hint="see the list in docs/marathon-units.md",
            )
    return found


def lines(app: App) -> Iterator[Line]:
    """The limits of the unit that its app gives as options. Raises BadUnit."""
    for name, given in _named(app):
        if name in LIMITS:
            key, convert = LIMITS[name]
            try:
                yield service(key, convert(given.value))
            except ValueError:
                message = f"cannot use --{given.key}={given.value} as a limit of the unit"
                raise BadUnit(message) from None


def is_privileged(app: App) -> bool:
    """Whether an app says ``privileged`` as an option."""
    return any(_is_privilege(name, given.value) for name, given in _named(app))


def _is_privilege(name: str, value: str) -> bool:
    return name == "privileged" and value.lower() in ("", "true")


def _named(app: App) -> Iterator[tuple[str, Parameter]]:
    docker = app.container.docker if app.container else None
    for given in (docker and docker.parameters) or ():
        name = given.key.lstrip("-")
        yield SPELLINGS.get(name, name), given
