"""What waits to be launched, for how long, and which machine does not take it and why; pure.

    engine's check                        Marathon's reason
    ------------------------------------  ---------------------------
    machine is cordoned or draining       AgentMaintenance
    MachineID, metadata, Constraint, …    UnfulfilledConstraint
    cpus, memory, disk                    InsufficientCpus, …Memory, …Disk
    ports                                 InsufficientPorts

A machine that the engine looked at stands for an offer. The reasons are those that the engine
decides by, asked again: nothing of this is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fleetish.engine.constraints import CHECKS
from fleetish.engine.draft import Draft, Room
from fleetish.engine.roster import Roster
from fleetish.model import Unit
from fleetish.resources import MIB
from fleetish.world import World
from marathon_compat.apps import timestamps
from marathon_compat.apps.app import App
from marathon_compat.apps.backoff import effective
from marathon_compat.apps.deploy import config_of
from marathon_compat.apps.instances import ENDED, Condition, Member
from marathon_compat.apps.tree import Tree

#: In the order in which Marathon tells them: each row sees what the rows before let pass.
REASONS = (
    "UnfulfilledRole",
    "UnfulfilledConstraint",
    "NoCorrespondingReservationFound",
    "AgentMaintenance",
    "InsufficientCpus",
    "InsufficientMemory",
    "InsufficientDisk",
    "InsufficientGpus",
    "InsufficientPorts",
    "DeclinedScarceResources",
)
_LIVE = frozenset({Condition.STAGING, Condition.STARTING, Condition.RUNNING, Condition.UNREACHABLE})


class Waiting(NamedTuple):
    """An app that waits: for how many launches, since when (seconds since the epoch), for how many
    seconds still, and a unit that has no machine, if there is one."""

    app: App
    launches: int
    since: float
    left: float
    unit: Unit | None


class Refusal(NamedTuple):
    """A machine that does not take a unit: Marathon's reasons, and what is free there."""

    room: Room
    reasons: tuple[str, ...]


def waiting(tree: Tree, app: App, members: Sequence[Member], now: float) -> Waiting | None:
    """What an app waits for; None when nothing is left to launch. While a back-off lasts, instances
    of another version stand in for none of this one's."""
    staying = [one for one in members if not one.instance.leaving]
    idle = [one for one in staying if one.condition in ENDED | {Condition.SCHEDULED}]
    config = config_of(app)
    wait = effective(tree.delays.get(app.id), app, config, now)
    counted = [one for one in staying if wait.until <= now or one.instance.config == config]
    live = sum(one.condition in _LIVE for one in counted)
    count = max(app.instances - live, len(idle))
    if count <= 0:
        return None
    unit = next((one.unit for one in idle if one.condition is Condition.SCHEDULED), None)
    since = min((one.instance.staged for one in idle if one.instance.staged), default=0.0)
    begun = since or timestamps.seconds(app.version)
    return Waiting(app, count, begun, max(0.0, wait.until - now), unit)


def refusals(world: World, draft: Draft, unit: Unit) -> list[Refusal]:
    """Of each registered machine why it does not take a unit; no reasons: it would."""
    rooms = [draft.room(machine) for machine in sorted(world.machines)]
    return [Refusal(room, _reasons(room, unit, draft)) for room in rooms]


def _reasons(room: Room, unit: Unit, draft: Draft) -> tuple[str, ...]:
    for check in CHECKS:
        if check.says(room, unit, draft):
            return _words(check.name, room, unit)
    return ()


def _words(check: str, room: Room, unit: Unit) -> tuple[str, ...]:
    if check == "open":
        return ("AgentMaintenance",)
    if check == "ports":
        return ("InsufficientPorts",)
    if check != "resources":
        return ("UnfulfilledConstraint",)
    wanted, free = unit.requirements.resources, room.free
    rows = (
        ("InsufficientCpus", wanted.millicpus > free.millicpus),
        ("InsufficientMemory", wanted.memory > free.memory),
        ("InsufficientDisk", wanted.disk > free.disk),
    )
    return tuple(word for word, lacks in rows if lacks)


def funnel(rows: Iterable[Refusal]) -> list[dict[str, Any]]:
    """How many machines each reason turned away, of those that came so far."""
    first = Counter(row.reasons[0] if row.reasons else "" for row in rows)
    left, found = first.total(), []
    for reason in REASONS:
        found.append({"reason": reason, "declined": first[reason], "processed": left})
        left -= first[reason]
    return found


def shown(
    row: Waiting, app: bytes | Any, refused: Sequence[Refusal], now: float, *, offers: bool
) -> dict[str, Any]:
    """A row of the queue; ``app`` is the definition as JSON, ``now`` in seconds since the epoch."""
    declined = [one for one in refused if one.reasons]
    summary: dict[str, Any] = {
        "processedOffersCount": len(refused),
        "unusedOffersCount": len(declined),
    }
    if refused:
        rows = funnel(refused)
        summary |= {"rejectSummaryLastOffers": rows, "rejectSummaryLaunchAttempt": rows}
    if declined:
        summary["lastUnusedOfferAt"] = timestamps.text(now)
    body: dict[str, Any] = {
        "count": row.launches,
        "delay": {"timeLeftSeconds": round(row.left), "overdue": row.left <= 0},
        "since": timestamps.text(row.since),
        "processedOffersSummary": summary,
        "pod" if row.app.pod else "app": app,
    }
    return body | ({"lastUnusedOffers": [_offer(one, now) for one in declined]} if offers else {})


def _offer(row: Refusal, now: float) -> dict[str, Any]:
    free, machine = row.room.free, row.room.machine
    amounts = (
        ("cpus", free.millicpus / 1000),
        ("mem", free.memory / MIB),
        ("disk", free.disk / MIB),
    )
    first, last = machine.ports
    resources: list[dict[str, Any]] = [
        {"name": name, "role": "*", "scalar": max(0.0, amount)} for name, amount in amounts
    ]
    resources.append({"name": "ports", "role": "*", "ranges": [{"begin": first, "end": last}]})
    return {
        "offer": {
            "id": f"{machine.id}-{int(now * 1000)}",
            "hostname": machine.host,
            "agentId": machine.id,
            "resources": resources,
            "attributes": [
                {"name": key, "text": text} for key, text in sorted(row.room.metadata.items())
            ],
        },
        "reason": list(row.reasons),
        "timestamp": timestamps.text(now),
    }


def draft_of(world: World) -> Draft:
    """What the checks are asked over; made once for all that waits."""
    return Draft(world, Roster.of(world))
