"""Service ports: numbers that no two apps share, for load balancers; nobody listens on them. Pure.

A port that is asked as 0 keeps the number that the app had there, else gets the lowest free one.
Numbers that people write themselves are taken as they are, also twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from fleetish.errors import Refused
from marathon_compat.apps.app import App, PortDefinition, PortMapping

#: The first and the last number that is given out.
FIRST, LAST = 10_000, 20_000

Port = TypeVar("Port", PortDefinition, PortMapping)


class NoPorts(Refused):
    """Every service port is taken."""


def service_ports(app: App) -> tuple[int, ...]:
    """An app's service ports in the order of their definition; 0 for one not yet given."""
    if app.port_definitions is not None:
        return tuple(one.port for one in app.port_definitions)
    return tuple(one.service_port for one in _mappings(app))


def assigned(app: App, before: App | None, taken: set[int]) -> App:
    """The app with every service port given; ``before`` is what it was, ``taken`` what all the
    others have. Numbers given are added to ``taken``. Raises NoPorts."""
    asked = service_ports(app)
    if 0 not in asked:
        return app
    given = _given(asked, service_ports(before) if before else (), taken)
    taken.update(given)
    return _with_ports(app, given)


def _given(asked: Sequence[int], had: Sequence[int], taken: set[int]) -> list[int]:
    """Numbers for what is asked: the same place's, else another former one, else a free one."""
    used, numbers = {*asked}, iter(range(FIRST, LAST + 1))
    former = [port for port in had if port and port not in used and port not in taken]
    given = []
    for place, port in enumerate(asked):
        if not port:
            same = had[place] if place < len(had) else 0
            port = same if same in former else next((p for p in former), 0)
            if port:
                former.remove(port)
            else:
                port = _free(numbers, taken, used)
            used.add(port)
        given.append(port)
    return given


def _free(numbers: Iterator[int], taken: set[int], used: set[int]) -> int:
    for port in numbers:
        if port not in taken and port not in used:
            return port
    raise NoPorts(
        f"cannot give a service port: all from {FIRST} to {LAST} are taken",
        hint="remove apps, or write the numbers yourself",
    )


def _with_ports(app: App, given: Sequence[int]) -> App:
    replace = msgspec.structs.replace
    if app.port_definitions is not None:
        rows = zip(app.port_definitions, given, strict=True)
        return replace(app, port_definitions=tuple(replace(one, port=port) for one, port in rows))
    pairs = zip(_mappings(app), given, strict=True)
    mappings = tuple(replace(one, service_port=port) for one, port in pairs)
    assert app.container is not None
    return replace(app, container=replace(app.container, port_mappings=mappings))


def _mappings(app: App) -> tuple[PortMapping, ...]:
    return (app.container.port_mappings or ()) if app.container else ()


def taken_by(apps: Iterable[App]) -> set[int]:
    """Every service port that some apps have."""
    return {port for app in apps for port in service_ports(app) if port}
