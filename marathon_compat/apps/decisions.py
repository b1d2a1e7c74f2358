"""What was decided about the instances of one app in one round, as writes; pure.

1. One decision an instance a round: whatever it was, the next look is over a newer world.
2. The app's delay is written before what it makes: who was slower is refused as a whole.
3. What waits for a time says until when (``wakes``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from fleetish.changes import Change, CreateUnit, ReplaceUnit
from fleetish.errors import Refused
from fleetish.world import World
from marathon_compat.apps import backoff, ids, records
from marathon_compat.apps.aims import Aim, Kind
from marathon_compat.apps.app import App
from marathon_compat.apps.deploy import config_of
from marathon_compat.apps.instances import Condition, Member, is_resident, look, task_id
from marathon_compat.apps.kills import destroy, park, relaunch
from marathon_compat.apps.losses import Losses
from marathon_compat.apps.making import Text, made
from marathon_compat.apps.records import Delay, Failure, Instance
from marathon_compat.apps.tree import Tree, put

_replace = msgspec.structs.replace


#: Instances of one app that are made in one round; the next follows when these are written.
MOST = 500


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a round is decided by. ``now``: seconds since the epoch; ``text`` makes a unit's
    file, ``names`` a UUID that was never used."""

    tree: Tree
    world: World
    now: float
    losses: Losses
    text: Text
    names: Callable[[], str]


@dataclass
class Decisions:
    """One app's instances and what is to be done with them. ``leaving``: how many are on their way
    out. ``delay`` is the app's back-off as it will be."""

    setting: Setting
    name: str
    aim: Aim
    changes: list[Change] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)
    delay: Delay | None = None
    leaving: int = 0
    members: list[Member] = field(default_factory=list)
    _killed: set[str] = field(default_factory=set)
    _decided: set[str] = field(default_factory=set)
    _launches: int = 0

    def __post_init__(self) -> None:
        tree, world = self.setting.tree, self.setting.world
        self.delay = tree.delays.get(self.name)
        self.members = [look(world, tree.instances[unit]) for unit in tree.units(self.name)]
        self.config = config_of(self.aim.app) if self.aim.app else ""
        self.resident = self.aim.app is not None and is_resident(self.aim.app)

    def alive(self) -> list[Member]:
        """Those whose unit is there and that nobody has decided to kill."""
        return [
            one
            for one in self.members
            if not one.instance.leaving and one.unit and one.name not in self._killed
        ]

    def free(self, members: Iterable[Member] | None = None) -> list[Member]:
        """Those about which nothing was decided yet."""
        found = self.alive() if members is None else members
        return [one for one in found if one.name not in self._decided]

    def kill(self, one: Member, reason: str) -> None:
        """Kill an instance; one that keeps data leaves it for the next, unless its app goes."""
        world = self.setting.world
        self._killed.add(one.name)
        self._decided.add(one.name)
        self.leaving += 1
        stays = self.resident and self.aim.kind is not Kind.STOP
        self.changes += park(one, reason) if stays else destroy(world, one.instance, reason)

    def count_end(self, one: Member, failures: int) -> None:
        """Note that the end of an instance's run was counted."""
        self._decided.add(one.name)
        counted = _replace(one.instance, failed=one.launch, failures=failures)
        self.changes.append(put(records.INSTANCE, one.name, counted, f"it is {one.condition}"))

    def launch(self, one: Member, reason: str) -> None:
        """Start an instance once more where it is."""
        self._decided.add(one.name)
        self._launches += 1
        self.changes += relaunch(self.setting.world, one.instance, self.setting.now, reason)

    def renew(self, app: App, one: Member) -> None:
        """Give an instance another definition where it is."""
        assert one.unit is not None
        launch = one.unit.launch + 1
        try:
            made_ = made(self.setting.text, app, one.name, one.unit.since, launch)
        except Refused as error:
            self._refused(app, error)
            return
        self._decided.add(one.name)
        self._launches += 1
        reason = f"version {app.version} takes its place"
        self.changes += [
            put(records.INSTANCE, one.name, self._instance(app, one.name), reason),
            ReplaceUnit(*made_, reason),
        ]

    def create(self, app: App, count: int) -> None:
        """Make so many instances, when the back-off allows; first those that wait at home."""
        count = min(count, MOST)
        if count <= 0 or self.backs_off(app):
            return
        waiting = [one for one in self.members if waits(one)][:count]
        for one in waiting:
            self.renew(app, one)
        for _ in range(count - len(waiting)):
            if not self._make(app, ids.unit_name(self.name, self.setting.names())):
                return

    def _make(self, app: App, name: str) -> bool:
        whole = self._instance(app, name)
        try:
            unit, text = made(self.setting.text, app, name, self.setting.now)
        except Refused as error:
            self._refused(app, error)
            return False
        self._launches += 1
        held = self.delay or Delay(app=self.name)
        self.delay = _replace(held, made=held.made + 1)
        reason = f"an instance of {self.name} {app.version}"
        self.changes += [
            put(records.INSTANCE, name, whole, reason),
            CreateUnit(unit, text, reason),
        ]
        return True

    def _instance(self, app: App, unit: str) -> Instance:
        return Instance(
            unit=unit,
            app=self.name,
            version=app.version,
            config=self.config,
            staged=self.setting.now,
        )

    def note_failure(self, one: Member, state: str, message: str) -> None:
        """Remember an instance's failure as its app's last."""
        known = self.setting.world.machine(one.machine)
        failure = Failure(
            task=task_id(one),
            state=state,
            message=message,
            host=known.host if known else "",
            machine=one.machine,
            version=one.instance.version,
            at=self.setting.now,
        )
        self.delay = backoff.failed(self.delay, self.name, failure)

    def wait_longer(self, app: App) -> None:
        """Make the app's delay longer."""
        self.delay = backoff.longer(self.delay, app, self.config, self.setting.now)

    def _refused(self, app: App, error: Refused) -> None:
        """The definition cannot be a unit: as Marathon's TASK_ERROR, with a back-off."""
        self.wait_longer(app)
        failure = Failure(
            task=ids.task_id(self.name, self.setting.names(), 1),
            state="TASK_ERROR",
            message=str(error),
            host="",
            machine="",
            version=app.version,
            at=self.setting.now,
        )
        self.delay = backoff.failed(self.delay, self.name, failure)

    def backs_off(self, app: App) -> bool:
        """True while the app's delay lasts; then it says until when."""
        now = self.setting.now
        return self.waits_until(backoff.effective(self.delay, app, self.config, now).until)

    def waits_until(self, when: float) -> bool:
        """True while a time (seconds since the epoch) has not come; the app is looked at then."""
        if when > self.setting.now:
            self.wakes.append(when)
        return when > self.setting.now

    def finish(self) -> tuple[Change, ...]:
        """All writes, in order."""
        app, now = self.aim.app, self.setting.now
        if app is not None and self._launches:
            self.delay = backoff.launched(self.delay, app, self.config, now)
        if self.delay is None or self.delay == self.setting.tree.delays.get(self.name):
            return tuple(self.changes)
        return (put(records.QUEUE, self.name, self.delay, "back-off"), *self.changes)


def waits(one: Member) -> bool:
    """True for an instance that was scaled away and has stopped; its data waits for it."""
    parked = one.instance.parked and one.unit is not None
    return parked and one.condition is Condition.KILLED
