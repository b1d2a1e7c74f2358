"""/metrics and /logging: what this process counts, and how much it says."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from fleetish.api.metrics import CONTENT_TYPE
from marathon_compat.apps import shape, task
from marathon_compat.apps.bodies import json_of
from marathon_compat.apps.endpoints import Call, Endpoint
from marathon_compat.apps.errors import Violation, not_valid
from marathon_compat.apps.json_text import parse
from marathon_compat.apps.replies import json
from marathon_compat.apps.view import Views

log = logging.getLogger(__name__)

#: Marathon's levels, and Python's. There is none below DEBUG here.
LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_NAME = re.compile(r"[\w.-]{1,200}", re.ASCII)


class Borrowed(NamedTuple):
    """A logger's level for a while: what ends it, and the level that then comes back."""

    end: asyncio.TimerHandle
    before: int


#: Levels belong to the process, and so does what is due to them.
_borrowed: dict[str, Borrowed] = {}


def gauges(views: Views, uptime: float) -> dict[str, float]:
    """What is counted of the tree, by Marathon's names; ``uptime`` in seconds."""
    totals = dict.fromkeys(task.counts(()), 0)
    for name in views.tree.apps:
        for key, count in task.counts(views.members(name)).items():
            totals[key] += count
    return {
        "marathon.apps.active.gauge": len(views.tree.apps),
        "marathon.groups.active.gauge": len(views.tree.group_ids()),
        "marathon.deployments.active.gauge": len(views.tree.deployments),
        "marathon.instances.staged.gauge": totals["tasksStaged"],
        "marathon.instances.running.gauge": totals["tasksRunning"],
        "marathon.instances.healthy.gauge": totals["tasksHealthy"],
        "marathon.instances.unhealthy.gauge": totals["tasksUnhealthy"],
        "marathon.uptime.gauge.seconds": uptime,
    }


async def _gauges(call: Call) -> dict[str, float]:
    views = await call.face.look()
    return gauges(views, max(0.0, call.face.clock.now() - call.face.here.started))


async def metrics(call: Call) -> Response:
    """GET /metrics: in the shape of Dropwizard, as Marathon since 1.7."""
    rows = await _gauges(call)
    body: dict[str, Any] = {
        "version": "4.0.0",
        "counters": {},
        "gauges": {name: {"value": value} for name, value in rows.items()},
        "histograms": {},
        "meters": {},
        "timers": {},
    }
    return json(body)


async def prometheus(call: Call) -> Response:
    """GET /metrics/prometheus: the same as text."""
    lines = []
    for name, value in (await _gauges(call)).items():
        flat = re.sub(r"\W", "_", name)
        lines.append(f"# TYPE {flat} gauge\n{flat} {float(value)}\n")
    return Response("".join(lines), media_type=CONTENT_TYPE)


async def loggers(call: Call) -> Response:
    """GET /logging: each logger that has a level of its own, and the root."""
    known = logging.Logger.manager.loggerDict.items()
    rows = {name: one.level for name, one in known if isinstance(one, logging.Logger) and one.level}
    words = {name: _word(level) for name, level in sorted(rows.items())}
    return json({"ROOT": _word(logging.getLogger().level), **words})


def _word(level: int) -> str:
    found = [word for word, value in LEVELS.items() if word != "trace" and value <= level]
    return found[-1] if found else "debug"


class Wanted(msgspec.Struct, rename="camel"):
    """How much a logger is to say, and for how many seconds; 0: from now on."""

    level: str
    logger: str
    duration_seconds: int = 0


async def set_logger(call: Call) -> Response:
    """POST /logging: change how much a logger says, for good or for some seconds."""
    wanted = shape.read_whole(Wanted, parse(await json_of(call.request)))
    level = LEVELS.get(wanted.level.lower())
    wrong = []
    if level is None:
        wrong.append(Violation("/level", f"must be one of {', '.join(LEVELS)}"))
    if not _NAME.fullmatch(wanted.logger):
        wrong.append(Violation("/logger", "must be letters, digits, dots, - and _"))
    if not 0 <= wanted.duration_seconds <= 86_400:
        wrong.append(Violation("/durationSeconds", "must be 0 to 86400"))
    if wrong or level is None:
        raise not_valid(wrong)
    name = "" if wanted.logger == "ROOT" else wanted.logger
    _set_level(name, level, wanted.duration_seconds)
    return json({wanted.logger: wanted.level.lower()})


def _set_level(name: str, level: int, seconds: int) -> None:
    """Set a logger's level; after ``seconds``, unless they are 0, what it was before comes back."""
    logger = logging.getLogger(name or None)
    held = _borrowed.pop(name, None)
    if held is not None:
        held.end.cancel()
    before = held.before if held is not None else logger.level
    logger.setLevel(level)
    log.info("%s now logs from level %s on", name or "ROOT", logging.getLevelName(level))
    if seconds:
        end = asyncio.get_running_loop().call_later(seconds, _give_back, name)
        _borrowed[name] = Borrowed(end, before)


def _give_back(name: str) -> None:
    logging.getLogger(name or None).setLevel(_borrowed.pop(name).before)


async def config(call: Call) -> Response:
    """GET /config: what was changed while running; nothing can be."""
    return json({})


ROUTES = (
    Endpoint("/metrics", {"GET": metrics}),
    Endpoint("/metrics/prometheus", {"GET": prometheus}),
    Endpoint("/logging", {"GET": loggers, "POST": set_logger}),
    Endpoint("/config", {"GET": config}),
)
