"""Finding machines for units that want one; pure.

1. Units are served by priority, then by name.
2. Units with the same requirements form a class. A class has one queue of machines, best first. In
   a round rooms only fill up, so a machine that said a lasting no is not asked again, and the
   score on top is counted anew before it is believed. So 10,000 units over 1,000 machines cost
   about one check each, not 10,000,000.
3. Units tied by MachineOf, or since one activates the other, are placed in one go where all of them
   fit; a pattern ties to the first unit that it means. Where that fails, a unit whose peers have a
   machine already may still join them.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable, Sequence
from typing import NamedTuple

from fleetish.engine.constraints import (
    Avoid,
    Rejection,
    first_no,
    leaders,
    peer_here,
    peers,
    reject,
)
from fleetish.engine.draft import Draft, Room
from fleetish.engine.roster import family
from fleetish.engine.score import Score, score
from fleetish.engine.spread import group_by, grouped
from fleetish.model import Unit
from fleetish.units.globs import is_glob
from fleetish.units.xfleet import Requirements


class Wish(NamedTuple):
    """A unit that wants a machine. ``source``: the machine that it comes from, which no longer
    counts; ``avoid``: where it kept failing; ``why``: why it left its source."""

    unit: Unit
    source: str = ""
    avoid: Avoid = ()
    why: str = ""


class Home(NamedTuple):
    """What a wish got."""

    wish: Wish
    machine: str
    ports: tuple[int, ...]
    reason: str


class Unplaced(NamedTuple):
    """A unit that found no machine: one rejection for each registered machine."""

    unit: str
    rejections: tuple[Rejection, ...]


Class = tuple[Requirements, str]


class Queue:
    """The machines that may take the units of one class, best first."""

    def __init__(self, unit: Unit, draft: Draft) -> None:
        self._draft = draft
        self._heap: list[Score] = []
        self._full: tuple[int, tuple[Rejection, ...]] = (-1, ())
        self.rejections: dict[str, Rejection] = {}
        for machine in draft.world.machines:
            room = draft.room(machine)
            reason, lasting = first_no(room, unit, draft)
            if reason and lasting:
                self.rejections[machine] = Rejection(machine, reason)
            else:
                self._heap.append(score(room, unit, draft))
        heapq.heapify(self._heap)

    def best(self, unit: Unit) -> tuple[Room | None, tuple[Rejection, ...]]:
        """The best machine for a unit of the class; or None, and why not, machine by machine."""
        if self._full[0] == self._draft.version:
            return None, self._full[1]
        turned: dict[str, Rejection] = {}
        offers = self.offers(unit, turned)
        found = next(offers, None)
        offers.close()
        if found is not None:
            return found, ()
        every = {**self.rejections, **turned}
        told = tuple(every[machine] for machine in sorted(every))
        if all(group_by(self._draft.room(machine), unit, self._draft) for machine in turned):
            self._full = (self._draft.version, told)  # it is so for every unit of the class
        return None, told

    def offers(self, unit: Unit, turned: dict[str, Rejection]) -> Generator[Room]:
        """The machines that take a unit of the class, best first; close it before the next one.

        ``turned`` gets what the others say for now."""
        aside: list[Score] = []
        try:
            while self._heap:
                top = self._heap[0]
                room = self._draft.room(top[-1])
                fresh = score(room, unit, self._draft)
                if fresh > top:
                    heapq.heapreplace(self._heap, fresh)
                    continue
                reason, lasting = first_no(room, unit, self._draft)
                heapq.heappop(self._heap)
                if reason and lasting:
                    self.rejections[room.id] = Rejection(room.id, reason)
                    continue
                aside.append(top)
                if reason:
                    turned[room.id] = Rejection(room.id, reason)
                else:
                    yield room
        finally:
            for item in aside:
                heapq.heappush(self._heap, item)


class Placer:
    """Serves wishes into a draft, and notes who got what."""

    def __init__(self, draft: Draft, wishes: Iterable[Wish], most: int) -> None:
        self.draft = draft
        self.homes: list[Home] = []
        self.unplaced: dict[str, Unplaced] = {}
        self.more = False
        self._wishes = {wish.unit.name: wish for wish in wishes}
        self._most = most
        self._queues: dict[Class, Queue] = {}
        self._kin: dict[str, int] = {}
        self._hopeless: dict[frozenset[str], tuple[Rejection, ...]] = {}
        for name in self._wishes:
            self._kin[family(name)] = self._kin.get(family(name), 0) + 1

    def serve(self) -> None:
        """Give every wish a machine, if there is one."""
        order = sorted(self._wishes, key=self._turn)
        for name in order:
            if len(self.homes) >= self._most:
                self.more = True
                return
            if name in self._wishes:
                self._serve(self._wishes[name])
        self._join(order)

    def _priority(self, name: str) -> int:
        return self._wishes[name].unit.requirements.priority

    def _serve(self, wish: Wish) -> None:
        tied = self._tied(wish.unit.name)
        if len(tied) > 1:
            led = self._peers(wish.unit.name)
            if self._together(wish, tied) or (
                1 < len(led) < len(tied) and self._together(wish, led)
            ):
                return
            if len(led) > 1:
                return
        self._alone(wish)

    def _alone(self, wish: Wish) -> bool:
        room, rejections = self._best(wish)
        if room is None and wish.avoid:
            room, rejections = self._best(wish._replace(avoid=()))
        if room is None:
            self._fail(wish, rejections)
            return False
        self._take(wish, room, _why(wish, room, self.draft))
        return True

    def _best(self, wish: Wish) -> tuple[Room | None, tuple[Rejection, ...]]:
        if wish.avoid or not self._is_any(wish.unit):
            near = leaders(wish.unit.requirements, self.draft)
            return self._scan(wish, self._likely(near))
        return self._queue(wish.unit).best(wish.unit)

    def _is_any(self, unit: Unit) -> bool:
        """True for a unit that any other of its class could stand for."""
        asked = unit.requirements
        if asked.machine_id or leaders(asked, self.draft):
            return False
        return all(self.draft.home(name) is None for name in self.draft.activators(unit.name))

    def _queue(self, unit: Unit) -> Queue:
        """The queue of the unit's class."""
        kin = family(unit.name)
        many = self._kin.get(kin, 0) > 1 or self.draft.count(kin)
        key = (unit.requirements, kin if many else "")
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue(unit, self.draft)
        return queue

    def _likely(self, near: Iterable[str]) -> Iterable[str]:
        """The machines that peers leave over."""
        machines: Iterable[str] = self.draft.world.machines
        homes = {self.draft.home(peer) for peer in near if not is_glob(peer)}
        if len(homes) == 1 and None not in homes:
            return [home for home in homes if home in self.draft.world.machines]
        return machines

    def _scan(
        self, wish: Wish, machines: Iterable[str]
    ) -> tuple[Room | None, tuple[Rejection, ...]]:
        rooms = [self.draft.room(machine) for machine in machines]
        fits = [room for room in rooms if not first_no(room, wish.unit, self.draft, wish.avoid)[0]]
        if not fits:
            return None, self._all(wish)
        return min(fits, key=lambda room: score(room, wish.unit, self.draft)), ()

    def _all(self, wish: Wish) -> tuple[Rejection, ...]:
        rooms = (self.draft.room(machine) for machine in sorted(self.draft.world.machines))
        found = (reject(room, wish.unit, self.draft, wish.avoid) for room in rooms)
        return tuple(one for one in found if one is not None)

    def _take(self, wish: Wish, room: Room, reason: str) -> None:
        asked = wish.unit.requirements
        granted = room.grant(asked.ports)
        assert not isinstance(granted, str), granted
        self.draft.add(wish.unit.name, room.id, asked, granted)
        if wish.source == room.id:
            self.draft.unsettle(wish.unit.name)
        self.homes.append(Home(wish, room.id, granted, reason))
        self.unplaced.pop(wish.unit.name, None)
        del self._wishes[wish.unit.name]

    def _fail(self, wish: Wish, rejections: tuple[Rejection, ...] | None = None) -> None:
        found = self._all(wish) if rejections is None else rejections
        self.unplaced[wish.unit.name] = Unplaced(wish.unit.name, found)

    def _peers(self, name: str) -> tuple[str, ...]:
        """The unit and all it follows, directly or not, that want a machine too."""
        return self._closure(name, followers=False)

    def _tied(self, name: str) -> tuple[str, ...]:
        """As :meth:`_peers`, with all who follow one of them."""
        return self._closure(name, followers=True)

    def _closure(self, name: str, *, followers: bool) -> tuple[str, ...]:
        roster = self.draft.roster
        seen, todo = {name}, [name]
        while todo:
            one = todo.pop()
            near = self._led_by(one)
            near |= roster.followers.get(one, set()) if followers else set()
            fresh = {n for n in near if n in self._wishes and n not in seen}
            seen |= fresh
            todo.extend(fresh)
        return tuple(sorted(seen, key=self._turn))

    def _led_by(self, name: str) -> set[str]:
        """Whom a unit follows, of those that want a machine; of a pattern the first."""
        unit, found = self._wishes[name].unit, set()
        for word in leaders(unit.requirements, self.draft):
            wanting = [peer for peer in peers(word, unit, self.draft) if peer in self._wishes]
            found |= {min(wanting, key=self._turn)} if wanting else set()
        return found

    def _turn(self, name: str) -> tuple[int, str]:
        return (-self._priority(name), name)

    def _together(self, wish: Wish, names: Sequence[str]) -> bool:
        """Place units that are each other's peers on the best machine where all of them fit."""
        key = frozenset(names)
        if key in self._hopeless:
            self._fail(wish, self._hopeless[key])
            return False
        wishes = [self._wishes[name] for name in names]
        self.draft.together = key
        offers = self._rooms(wishes)
        found = next((room for room in offers if not self._fit(wishes, room)), None)
        offers.close()
        if found is None:
            rooms = [self.draft.room(machine) for machine in sorted(self.draft.world.machines)]
            rejections = [Rejection(room.id, self._fit(wishes, room)) for room in rooms]
            self._hopeless[key] = tuple(rejections)
        self.draft.together = frozenset()
        if found is None:
            self._fail(wish, self._hopeless[key])
            return False
        # Who has just stopped there is taken off first; the next round brings all of them back.
        stopped = [each for each in wishes if each.source == found.id]
        for each in stopped or wishes:
            self._take(each, found, f"{_came(each)}together with its peers")
        return True

    def _rooms(self, wishes: Sequence[Wish]) -> Generator[Room]:
        """The machines, the best first for the first of the units that follows nobody."""
        lead = next((wish.unit for wish in wishes if self._is_any(wish.unit)), None)
        if lead is not None:
            yield from self._queue(lead).offers(lead, {})
        else:
            rooms = [self.draft.room(machine) for machine in self.draft.world.machines]
            first = wishes[0].unit
            yield from sorted(rooms, key=lambda room: score(room, first, self.draft))

    def _fit(self, wishes: Sequence[Wish], room: Room) -> str:
        """Why not all of them fit at once, or ""; the draft is afterwards as it was."""
        placed: list[Wish] = []
        said = ""
        for wish in wishes:
            no = reject(room, wish.unit, self.draft, wish.avoid)
            if no is not None:
                said = f"cannot take {wish.unit.name} with its peers: it {no.reason}"
                break
            granted = room.grant(wish.unit.requirements.ports)
            assert not isinstance(granted, str), granted
            self.draft.add(wish.unit.name, room.id, wish.unit.requirements, granted)
            placed.append(wish)
        for wish in placed:
            self.draft.remove(wish.unit.name, room.id)
        return said

    def _join(self, order: Iterable[str]) -> None:
        """Once more those whose peers have been placed since."""
        found = True
        while found:
            found = False
            for name in order:
                wish = self._wishes.get(name)
                near = leaders(wish.unit.requirements, self.draft) if wish else ()
                if wish and near and all(self._is_placed(word, wish.unit) for word in near):
                    found |= self._alone(wish)

    def _is_placed(self, word: str, unit: Unit) -> bool:
        """True when a peer, of a pattern one of those that it means, has a machine."""
        return any(self.draft.home(p) is not None for p in peers(word, unit, self.draft))


def _came(wish: Wish) -> str:
    return f"{wish.why}; " if wish.why else ""


def _why(wish: Wish, room: Room, draft: Draft) -> str:
    """Why this machine, in the words of the row that decided."""
    asked = wish.unit.requirements
    came = _came(wish)
    near = [peer_here(room, word, wish.unit, draft) for word in leaders(asked, draft)]
    near = near or sorted(n for n in draft.activators(wish.unit.name) if draft.home(n) == room.id)
    if near:
        return f"{came}there is {', '.join(near)}"
    if asked.machine_id:
        return f"{came}it is the machine that MachineID names"
    kin = family(wish.unit.name)
    groups = " and ".join(f"{field} {room.value(field)}" for field in grouped(asked))
    groups = f" with {groups}, then on the machine" if groups else ""
    fewest = f"fewest of {kin}{groups}, then " if kin != wish.unit.name else ""
    machines = len(draft.world.machines)
    return f"{came}{fewest}least reserved of {machines} machine{'' if machines == 1 else 's'}"
