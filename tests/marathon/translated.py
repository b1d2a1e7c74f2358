"""What systemd makes of a translated app: argv and environment as the process would get them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fleetish.agent.compose import Composer
from fleetish.model import Assignment, Target
from fleetish.units.file import parse
from fleetish.units.specifiers import Context
from fleetish.units.verify import verify_text
from fleetish.units.xfleet import Requirements, requirements
from marathon_compat.apps.app import App
from marathon_compat.apps.ids import unit_name
from marathon_compat.apps.translate import unit_text

UUID = "0f9a3bde-1111-4222-8333-444455556666"


class Started(NamedTuple):
    """A unit as its machine starts it. ``properties`` are those of systemd, the last of a name; but
    StateDirectory has all."""

    text: str
    wants: Requirements
    argv: list[str]
    environ: dict[str, str]
    properties: dict[str, Any]


def started(
    app: App,
    ports: Sequence[int] = (31000, 31001, 31002),
    launch: int = 1,
) -> Started:
    """The unit of an app on the host node1 of machine m1, which grants these ports."""
    name = unit_name(app.id, UUID)
    text = unit_text(app, name)
    assert verify_text(text, name) == ()
    wants = requirements(parse(text), name)
    wish = Assignment(
        unit=name,
        machine="m1",
        hash="h",
        launch=launch,
        target=Target.LAUNCHED,
        ports=tuple(ports[: len(wants.ports)]),
        requirements=wants,
    )
    unit = Composer(Context(hostname="node1"), "c", 10.0).compose(wish, text).unit
    words = [w for one in unit.properties if one.name == "Environment" for w in _list(one.value)]
    environ = dict(word.split("=", 1) for word in words)
    found = {one.name: one.value for one in unit.properties}
    homes = [one.value for one in unit.properties if one.name == "StateDirectory"]
    found["StateDirectory"] = [path for paths in homes for path in _list(paths)]
    program = _list(_list(found["ExecStart"])[0])
    argv = [_expanded(word, environ) for word in _list(program[1])]
    return Started(text, wants, argv, environ, found)


def _list(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value


def _expanded(word: str, environ: Mapping[str, str]) -> str:
    """A word of a command as systemd hands it over ("COMMAND LINES" in systemd.service(5))."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else environ.get(found[1], "")

    return re.sub(r"\$\$|\$\{(\w+)\}", one, word)
