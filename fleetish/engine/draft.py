"""The cluster as it would be after the changes decided so far in a round; pure.

A draft lies over a world and its roster and never touches them. A machine costs something only
when it is looked at, and is copied only when something is added to or taken from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from fleetish.engine.losses import host
from fleetish.engine.roster import Roster, demands, family
from fleetish.model import Machine, Target
from fleetish.resources import NOTHING, Resources
from fleetish.units.constraint import value_of
from fleetish.units.xfleet import Requirements
from fleetish.world import World

_NOBODY: frozenset[str] = frozenset()


class Room:
    """One registered machine in a draft: what it is, what it would hold, what is left of it."""

    __slots__ = ("_added", "_gone", "_held", "closed", "free", "id", "machine", "metadata",
                 "picky", "ports", "used")  # fmt: skip

    def __init__(self, world: World, machine: Machine, picky: frozenset[str] | set[str]) -> None:
        self.id = machine.id
        self.machine = machine
        self.metadata = world.metadata(machine.id) if world.overlays else machine.metadata
        self.closed = _closed(world, machine.id)
        self.used = world.used.get(machine.id, NOTHING)
        self.free = left(machine.capacity, self.used)
        self.ports: dict[int, str] = world.ports.get(machine.id, {})
        self.picky = picky
        self._held = world.assignments(machine.id)
        self._added: dict[str, None] = {}
        self._gone: set[str] = set()

    def __contains__(self, unit: str) -> bool:
        return unit in self._added or (unit in self._held and unit not in self._gone)

    def __len__(self) -> int:
        return len(self._held) - len(self._gone) + len(self._added)

    def __iter__(self) -> Iterator[str]:
        yield from (unit for unit in self._held if unit not in self._gone)
        yield from self._added

    def value(self, field: str) -> str | None:
        """What the machine has for a field of ``Constraint=``."""
        return value_of(field, self.machine.host, self.metadata)

    def add(self, unit: str, asked: Requirements, ports: tuple[int, ...]) -> None:
        """The unit would be here."""
        self._added[unit] = None
        self._use(self.used + asked.resources)
        if ports:
            self.ports = {**self.ports, **dict.fromkeys(ports, unit)}
        if asked.conflicts or asked.replaces:
            self.picky = self.picky | {unit}

    def remove(self, unit: str, reserved: Resources) -> None:
        """The unit, with what is reserved for it, would no longer be here."""
        if unit in self._added:
            del self._added[unit]
        else:
            self._gone.add(unit)
        self._use(self.used - reserved)
        if unit in self.ports.values():
            self.ports = {port: who for port, who in self.ports.items() if who != unit}
        if unit in self.picky:
            self.picky = self.picky - {unit}

    def resize(self, before: Resources, after: Resources) -> None:
        """A unit that stays would reserve something else."""
        self._use(self.used - before + after)

    def grant(
        self, wanted: tuple[int, ...], taken: Mapping[int, str] | None = None
    ) -> tuple[int, ...] | str:
        """The ports that a unit would get, 0 replaced by the lowest free one; or why it cannot.

        ``taken`` says who holds which port, if not those who do in this draft."""
        if not wanted:
            return ()
        held = self.ports if taken is None else taken
        hit = next((port for port in wanted if port in held), None)
        if hit is not None:
            return f"port {hit} is taken by {held[hit]}"
        first, last = self.machine.ports
        free = (p for p in range(first, last + 1) if p not in held and p not in wanted)
        granted = tuple(port or next(free, 0) for port in wanted)
        return granted if all(granted) else f"no port is free in {first}-{last}"

    def _use(self, used: Resources) -> None:
        self.used = used
        self.free = left(self.machine.capacity, used)


class Draft:
    """All rooms, where units would be, and how many of each family are where.

    ``leaving`` holds (unit, machine) pairs that are asked to stop; ``together`` the units that are
    about to be placed on one machine in one go, which are each other's peers already; ``spans``
    what :mod:`fleetish.engine.spread` counted once; ``version`` grows when a unit comes or goes.
    """

    def __init__(self, world: World, roster: Roster) -> None:
        self.world = world
        self.roster = roster
        self.leaving: set[tuple[str, str]] = set()
        self.version = 0
        self.together: frozenset[str] = frozenset()
        self._rooms: dict[str, Room] = {}
        self.spans: dict[tuple[object, ...], int] = {}
        self._families: dict[str, dict[str, int]] = {}
        self._tallies: dict[str, dict[str, dict[str, int]]] = {}
        self._homes: dict[str, str | None] = {}

    def room(self, machine: str) -> Room:
        """A registered machine as it would be."""
        found = self._rooms.get(machine)
        if found is None:
            known = self.world.machines[machine]
            found = Room(self.world, known, self.roster.picky.get(machine, _NOBODY))
            self._rooms[machine] = found
        return found

    def home(self, unit: str) -> str | None:
        """Where a unit would be placed; None for nowhere, and for global units."""
        if unit in self._homes:
            return self._homes[unit]
        placement = self.world.placements.get(unit)
        return placement.machine if placement else None

    def activators(self, unit: str) -> Collection[str]:
        """The units that activate a unit."""
        return self.world.activators.get(unit, _NOBODY)

    def count(self, kin: str) -> dict[str, int]:
        """How many units of a family would be on which machine; read only."""
        return self._families.get(kin) or self.roster.families.get(kin) or {}

    def tally(self, kin: str, field: str) -> Mapping[str, int]:
        """How many units of a family would have which value of a field; none that nobody has."""
        held = self._tallies.setdefault(kin, {})
        if field not in held:
            held[field] = {}
            for machine, number in self.count(kin).items():
                self._tally(held[field], field, machine, number)
        return held[field]

    def _tally(self, held: dict[str, int], field: str, machine: str, more: int) -> None:
        value = self.room(machine).value(field) if machine in self.world.machines else None
        if value is not None:
            held[value] = held.get(value, 0) + more
            if not held[value]:
                del held[value]

    def asked(self, unit: str, machine: str) -> Requirements:
        """What a unit on a machine asks."""
        return demands(self.world, unit, machine)

    def is_leaving(self, unit: str, machine: str) -> bool:
        """True when the unit is about to stop there, by the world or by this draft."""
        held = self.world.assignment(unit, machine)
        asked = held is not None and held.target is Target.INACTIVE
        return asked or (unit, machine) in self.leaving

    def host(self, machine: str) -> str:
        """The machine's name for people."""
        return host(self.world, machine)

    def add(self, unit: str, machine: str, asked: Requirements, ports: tuple[int, ...]) -> None:
        """The unit would be placed (or, global, assigned) there."""
        self.room(machine).add(unit, asked, ports)
        self._count(family(unit), machine, 1)
        if not asked.global_:
            self._homes[unit] = machine

    def unsettle(self, unit: str) -> None:
        """The unit's room is kept for it, but it is placed only in the next round."""
        self._homes[unit] = None

    def remove(self, unit: str, machine: str) -> None:
        """The unit would no longer be there; the machine may be lost."""
        if machine in self.world.machines:
            held = self.world.assignment(unit, machine)
            asked = held.requirements if held else self.asked(unit, machine)
            self.room(machine).remove(unit, asked.resources)
        self._count(family(unit), machine, -1)
        if self.home(unit) == machine:
            self._homes[unit] = None

    def _count(self, kin: str, machine: str, more: int) -> None:
        self.version += 1
        count = self._families.get(kin)
        if count is None:
            count = self._families[kin] = dict(self.roster.families.get(kin, {}))
        count[machine] = count.get(machine, 0) + more
        for field, held in self._tallies.get(kin, {}).items():
            self._tally(held, field, machine, more)


def left(capacity: Resources, used: Resources) -> Resources:
    """What is not reserved; never less than nothing, as a machine may have lost some."""
    return Resources(
        max(0, capacity.millicpus - used.millicpus),
        max(0, capacity.memory - used.memory),
        max(0, capacity.disk - used.disk),
    )


def _closed(world: World, machine: str) -> str:
    """Why nothing new may be placed on a machine, or ""."""
    if ("metadata", machine) in world.quarantined:
        return "has an operator's record that cannot be read"
    overlay = world.overlays.get(machine)
    if overlay is None or not (overlay.draining or overlay.cordoned):
        return ""
    what = "is draining" if overlay.draining else "is cordoned"
    return f"{what}: {overlay.reason}" if overlay.reason else what
