"""fleet's PATCH of machine metadata, a list of operations, as changes; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from fleetish.api.fleet.schema import FleetError, Operation
from fleetish.api.wishes import Asked
from fleetish.changes import PutOverlay
from fleetish.errors import Refused
from fleetish.model import Overlay
from fleetish.units.file import CONTROL
from fleetish.world import World

OPERATIONS = ("add", "remove", "replace")

_PATH = re.compile(r"/([A-Za-z0-9_.-]+)/metadata/([A-Za-z0-9_.-]+)")


class Step(NamedTuple):
    """One key of one machine; ``value`` None takes it away, even one of the machine's own."""

    machine: str
    key: str
    value: str | None


def read_operations(operations: Sequence[Operation]) -> tuple[Step, ...]:
    """The steps of a PATCH, all checked before the first is taken. Raises FleetError 400."""
    return tuple(_step(one) for one in operations)


def _step(operation: Operation) -> Step:
    if operation.op not in OPERATIONS:
        raise FleetError(400, "invalid op: expect add, remove, or replace")
    path = _PATH.fullmatch(operation.path)
    if path is None:
        raise FleetError(400, "machine metadata path invalid")
    if operation.op == "remove":
        return Step(path[1], path[2], None)
    given = operation.value
    value = given if isinstance(given, str) else given.value if given else None
    if not value:
        raise FleetError(400, "invalid value: add and replace require a value")
    if CONTROL.search(value) or "\n" in value:
        raise FleetError(400, f"cannot use the value of {path[2]}: it holds a control character")
    return Step(path[1], path[2], value)


def plan_patch(world: World, steps: Sequence[Step]) -> Asked:
    """The operator's overlays after all steps, in order; machines need not be registered.

    Raises Refused for an overlay that nobody can read.
    """
    new: dict[str, Overlay] = {}
    for step in steps:
        broken = world.quarantined.get(("metadata", step.machine))
        if broken:
            raise Refused(f"cannot change {step.machine}: its record is unreadable: {broken}")
        old = new.get(step.machine) or _overlay(world, step.machine)
        metadata = {**old.metadata, step.key: step.value}
        new[step.machine] = msgspec.structs.replace(old, metadata=metadata)
    return Asked(
        tuple(
            PutOverlay(one, reason="metadata patched")
            for machine, one in new.items()
            if one != _overlay(world, machine)
        ),
        (),
    )


def _overlay(world: World, machine: str) -> Overlay:
    return world.overlays.get(machine) or Overlay(machine=machine)
