"""Stories: what happens to a little cluster, and what the planner says, as text files.

    machine a cpus=4 zone=x        a machine registers
    lose a / return a              its key vanishes, or is there again
    drain a / cordon a / open a    what an operator says of it
    start web@1.service cpus=1     a unit is created, or replaced and started
    start web@%.service x30        thirty of them, % from 1 on
    submit web.service cpus=1      a unit is created, or replaced, and nobody wants it yet
    stop U / destroy U / fail U    its target, its end; it failed for good where it is
    wait 5                         seconds pass
    plan                           what the planner would change now, and what it says besides
    settle                         plan, apply, let machines answer, until nothing changes
    where                          what is assigned to which machine
    told U                         what its machines were told to do with it
    explain U                      what a person is told

A block is commands, ``----`` and what they print; ``pytest --rewrite`` writes that anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fleetish.changes import Change
from fleetish.engine.explain import explain
from fleetish.engine.loop import describe
from fleetish.engine.plan import Plan, plan
from fleetish.engine.policy import Policy
from fleetish.model import Machine, Overlay, Target, Unit, UnitState
from fleetish.testing.build import FOUR_CORES, answer, apply, drop, machine, put, unit, world
from fleetish.units.constraint import read
from fleetish.units.xfleet import Class
from fleetish.world import World

RULE = "----"
POLICY = Policy(settle=1.0, exclusive_settle=11.0)


def words(value: str) -> tuple[str, ...]:
    return tuple(value.split(","))


def yes(value: str) -> bool:
    return value == "yes"


#: What may follow a unit's name: how the word becomes a field of its requirements.
ASKS: dict[str, Callable[[str], object]] = {
    "cpus": float,
    "memory": int,
    "ports": lambda value: tuple(map(int, words(value))),
    "priority": int,
    "klass": Class,
    "machine_id": str,
    "machine_of": words,
    "conflicts": words,
    "replaces": words,
    "constraints": lambda value: tuple(read(w.replace(":", " ")) for w in words(value)),
    "global_": yes,
    "reschedule": yes,
    "triggers": words,
    "metadata": lambda value: tuple(
        (key, tuple(allowed.split("|"))) for key, allowed in (w.split(":") for w in words(value))
    ),
}


@dataclass
class Story:
    """The cluster of one file."""

    world: World = field(default_factory=world)
    now: float = 100.0
    lost: dict[str, float] = field(default_factory=dict)

    def tell(self, line: str) -> list[str]:
        """Do one command; what it prints."""
        command, *arguments = line.split()
        found = getattr(self, f"do_{command}", None)
        assert found, f"a story has no command {command}"
        printed: list[str] = found(*arguments) or []
        gone = self.world.assigned.keys() - self.world.machines.keys()
        self.lost = {m: self.lost.get(m, self.now) for m in gone}
        return printed

    def do_machine(self, name: str, *facts: str) -> None:
        said = dict(fact.split("=") for fact in facts)
        cpus = float(said.pop("cpus", "4"))
        capacity = FOUR_CORES.__class__(round(cpus * 1000), FOUR_CORES.memory, FOUR_CORES.disk)
        put(self.world, machine(name, capacity, metadata=said))

    def do_lose(self, name: str) -> None:
        self._known = {**getattr(self, "_known", {}), name: self.world.machines[name]}
        drop(self.world, "machines", name)

    def do_return(self, name: str) -> None:
        known: dict[str, Machine] = self._known
        put(self.world, known[name])

    def do_drain(self, name: str) -> None:
        put(self.world, Overlay(machine=name, draining=True))

    def do_cordon(self, name: str) -> None:
        put(self.world, Overlay(machine=name, cordoned=True))

    def do_open(self, name: str) -> None:
        drop(self.world, "metadata", name)

    def do_start(self, name: str, *asks: str) -> None:
        self._write(name, asks, Target.LAUNCHED)

    def do_submit(self, name: str, *asks: str) -> None:
        self._write(name, asks, Target.INACTIVE)

    def _write(self, name: str, asks: tuple[str, ...], target: Target) -> None:
        count = next((int(word[1:]) for word in asks if word[0] == "x" and "=" not in word), 0)
        given = dict(word.split("=") for word in asks if "=" in word)
        asked: dict[str, Any] = {key: ASKS[key](value) for key, value in given.items()}
        names = [name.replace("%", str(n + 1)) for n in range(count)] if count else [name]
        for one in names:
            before = self.world.units.get(one)
            launch = (before.launch if before else 0) + (target is Target.LAUNCHED)
            digest = repr(sorted(given))
            put(self.world, unit(one, target, launch=launch, digest=digest, **asked))

    def do_stop(self, name: str) -> None:
        before = self.world.units[name]
        fields = {key: getattr(before, key) for key in before.__struct_fields__}
        put(self.world, Unit(**{**fields, "target": Target.INACTIVE}))

    def do_destroy(self, name: str) -> None:
        drop(self.world, "units", name)

    def do_fail(self, name: str) -> None:
        on = self.world.placements[name].machine
        held = self.world.assigned[on][name]
        said = UnitState(unit=name, machine=on, hash=held.hash, load="loaded", active="failed",
                         launch=held.launch, seen=held.generation, failures=3)  # fmt: skip
        put(self.world, said)

    def do_wait(self, seconds: str) -> None:
        self.now += float(seconds)

    def do_plan(self) -> list[str]:
        decided = self._plan()
        said = [f"alarm: {text}" for text in decided.alarms]
        for one in decided.unplaced:
            said.append(f"waits: {one.unit}")
            said += [f"    {row.machine} {row.reason}" for row in one.rejections]
        return (self._say(decided.changes) + said) or ["nothing to do"]

    def do_settle(self) -> list[str]:
        said: list[str] = []
        for _ in range(20):
            changes = self._plan().changes
            if not changes:
                return said or ["nothing to do"]
            said += self._say(changes)
            apply(self.world, changes)
            answer(self.world)
        raise AssertionError("it does not settle")

    def do_where(self) -> list[str]:
        machines = sorted({*self.world.machines, *self.world.assigned})
        return [f"{m}: {' '.join(self._units(m)) or '-'}" for m in machines]

    def do_told(self, name: str) -> list[str]:
        homes = sorted(self.world.homes.get(name, ()))
        return [f"{m}: {self.world.assigned[m][name].target}" for m in homes] or ["nothing"]

    def do_explain(self, name: str) -> list[str]:
        told = explain(self.world, name, POLICY)
        rows = [
            f"    {row.machine} {'+' if row.fits else '-'} {row.reason}" for row in told.machines
        ]
        return [f"{told.unit} on {told.machine or 'no machine'}: {told.reason}", *rows]

    def _plan(self) -> Plan:
        return plan(self.world, self.now, POLICY, self.lost)

    def _say(self, changes: tuple[Change, ...]) -> list[str]:
        return [f"{describe(change, self.world)}: {change.reason}" for change in changes]

    def _units(self, name: str) -> list[str]:
        held = self.world.assignments(name)
        return [
            unit_name + "".join(f":{port}" for port in held[unit_name].ports)
            for unit_name in sorted(held)
        ]


def perform(text: str) -> str:
    """The text of a story with what its commands print, printed anew."""
    story = Story()
    done = []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        if RULE not in lines:
            done.append(block)
            continue
        commands = lines[: lines.index(RULE)]
        printed = [row for line in commands if line[0] != "#" for row in story.tell(line)]
        done.append("\n".join([*commands, RULE, *printed]))
    return "\n\n".join(done) + "\n"
