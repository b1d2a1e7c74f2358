"""What fleet's clients are told about how far a unit has come; pure.

fleetctl does not ask whether a unit runs, it waits for a word, and it hangs when the word does not
come, or comes too early:

1. ``currentState`` is always there, but for a global unit that is asked for by name.
2. ``restart`` asks for loaded and then waits for *launched* before it asks for launched. So a unit
   that was launched and is loaded now is called launched for a while longer (:data:`HOLD`).
3. Inactive is told at once, and only when no machine holds the unit any more: whoever replaces a
   unit waits for that. A unit that is kept ready for another one, but is not wanted itself, counts
   as inactive for the same reason.
4. A row of /state stands for a unit that a machine has taken in. Those of a lost machine are left
   out: nobody knows how its units are, and one that runs elsewhere by now must not be seen twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from fleetish.api.fleet import schema
from fleetish.api.fleet.paging import Start
from fleetish.api.views import current
from fleetish.engine.losses import registered
from fleetish.model import Target, Unit, UnitState
from fleetish.world import Touched, World

#: Seconds for which a unit that has left launched for loaded is still called launched. fleetctl
#: looks every 0.25 s.
HOLD = 1.2

#: Characters of a hash that fleetctl cuts off without looking whether they are there.
SHORT_HASH = 7


class Lately:
    """Which units were launched when they were looked at last, and when others ceased to be."""

    def __init__(self) -> None:
        self._launched: set[str] = set()
        self._left: dict[str, float] = {}

    def look(self, world: World, touched: Touched, now: float) -> None:
        """Note what has become of the units that were touched; ``now`` in monotonic seconds."""
        names = self._launched | world.units.keys() if touched.everything else touched.units
        for name in names:
            self.note(name, current(world, world.units[name]) if name in world.units else "", now)
        self._left = {name: at for name, at in self._left.items() if now - at < 2 * HOLD}

    def note(self, name: str, word: str, now: float) -> None:
        """Note the word for a unit; "" when it is gone."""
        if word == Target.LAUNCHED:
            self._launched.add(name)
            return
        if word == Target.LOADED and name in self._launched:
            self._left[name] = now
        self._launched.discard(name)

    def held(self, name: str, now: float) -> bool:
        """True while a unit that is loaded is to be called launched."""
        return name in self._left and now - self._left[name] < HOLD

    def renew(self, name: str, now: float) -> None:
        """Loaded is asked for: hold on for as long again if the unit has left launched lately.

        Whoever asks was told launched a moment ago, and waits to be told so once more.
        """
        if name in self._left and now - self._left[name] < 2 * HOLD:
            self._left[name] = now


def current_state(world: World, unit: Unit, lately: Lately, now: float) -> str:
    """inactive, loaded or launched as fleet's clients are to see it; ``now`` in monotonic
    seconds. Of a global unit fleet knows nothing: inactive."""
    if unit.requirements.global_:
        return Target.INACTIVE
    word = current(world, unit)
    lately.note(unit.name, word, now)  # the next look may come later than this question
    if unit.target is Target.INACTIVE and world.target(unit.name) is Target.LOADED:
        return Target.INACTIVE
    if word == Target.LOADED and lately.held(unit.name, now):
        return Target.LAUNCHED
    return word


def behind(names: Sequence[str], after: str) -> Iterator[str]:
    """The names, of a sorted list, that come after one."""
    return iter(names[bisect_right(names, after) :] if after else names)


def state_rows(
    world: World, names: Sequence[str], start: Start, unit: str = "", machine: str = ""
) -> Iterator[tuple[str, schema.UnitState]]:
    """(key, row) of every state behind ``start``, by name and machine; ``names`` are those that
    have states, sorted. ``unit`` and ``machine``, where given, are the only ones wanted."""
    last, _, last_machine = start.after.partition("/")
    wanted = [unit] if unit else names
    for name in _from(wanted, last):
        held = world.states.get(name, {})
        for on in sorted(held):
            if (name, on) <= (last, last_machine) or (machine and on != machine):
                continue
            if is_row(world, held[on]):
                yield f"{name}/{on}", state_row(held[on])


def _from(names: Sequence[str], first: str) -> Iterator[str]:
    """The names, of a sorted list, from one on."""
    return iter(names[max(0, bisect_right(names, first) - 1) :] if first else names)


def is_row(world: World, state: UnitState) -> bool:
    """True when fleet would show the state: its machine is there, and holds the unit."""
    held = world.assignment(state.unit, state.machine)
    return registered(world, state.machine) and held is not None


def state_row(state: UnitState) -> schema.UnitState:
    """A state in fleet's words; no column is empty but the hash."""
    return schema.UnitState(
        name=state.unit,
        hash=state.hash if len(state.hash) >= SHORT_HASH else "",
        machine_id=state.machine,
        systemd_load_state=state.load or "not-found",
        systemd_active_state=state.active or "inactive",
        systemd_sub_state=state.sub or "dead",
    )


def one_state(world: World, name: str) -> schema.UnitState | None:
    """The state to show for a name: the first of many; without a row one that says nothing, for
    fleetctl crashes when a unit that it knows has no state. None for a unit that is unknown."""
    held = world.states.get(name, {})
    for machine in sorted(held):
        if is_row(world, held[machine]):
            return state_row(held[machine])
    return schema.UnitState(name=name) if name in world.units else None
