"""What is to be written for all apps and deployments now; pure, with a memory of what it saw.

    touched ─▶ the apps that this concerns ─▶ a verdict each ─▶ deployments: next step, or the end

1. The cost of a look follows what was touched: verdicts of other apps are remembered. It is
   bounded too: what would be too much for one commit is left for the next.
2. A deployment goes to its next step when every app of the current one is done; in the same round
   nothing is written for the next, which is planned over the world that has it.
3. A deployment that is late ends as failed, and if it may be, is undone by another one.
4. An old deployment that a newer one has taken an app from has no say over that app.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from fleetish.changes import Change
from fleetish.errors import FleetishError
from fleetish.world import Touched, World
from marathon_compat.apps import ids, records
from marathon_compat.apps.aims import aim_of
from marathon_compat.apps.deploy import Terms, over, propose, settle
from marathon_compat.apps.edits import undo
from marathon_compat.apps.forget import forgotten
from marathon_compat.apps.losses import Losses
from marathon_compat.apps.making import Text
from marathon_compat.apps.records import Deployment
from marathon_compat.apps.rounds import Setting, Verdict, verdict
from marathon_compat.apps.tree import Tree, put

#: Writes after which a look ends; what is left is looked at when they are done.
MOST = 2000


class Part(NamedTuple):
    """Writes that belong together, and what they are about."""

    subject: str
    changes: tuple[Change, ...]


class Plan(NamedTuple):
    """What is to be written. ``wake``: when time alone changes this (seconds since the epoch)."""

    parts: tuple[Part, ...] = ()
    wake: float | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(change for part in self.parts for change in part.changes)


class Planner:
    """Plans over one world after the other. ``text`` makes a unit's file, ``names`` gives a UUID
    that was never used."""

    def __init__(self, text: Text, names: Callable[[], str]) -> None:
        self.tree = Tree()
        self.losses = Losses()
        self._text = text
        self._names = names
        self._verdicts: dict[str, Verdict] = {}
        self._due: set[str] = set()

    def note(self, world: World, touched: Touched, now: float) -> None:
        """Take in what was touched; ``now`` in seconds since the epoch. Cheap: to be called for
        each newer world, also by who does not write."""
        tree = self.tree
        self._due |= tree.update(world, touched)
        self._due |= self._apps_of(touched.units)
        for machine in touched.machines | self.losses.look(world, now):
            self._due |= self._apps_of(world.assignments(machine))
        if touched.everything:
            self._due |= {*self._verdicts, *tree.apps, *tree.locks, *self._with_instances()}

    def _with_instances(self) -> set[str]:
        return {one.app for one in self.tree.instances.values()}

    def _apps_of(self, units: Iterable[str]) -> set[str]:
        found = (
            one.app if (one := self.tree.instances.get(unit)) else ids.app_of_unit(unit)
            for unit in units
        )
        return {app for app in found if app}

    def look(self, world: World, now: float) -> Plan:
        """What is to be written now; ``now`` in seconds since the epoch."""
        late = next((one for one in self._deployments() if 0 < one.deadline <= now), None)
        if late is not None:
            return Plan((self._fail(late, now),))
        self._due |= {
            name for name, seen in self._verdicts.items() if (seen.wake or now + 1) <= now
        }
        parts = self._judge_due(world, now)
        parts += self._advance(now)
        return Plan(tuple(parts), now if self._due else self._wake())

    def _judge_due(self, world: World, now: float) -> list[Part]:
        """Look at the apps that are due, as many as may be written at once."""
        parts: list[Part] = []
        count = 0
        for name in sorted(self._due):
            self._due.discard(name)
            part = self._judge(world, name, now)
            if part is not None:
                parts.append(part)
                count += len(part.changes)
            if count >= MOST:
                break
        return parts

    def _deployments(self) -> list[Deployment]:
        return sorted(self.tree.deployments.values(), key=lambda one: one.version)

    def _judge(self, world: World, name: str, now: float) -> Part | None:
        """Look at one app anew."""
        tree = self.tree
        setting = Setting(tree, world, now, self.losses, self._text, self._names)
        found = verdict(setting, name, aim_of(tree, name))
        self._verdicts[name] = found
        if name not in tree.apps and not tree.units(name) and name not in tree.locks:
            del self._verdicts[name]
        return Part(name, found.changes) if found.changes else None

    def _wake(self) -> float | None:
        wakes = [one.wake for one in self._verdicts.values() if one.wake is not None]
        wakes += [one.deadline for one in self.tree.deployments.values() if one.deadline]
        return min(wakes, default=None)

    def _advance(self, now: float) -> Iterator[Part]:
        """Write what deployments have left to write, and take them further; one may end."""
        ended = False
        for one in self._deployments():
            found = settle(self.tree, one)
            step = self._reached(one)
            if step >= len(one.steps):
                if not ended and not found:
                    ended = True
                    found += over(one, "success", "", now) + forgotten(self.tree, one)
            elif step != one.step:
                further = msgspec.structs.replace(one, step=step)
                why = f"step {step} of {len(one.steps)} is done"
                found.append(put(records.DEPLOYMENT, one.id, further, why))
            if found:
                yield Part(f"deployment {one.id}", tuple(found))

    def _reached(self, one: Deployment) -> int:
        """The first step that is not done; the next ones are judged when it is written."""
        step = one.step
        if step < len(one.steps) and all(self._is_done(one, a.app) for a in one.steps[step]):
            step += 1
        while step < len(one.steps) and _is_empty(one, step):
            step += 1
        return step

    def _is_done(self, one: Deployment, app: str) -> bool:
        if self.tree.holder(app) is not one:
            return True
        found = self._verdicts.get(app)
        return found is not None and found.done and app not in self._due

    def _fail(self, late: Deployment, now: float) -> Part:
        """End a deployment that took too long; undo it where that was wanted."""
        reason = f"not done within {late.deadline - late.since:.0f} s: {self._standing(late)}"
        found: tuple[Change, ...]
        found = (*settle(self.tree, late), *over(late, "failed", reason, now))
        if late.rollback:
            terms = Terms(self._names(), now, force=True, outcome="failed", reason=reason)
            try:
                found = propose(self.tree, undo(self.tree, late.id), terms).changes or found
            except FleetishError as error:
                reason = f"{reason}; it cannot be undone: {error}"
                found = (*settle(self.tree, late), *over(late, "failed", reason, now))
        return Part(f"deployment {late.id}", found)

    def _standing(self, one: Deployment) -> str:
        """How far the apps of the current step are."""
        step = one.steps[one.step] if one.step < len(one.steps) else ()
        rows = [self._verdicts[a.app] for a in step if a.app in self._verdicts]
        return "; ".join(row.standing for row in rows if not row.done) or "it had not begun"


def _is_empty(one: Deployment, step: int) -> bool:
    return all(action.kind == "StartApplication" for action in one.steps[step])
