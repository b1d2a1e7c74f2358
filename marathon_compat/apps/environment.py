"""What an app's processes find in their environment.

Marathon's own variables, then HOST and PORT…; what the app sets itself wins over all of them. A
port is known only on the machine that grants it, and the number of the run only at the start, so
these variables are made there ([X-Fleet] Environment=).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fleetish.errors import BadUnit
from marathon_compat.apps.app import App, SecretRef
from marathon_compat.apps.ids import instance_id
from marathon_compat.apps.translate_lines import Line, fleet, literal, plain, quoted, service
from marathon_compat.apps.translate_ports import Port, argument, ports

#: A label of which the name or value is longer than this is left out, as Marathon does.
LONGEST_LABEL = 512 - len("MARATHON_APP_LABEL_")

#: Names that systemd sets; others have to be carried to the process by env(1).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Environment(NamedTuple):
    """The variables of an app. ``fixed`` are known beforehand, ``made`` hold ``${PORT0}`` and the
    like, ``secret`` name the app's secrets. Values may hold specifiers; ``%`` is doubled."""

    fixed: dict[str, str]
    made: dict[str, str]
    secret: dict[str, str]

    @property
    def odd(self) -> tuple[str, ...]:
        """The names that hold more than letters, digits and ``_``, which systemd does not set."""
        return tuple(name for name in (*self.fixed, *self.made) if not is_plain(name))

    @property
    def even(self) -> tuple[str, ...]:
        """All other names, also of what the machine says by itself."""
        return tuple(name for name in (*self.fixed, *self.made) if is_plain(name))

    def argument(self, name: str) -> str:
        """``NAME=value`` as a word of a command."""
        fixed = self.fixed.get(name)
        value = argument(self.made[name]) if fixed is None else fixed.replace("$", "$$")
        return f"{literal(name)}={value}"


def is_plain(name: str) -> bool:
    """Whether systemd takes the name of a variable."""
    return _NAME.fullmatch(name) is not None


def environment(app: App, sandbox: str) -> Environment:
    """The environment of an app's processes. ``sandbox`` is their name of their directory.

    Raises BadUnit for a name that no variable can have.
    """
    own = {_checked(name): value for name, value in app.env.items()}
    fixed = {**_marathon(app), "HOST": "%H", "MESOS_SANDBOX": sandbox}
    fixed = {name: value for name, value in fixed.items() if name not in own}
    made = {"MESOS_TASK_ID": f"{instance_id(app.id, '%i')}._app.${{LAUNCH}}", **_ports(ports(app))}
    return Environment(
        {**fixed, **{n: plain(v) for n, v in own.items() if isinstance(v, str)}},
        {name: value for name, value in made.items() if name not in own},
        {name: value.secret for name, value in own.items() if isinstance(value, SecretRef)},
    )


def lines(env: Environment, names: tuple[str, ...]) -> Iterator[Line]:
    """The lines that set those of the variables that are named."""
    for name in names:
        if name in env.fixed:
            yield service("Environment", quoted(f"{name}={env.fixed[name]}"))
        elif name in env.made and not _is_told(name, env.made[name]):
            yield fleet("Environment", f"{name}={env.made[name]}")


def _is_told(name: str, text: str) -> bool:
    """Whether every unit is told this by its machine, so that it need not be said."""
    return text == f"${{{name}}}"


def _checked(name: str) -> str:
    if not name or "=" in name or re.search(r"[\x00-\x1f\x7f]", name):
        raise BadUnit(f"cannot set the variable {name!r}: no environment can hold that name")
    return name


def _marathon(app: App) -> dict[str, str]:
    image = app.container and app.container.docker and app.container.docker.image
    found = {
        "MARATHON_APP_ID": app.id,
        "MARATHON_APP_VERSION": app.version,
        **({"MARATHON_APP_DOCKER_IMAGE": plain(image)} if image else {}),
        "MARATHON_APP_RESOURCE_CPUS": str(float(app.cpus)),
        "MARATHON_APP_RESOURCE_MEM": str(float(app.mem)),
        "MARATHON_APP_RESOURCE_DISK": str(float(app.disk)),
        "MARATHON_APP_RESOURCE_GPUS": str(app.gpus),
        "MARATHON_APP_ENFORCE_GROUP_ROLE": "TRUE" if _is_group_role(app) else "FALSE",
    }
    labels = {
        re.sub(r"[^a-zA-Z0-9_]+", "_", name).upper(): plain(value)
        for name, value in app.labels.items()
        if len(name) < LONGEST_LABEL and len(value) < 512
    }
    found["MARATHON_APP_LABELS"] = " ".join(labels)
    return {**found, **{f"MARATHON_APP_LABEL_{name}": value for name, value in labels.items()}}


def _is_group_role(app: App) -> bool:
    """Whether the app has the role of the group at the top that it is in."""
    return app.role == app.id.split("/")[1] and app.id.count("/") > 1


def _ports(found: tuple[Port, ...]) -> dict[str, str]:
    """PORT, PORTS, PORT0 …, PORT_<number> and PORT_<NAME>. A name with ``-`` is given as Marathon
    does, and with ``_`` for those who would read it in a shell."""
    if not found:
        return {}
    made = {f"PORT{at}": port.text for at, port in enumerate(found)}
    for port in found:
        if port.declared:
            made[f"PORT_{port.declared}"] = port.text
        if port.name:
            named = f"PORT_{port.name.upper()}"
            made |= {named: port.text, re.sub(r"[^A-Z0-9_]", "_", named): port.text}
    if all(port.claim is None for port in found):
        return made
    return {"PORT": "${PORT}", "PORTS": "${PORTS}", **made}
