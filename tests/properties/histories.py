"""Random little clusters and what happens to them, for the laws; and an independent judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st

from fleetish.changes import Assign, Move, Refresh, Release, Unassign
from fleetish.engine.plan import Plan, plan
from fleetish.engine.policy import Policy
from fleetish.engine.roster import Roster
from fleetish.model import Overlay, Target, Unit, UnitState
from fleetish.resources import MIB, Resources
from fleetish.testing.build import answer, apply, drop, machine, put, unit, world
from fleetish.units.constraint import Constraint, Operator
from fleetish.units.globs import matches
from fleetish.units.xfleet import Class
from fleetish.world import Touched, World
from tests.properties.spread import judge_spread

MACHINES = ("aaaaaaaa1", "bbbbbbbb2", "cccccccc3", "dddddddd4")
NAMES = (
    "db.service",
    "log.service",
    "web@1.service",
    "web@2.service",
    "web@3.service",
    "worker.service",
    "proxy.service",
)
PATTERNS = ("web@*.service", "db.service", "log.service", "w*", "proxy.service")
KINDS = ("plain", "plain", "conflicts", "replaces", "peers", "globs", "id", "global")
CONSTRAINTS = (
    Constraint("zone", Operator.UNIQUE),
    Constraint("zone", Operator.CLUSTER),
    Constraint("zone", Operator.GROUP_BY),
    Constraint("zone", Operator.GROUP_BY, "2"),
    Constraint("zone", Operator.IS, "x"),
    Constraint("hostname", Operator.MAX_PER, "2"),
    Constraint("hostname", Operator.UNLIKE, "a+1"),
    Constraint("hostname", Operator.LIKE, "[abc]+\\d"),
)
TARGETS = (Target.LAUNCHED, Target.LAUNCHED, Target.LOADED, Target.INACTIVE)
ENGINES = (Assign, Move, Refresh, Release, Unassign)
POLICY = Policy(settle=1.0, exclusive_settle=5.0, most=1000)

T = TypeVar("T")


def _some(values: Iterable[T], most: int) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(st.sampled_from(list(values)), unique=True, max_size=most).map(tuple)


@st.composite
def units(draw: st.DrawFn) -> Unit:
    """A unit with options that may stand together (see fleetish.units.xfleet)."""
    name = draw(st.sampled_from(NAMES))
    others = [other for other in NAMES if other != name]
    asks: dict[str, Any] = {}
    kind = draw(st.sampled_from(KINDS))
    if kind == "conflicts":
        asks["conflicts"] = draw(_some(PATTERNS, 2))
    elif kind == "replaces":
        asks["replaces"] = draw(_some(PATTERNS, 1))
    elif kind == "peers":
        asks["machine_of"] = draw(_some(others, 2))
    elif kind == "globs":
        asks["machine_of"] = draw(_some(("web@*.service", "w*", "[dl]*.service"), 2))
        asks["replaces"] = draw(_some(("db.service", "web@1.service"), 1))
    elif kind == "id":
        asks["machine_id"] = draw(st.sampled_from((*MACHINES, MACHINES[0][:8])))
    elif kind == "global":
        asks["global_"] = True
        asks["conflicts"] = draw(_some(PATTERNS, 1))
    if draw(st.integers(0, 3)) == 0:
        shut = [*asks.get("conflicts", ()), *asks.get("replaces", ())]
        free = [other for other in others if not any(matches(p, other) for p in shut)]
        asks["triggers"] = draw(_some(free, 2))
    if draw(st.booleans()):
        asks["metadata"] = (("zone", draw(_some(("x", "y"), 2)) or ("x",)),)
    if draw(st.booleans()):
        found = draw(_some(CONSTRAINTS, 2))
        # fleetish refuses GROUP_BY of a global unit.
        asks["constraints"] = tuple(
            one for one in found if not (asks.get("global_") and one.operator is Operator.GROUP_BY)
        )
    return unit(
        name,
        target=draw(st.sampled_from(TARGETS)),
        launch=draw(st.integers(1, 2)),
        digest=draw(st.sampled_from("hk")),
        cpus=draw(st.sampled_from((0, 0.5, 1, 2, 3))),
        memory=draw(st.sampled_from((0, 100, 900))),
        ports=draw(st.sampled_from(((), (), (80,), (0,), (0, 0), (80, 0)))),
        priority=draw(st.sampled_from((0, 0, 5))),
        klass=draw(st.sampled_from((Class.SHARED, Class.SHARED, Class.EXCLUSIVE, Class.PINNED))),
        reschedule=draw(st.booleans()),
        **asks,
    )


@dataclass(frozen=True)
class Destroy:
    name: str


@dataclass(frozen=True)
class Vanish:
    machine: str


@dataclass(frozen=True)
class Return:
    machine: str
    zone: str


@dataclass(frozen=True)
class Fail:
    """The unit failed so often that its machine gives up."""

    name: str


Event = Unit | Destroy | Vanish | Return | Overlay | Fail

events: st.SearchStrategy[Event] = st.one_of(
    units(),
    units(),
    units(),
    st.builds(Destroy, st.sampled_from(NAMES)),
    st.builds(Vanish, st.sampled_from(MACHINES)),
    st.builds(Return, st.sampled_from(MACHINES), st.sampled_from("xy")),
    st.builds(
        lambda m, cordoned, draining: Overlay(machine=m, cordoned=cordoned, draining=draining),
        st.sampled_from(MACHINES),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(Fail, st.sampled_from(NAMES)),
)

histories = st.lists(events, min_size=1, max_size=14)


def capacity(name: str) -> Resources:
    """What each machine has; it does not change."""
    return Resources(millicpus=3000 + 500 * MACHINES.index(name), memory=1500 * MIB, disk=MIB)


@dataclass
class Cluster:
    """A world to which events happen; planned anew each time from all of it, or from what was
    touched only."""

    incremental: bool
    world: World = field(default_factory=lambda: world(*(
        machine(name, capacity(name), metadata={"zone": "x"}, ports=(31000, 31002))
        for name in MACHINES[:3]
    )))  # fmt: skip
    now: float = 0.0
    lost: dict[str, float] = field(default_factory=dict)
    touched: Touched = field(default_factory=lambda: Touched(everything=True))
    roster: Roster = field(default_factory=Roster)
    plans: list[Plan] = field(default_factory=list)

    def happen(self, event: Event) -> None:
        """Let it happen; time passes."""
        self.now += 10.0
        self._note(self._do(event))

    def _do(self, event: Event) -> Touched:
        known = self.world
        match event:
            case Destroy(name):
                return drop(known, "units", name) if name in known.units else Touched()
            case Vanish(name):
                return drop(known, "machines", name) if name in known.machines else Touched()
            case Return(name, zone):
                fresh = machine(name, capacity(name), metadata={"zone": zone}, ports=(31000, 31002))
                return put(known, fresh)
            case Fail(name):
                return self._fail(name)
            case Unit() | Overlay():
                return put(known, event)

    def _fail(self, name: str) -> Touched:
        placement = self.world.placements.get(name)
        if placement is None or placement.machine not in self.world.machines:
            return Touched()
        held = self.world.assignment(name, placement.machine)
        if held is None or held.target is not Target.LAUNCHED:
            return Touched()
        return put(
            self.world,
            UnitState(
                unit=name, machine=placement.machine, hash=held.hash, load="loaded",
                active="failed", launch=held.launch, seen=held.generation, failures=3,
            ),
        )  # fmt: skip

    def _note(self, more: Touched) -> None:
        self.touched.units |= more.units
        self.touched.machines |= more.machines
        gone = set(self.world.assigned) - set(self.world.machines)
        self.lost = {m: self.lost.get(m, self.now) for m in gone}

    def round(self) -> Plan:
        """One plan, and its changes done."""
        touched, self.touched = self.touched, Touched()
        if touched.everything or not self.incremental:
            self.roster = Roster.of(self.world)
        else:
            self.roster.update(self.world, touched.units)
        decided = plan(
            self.world,
            self.now,
            POLICY,
            self.lost,
            touched if self.incremental else None,
            self.roster,
        )
        self.plans.append(decided)
        before = {m: set(held) for m, held in self.world.assigned.items()}
        self._note(apply(self.world, decided.changes))
        judge(self.world, decided, before)
        return decided

    def settle(self) -> Plan:
        """Plan, let the machines answer, and so on until nothing changes; the last plan."""
        for _ in range(30):
            decided = self.round()
            self._note(self._answers())
            if not decided.changes:
                if decided.wake is None or decided.wake > self.now + 60.0:
                    return decided
                self.now = decided.wake
                self.touched.machines |= self.lost.keys()
        raise AssertionError(f"it does not settle: {[p.changes for p in self.plans[-6:]]}")

    def _answers(self) -> Touched:
        """Machines answer; units that failed stay failed until they are told something new."""
        failed = [
            state
            for states in self.world.states.values()
            for state in states.values()
            if state.active == "failed"
        ]
        touched = answer(self.world)
        for state in failed:
            held = self.world.assignment(state.unit, state.machine)
            same = held is not None and held.generation == state.seen
            if same and state.machine in self.world.machines:
                put(self.world, state)
        return touched

    def homes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Where everything is, with its ports."""
        return {
            f"{name} on {on}": (held.target.value, held.ports)
            for on, units_there in self.world.assigned.items()
            for name, held in units_there.items()
        }


def judge(known: World, decided: Plan, before: dict[str, set[str]]) -> None:
    """Nothing dishonest was done: written from the rules, not from the planner."""
    for name, one in known.machines.items():
        assert known.used.get(name, Resources()).fits(one.capacity), f"{name} is over-committed"
        granted = [p for held in known.assignments(name).values() for p in held.ports]
        assert len(granted) == len(set(granted)), f"{name} granted a port twice"
    for name, placement in known.placements.items():
        assert known.assignment(name, placement.machine), f"{name} is placed but not assigned"
    for change in decided.changes:
        assert change.reason
        if isinstance(change, Assign | Move):
            _judge_new(known, change)
            judge_spread(known, change, before)
    keys = [(c.unit, c.machine) for c in decided.changes if isinstance(c, ENGINES)]
    assert len(set(keys)) == len(keys), "a unit was changed twice on one machine"
    for homeless in decided.unplaced:
        named = [rejection.machine for rejection in homeless.rejections]
        assert sorted(named) == sorted(known.machines), f"{homeless.unit}: {named}"
        assert all(rejection.reason for rejection in homeless.rejections)


def judge_bonds(known: World) -> None:
    """Once all is settled: what is activated is ready where its activator is, and is kept for
    nobody else."""
    for on in known.machines:
        held = known.assignments(on)
        for name, told in held.items():
            assert told.target is _wanted(known, name, set()), f"{name} on {on} is {told.target}"
            for other in known.units[name].requirements.triggers:
                lacks = other in known.units and other not in held
                assert not lacks or _waits_for(known, other, name), f"{name} on {on} lacks {other}"


def _waits_for(known: World, name: str, leader: str) -> bool:
    """True for a unit without a machine that follows the other, itself or by way of others."""
    seen: set[str] = set()
    todo = {name}
    while todo - seen:
        seen |= todo
        asked = [known.units[one].requirements for one in todo if one in known.units]
        words = {word for one in asked for word in (*one.machine_of, *one.triggers)}
        todo = {one for one in known.units if any(matches(word, one) for word in words)}
    return name not in known.placements and leader in todo | seen


def _wanted(known: World, name: str, seen: set[str]) -> Target:
    """By the rule as it is told: activated by what is wanted, a unit is at least loaded."""
    if known.units[name].target is not Target.INACTIVE:
        return known.units[name].target
    near = {u.name for u in known.units.values() if name in u.requirements.triggers} - seen
    kept = any(_wanted(known, n, seen | {name}) is not Target.INACTIVE for n in near)
    return Target.LOADED if kept else Target.INACTIVE


def _judge_new(known: World, change: Assign | Move) -> None:
    one, on = known.units[change.unit], change.machine
    asked = one.requirements
    overlay = known.overlays.get(on)
    assert not (overlay and (overlay.cordoned or overlay.draining)), f"{change} on a closed machine"
    assert asked.machine_id in ("", on, on[:8])
    metadata = known.machines[on].metadata
    assert all(metadata.get(key) in allowed for key, allowed in asked.metadata)
    activated = [name for name in asked.triggers if name in known.units]
    for peer in (*asked.machine_of, *activated):
        there = known.assignments(on).keys() - {change.unit}
        assert any(matches(peer, other) for other in there), f"{change}: {peer} is not there"
    for other in known.assignments(on).keys() - {change.unit}:
        assert not _clash(known, one, other), f"{change}: conflicts with {other}"
    first, last = known.machines[on].ports
    assert len(change.ports) == len(asked.ports)
    for want, got in zip(asked.ports, change.ports, strict=True):
        assert got == want if want else first <= got <= last
    if not asked.global_:
        elsewhere = [m for m, held in known.assigned.items() if change.unit in held and m != on]
        assert not elsewhere, f"{change}: also on {elsewhere}"


def _clash(known: World, one: Unit, other: str) -> bool:
    theirs = known.units.get(other)
    patterns = theirs.requirements.conflicts if theirs else ()
    return any(matches(p, other) for p in one.requirements.conflicts) or any(
        matches(p, one.name) for p in patterns
    )


def shuffled(known: World, order: list[int]) -> World:
    """The same world, its records taken in another order."""
    records = [
        *known.machines.values(),
        *known.overlays.values(),
        *known.units.values(),
        *known.placements.values(),
        *(held for there in known.assigned.values() for held in there.values()),
        *(state for states in known.states.values() for state in states.values()),
    ]
    keys = [order[place % len(order)] for place in range(len(records))]
    return world(*(records[place] for _, place in sorted(zip(keys, range(len(keys)), strict=True))))
