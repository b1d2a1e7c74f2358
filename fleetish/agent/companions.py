"""Which units of this machine bring up which others of it; pure.

    T ──activates──► S          T.socket, .timer, .path, .automount and what they start
    M ──pulls up───► Y          Requires=, Wants=, BindsTo= … in the file of M
    M ──pulls up───► X          WantedBy=M or RequiredBy=M in the file of X

1. systemd knows of S, Y and X only if they are loaded when T or M is started, so they are handed
   to it together (:meth:`Companions.together`): what is pulled up starts at once, what is activated
   waits for its time.
2. A unit that is only loaded may run while one that brings it up is launched
   (:meth:`Companions.keeper`).
3. An exclusive unit is started by the agent alone, which knows whether the machine's lease holds:
   nothing brings it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fleetish.errors import Refused
from fleetish.model import Assignment, Target
from fleetish.units.xfleet import Class, Requirements

_NOTHING = Requirements()


class Companion(NamedTuple):
    """A unit that another brings up. ``pulled``: at once; ``needed``: without it the other cannot
    start."""

    wish: Assignment
    pulled: bool
    needed: bool


class Companions:
    """The bonds among the units assigned to one machine, kept in step by :meth:`put`."""

    def __init__(self, wishes: Iterable[Assignment] = ()) -> None:
        self._wishes: dict[str, Assignment] = {}
        self._named: dict[str, set[str]] = {}
        self._sidekicks: dict[str, set[str]] = {}
        for wish in wishes:
            self.put(wish.unit, wish)

    def put(self, name: str, wish: Assignment | None) -> set[str]:
        """Note a unit's assignment, or that it has none; the units that this may concern."""
        before = self._wishes.get(name)
        if _same(before, wish):
            if wish is not None:
                self._wishes[name] = wish
            return set()
        concerned = self.below(name)
        self._index(before, add=False)
        self._index(wish, add=True)
        if wish is None:
            self._wishes.pop(name, None)
        else:
            self._wishes[name] = wish
        return concerned | self.below(name)

    def keeper(self, name: str) -> str:
        """A unit that is launched here and brings this one up, by others if need be; "" for none.

        The unit itself need not be assigned any more.
        """
        seen, waiting = {name}, [name]
        while waiting:
            for above in sorted(self._above(waiting.pop()) - seen):
                if self._wishes[above].target is Target.LAUNCHED:
                    return above
                seen.add(above)
                waiting.append(above)
        return ""

    def activators(self, name: str) -> list[str]:
        """The units launched here that activate this one, by name."""
        return [
            above
            for above in sorted(self._named.get(name, ()))
            if (wish := self._wishes[above]).target is Target.LAUNCHED
            and name in wish.requirements.triggers
        ]

    def sidekicks(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The units assigned here that say WantedBy= and those that say RequiredBy= this one."""
        found = [self._wishes[one] for one in sorted(self._sidekicks.get(name, ()))]
        asked = [wish for wish in found if _may_be_brought(wish)]
        required = [wish.unit for wish in asked if name in wish.requirements.required_by]
        wanted = [wish.unit for wish in asked if name in wish.requirements.wanted_by]
        return tuple(wanted), tuple(required)

    def together(self, wish: Assignment) -> tuple[Companion, ...]:
        """The units that systemd must know when this one is started, by name.

        Raises Refused when it activates or is required by an exclusive unit.
        """
        pulled = self._closure({wish.unit: True}, wish.unit, activated=False)
        every = self._closure(dict(pulled), wish.unit, activated=True)
        del every[wish.unit]
        return tuple(
            Companion(self._wishes[name], name in pulled, needed)
            for name, needed in sorted(every.items())
        )

    def _closure(self, found: dict[str, bool], start: str, *, activated: bool) -> dict[str, bool]:
        """What the units ``found`` bring up, and what that does; the values say what is needed."""
        waiting = list(found)
        while waiting:
            above = waiting.pop()
            for name, activates, needed in self._brings(above):
                needed = needed and found[above]
                if activates > activated or not self._may_join(name, start, needed):
                    continue
                if needed > found.get(name, False) or name not in found:
                    found[name] = needed
                    waiting.append(name)
        return found

    def _may_join(self, name: str, start: str, needed: bool) -> bool:
        wish = self._wishes.get(name)
        if wish is None or wish.target is Target.INACTIVE:
            return False
        if needed and wish.requirements.klass is Class.EXCLUSIVE:
            raise Refused(
                f"cannot start {start}: it brings up {name}, which is of class exclusive",
                hint="an exclusive unit is started by itself only, while its lease is renewed",
            )
        return _may_be_brought(wish)

    def _brings(self, name: str) -> Iterator[tuple[str, bool, bool]]:
        """What one unit brings up: name, whether it is activated, and whether it is needed."""
        wish = self._wishes.get(name)
        if wish is not None:
            yield from ((other, False, False) for other in wish.requirements.pulls)
            yield from ((other, True, True) for other in wish.requirements.triggers)
        for other in self._sidekicks.get(name, ()):
            yield other, False, name in self._wishes[other].requirements.required_by

    def _above(self, name: str) -> set[str]:
        wish = self._wishes.get(name)
        asked = wish.requirements if wish else _NOTHING
        mains = {one for one in (*asked.wanted_by, *asked.required_by) if one in self._wishes}
        return mains | self._named.get(name, set())

    def below(self, name: str) -> set[str]:
        """The unit's companions and theirs, whether assigned or not."""
        seen, waiting = {name}, [name]
        while waiting:
            fresh = {other for other, _, _ in self._brings(waiting.pop())} - seen
            seen |= fresh
            waiting += fresh
        return seen - {name}

    def _index(self, wish: Assignment | None, *, add: bool) -> None:
        if wish is None:
            return
        asked = wish.requirements
        for index, others in (
            (self._named, (*asked.pulls, *asked.triggers)),
            (self._sidekicks, (*asked.wanted_by, *asked.required_by)),
        ):
            for other in others:
                held = index.setdefault(other, set())
                held.add(wish.unit) if add else held.discard(wish.unit)
                if not held:
                    del index[other]


def _same(before: Assignment | None, wish: Assignment | None) -> bool:
    if before is None or wish is None:
        return before is wish
    return before.target is wish.target and before.requirements == wish.requirements


def _may_be_brought(wish: Assignment) -> bool:
    return wish.requirements.klass is not Class.EXCLUSIVE and wish.target is not Target.INACTIVE
