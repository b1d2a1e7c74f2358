"""Ids: of apps and groups (paths), of the units that stand for instances, of tasks.

    app        /shop/web
    unit       marathon_shop_web@3f2a….service
    instance   shop_web.instance-3f2a…
    task       shop_web.instance-3f2a…._app.2       (the second run of that instance)

No segment of a path holds ``_``, so ``_`` for ``/`` can be undone.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from marathon_compat.apps.errors import BadBody

ROOT = "/"

#: Characters in an id, at most; the names of its units then fit into systemd's 255 bytes.
MAX_ID = 200

#: Words that an id may not end in, for they are parts of the API's own paths.
RESERVED = ("restart", "tasks", "versions")

_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SEGMENT = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UNIT = re.compile(rf"marathon_(?P<path>[a-z0-9._-]+)@(?P<uuid>{_UUID})\.service")
_TASK = re.compile(
    rf"(?P<path>[a-z0-9._-]+?)\."
    rf"(?:(?:instance-|marathon-)(?P<uuid>{_UUID})(?:\._app(?:\.(?P<run>[1-9][0-9]{{0,8}}))?)?"
    rf"|(?P<old>{_UUID}))"
)


class TaskId(NamedTuple):
    """A task's or instance's id in its parts. ``incarnation`` counts the instance's runs from 1;
    None: the id does not say, it stands for the newest."""

    app: str
    uuid: str
    incarnation: int | None = None


def canonical(path: str, base: str = ROOT) -> str:
    """The absolute form of a path: relative ones are below ``base``, ``.`` and ``..`` resolved,
    empty segments dropped. It is not checked; see :func:`problems`."""
    found: list[str] = []
    for part in (path if path.startswith("/") else f"{base}/{path}").split("/"):
        if part == "..":
            del found[-1:]
        elif part not in ("", "."):
            found.append(part)
    return "/" + "/".join(found)


def climbs(path: str, base: str = ROOT) -> bool:
    """True for a path whose ``..`` would lead above the root. Marathon stops there in silence; but
    whoever writes that means another place than he gets."""
    depth = 0 if path.startswith("/") else len([part for part in base.split("/") if part])
    for part in path.split("/"):
        depth += 0 if part in ("", ".") else -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def problems(app_id: str) -> tuple[str, ...]:
    """What is wrong with an absolute id, as sentences; the root is an id of groups only."""
    if app_id == ROOT:
        return ("must not be root",)
    parts = app_id[1:].split("/")
    found = []
    if not all(_SEGMENT.fullmatch(part) for part in parts):
        found.append(
            "must fully match regular expression "
            "'^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])$'"
            " in each of its segments"
        )
    if parts[-1] in RESERVED:
        words = ", ".join(RESERVED)
        found.append(f"must not end with any of the following reserved keywords: {words}")
    if len(app_id) > MAX_ID:
        found.append(f"must be at most {MAX_ID} characters long")
    return tuple(found)


def parent(path: str) -> str:
    """The group that an absolute id is directly in; the root is in itself."""
    return path.rpartition("/")[0] or ROOT


def parents(path: str) -> tuple[str, ...]:
    """Every group that an absolute id is in, the nearest first, the root last."""
    found = []
    while path != ROOT:
        path = parent(path)
        found.append(path)
    return tuple(found)


def within(path: str, group: str) -> bool:
    """True for the group itself and everything below it; whole segments are compared."""
    return group == ROOT or path == group or path.startswith(f"{group}/")


def unit_name(app_id: str, uuid: str) -> str:
    """The unit that stands for one instance of an app."""
    return f"marathon_{_safe(app_id)}@{uuid}.service"


def app_of_unit(unit: str) -> str | None:
    """The app that a unit is an instance of; None for a unit that is none of Marathon's."""
    found = _UNIT.fullmatch(unit)
    return "/" + found["path"].replace("_", "/") if found else None


def uuid_of_unit(unit: str) -> str:
    """The part of an instance's unit name that tells it from the others; "" for no instance."""
    found = _UNIT.fullmatch(unit)
    return found["uuid"] if found else ""


def instance_id(app_id: str, uuid: str) -> str:
    """The id of an instance as the API gives it."""
    return f"{_safe(app_id)}.instance-{uuid}"


def task_id(app_id: str, uuid: str, incarnation: int) -> str:
    """The id of an instance's run; they are counted from 1."""
    return f"{_safe(app_id)}.instance-{uuid}._app.{incarnation}"


def parse_task(text: str) -> TaskId:
    """The parts of a task's or instance's id, also of one from before Marathon 1.8
    (``path.instance-UUID._app``, ``path.UUID``). Raises BadBody 400."""
    found = _TASK.fullmatch(text)
    app = "/" + found["path"].replace("_", "/") if found else ROOT
    if found is None or problems(app):
        raise BadBody(
            400,
            f"Invalid task id '{text[: MAX_ID * 2]}'. It must look like"
            " path_of_app.instance-UUID._app.NUMBER",
        )
    run = found["run"]
    return TaskId(app, found["uuid"] or found["old"], int(run) if run else None)


def _safe(app_id: str) -> str:
    return app_id[1:].replace("/", "_")
