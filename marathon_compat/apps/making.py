"""The unit that stands for an instance; pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from fleetish.model import Target, Unit
from fleetish.units.file import UnitFile, content_hash, parse
from fleetish.units.xfleet import requirements
from marathon_compat.apps.app import App

Text = Callable[[App, str], str]
"""An app's definition and a unit's name to the unit's file. Raises Refused for an app that cannot
be run here."""


def made(text: Text, app: App, name: str, now: float, launch: int = 1) -> tuple[Unit, str]:
    """The unit and its file; ``now`` in seconds since the epoch. Raises Refused."""
    content = text(app, name)
    file, digest = _parsed(content, app.id)
    unit = Unit(
        name=name,
        hash=digest,
        target=Target.LAUNCHED,
        launch=launch,
        requirements=requirements(file, name),
        since=now,
    )
    return unit, content


@lru_cache(maxsize=64)
def _parsed(content: str, source: str) -> tuple[UnitFile, str]:
    """A file and its hash, read once for all instances of an app."""
    file = parse(content, source)
    return file, content_hash(file)
