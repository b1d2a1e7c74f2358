"""Standing orders in the engine's loop, on virtual time, with machines that do as they are told."""

from __future__ import annotations

import asyncio

import msgspec

from fleetish.changes import Change, CreateUnit, PublishState, PutContent, PutDocument, SetTarget
from fleetish.engine.collect import EVERY
from fleetish.engine.orders import Rebalance, rebalance_document
from fleetish.engine.rollout import OnFailure, Rollout, Row, Stage, Text, document, read
from fleetish.errors import Conflict
from fleetish.model import Assignment, Target, Unit, UnitState
from fleetish.store.live import LiveStore
from fleetish.testing.build import unit
from tests.engine.test_loop import PREFIX, Lab, in_lab

NAMES = tuple(f"web@{n}.service" for n in range(4))
#: Seconds that a machine takes to start a unit anew.
START = 3.0


class Agents:
    """What the agents of all machines do; ``bad``: a text with which units fail."""

    def __init__(self, lab: Lab, bad: str = "") -> None:
        self.lab = lab
        self.bad = bad
        self.down: set[str] = set()
        self.worst = 0

    async def run(self) -> None:
        store = LiveStore(self.lab.etcd.client(), PREFIX, clock=self.lab.clock)
        async with store.observe() as seen, asyncio.TaskGroup() as group:
            busy: set[tuple[str, int]] = set()
            while True:
                await seen.changed(30)
                for on in [*seen.world.machines]:
                    for held in [*seen.world.assignments(on).values()]:
                        state = seen.world.state(held.unit, on)
                        key = (f"{held.unit} {on}", held.generation)
                        if (state is None or state.seen != held.generation) and key not in busy:
                            busy.add(key)
                            group.create_task(self._do(store, held))

    async def _do(self, store: LiveStore, held: Assignment) -> None:
        self.down.add(held.unit)
        self.worst = max(self.worst, len(self.down))
        await self.lab.clock.sleep(START)
        active = "failed" if held.hash == self.bad else "active"
        state = UnitState(
            unit=held.unit, machine=held.machine, hash=held.hash, load="loaded",
            active=active if held.target is Target.LAUNCHED else "inactive", result="exit-code",
            launch=held.launch, seen=held.generation, invocation=f"{held.hash}{held.launch}",
        )  # fmt: skip
        async with store.observe() as seen:
            try:
                await store.commit([PublishState(state, "")], seen.world)
            except Conflict:
                return
        if active == "active":
            self.down.discard(held.unit)


async def started(lab: Lab, bad: str = "") -> tuple[Agents, asyncio.Task[None]]:
    """Two machines with four instances on them, all active."""
    agents = Agents(lab, bad)
    running = asyncio.create_task(agents.run())
    lab.engine("e1")
    lab.join("a")
    lab.join("b")
    await lab.until(lambda: len(lab.world.machines) == 2)
    units = [unit(name, digest="old") for name in NAMES]
    await lab.do(*(CreateUnit(one, "[Service]\n", "asked") for one in units))
    await lab.until(lambda: all(active(lab, name) == "active" for name in NAMES))
    agents.worst = 0
    return agents, running


def active(lab: Lab, name: str) -> str:
    return next((state.active for state in lab.world.states.get(name, {}).values()), "")


def order(**fields: object) -> tuple[Change, ...]:
    """What the API writes for a rolling update of all instances."""
    asked = Text(hash="old", requirements=unit("x.service").requirements)
    new = msgspec.structs.replace(asked, hash="new")
    rows = tuple(Row(unit=name, before=asked, after=new) for name in NAMES)
    rollout = Rollout(id="r1", rows=rows, **fields)  # type: ignore[arg-type]
    return PutContent("new", "[Service]\n", "asked"), PutDocument(document(rollout), "asked")


def stage(lab: Lab) -> Stage:
    found = read(lab.world.documents["rollout", "r1"])
    assert found is not None
    return found.stage


def hashes(lab: Lab) -> list[str]:
    return [lab.world.units[name].hash for name in NAMES]


@in_lab
async def test_a_rollout_is_carried_out_and_each_unit_is_up_before_the_next(lab: Lab) -> None:
    agents, running = await started(lab)
    await lab.do(*order(settle=2.0))
    took = await lab.until(lambda: stage(lab) is Stage.DONE)
    assert hashes(lab) == ["new"] * 4
    assert agents.worst == 1
    assert 4 * (START + 2.0) <= took <= 4 * (START + 2.0) + 1.0
    running.cancel()


@in_lab
async def test_a_rollout_goes_on_when_its_engine_dies_and_its_client_is_gone(lab: Lab) -> None:
    agents, running = await started(lab)
    await lab.do(*order())
    await lab.until(lambda: hashes(lab).count("new") == 2)
    _, kv, _ = lab.engines["e1"]
    kv.faults.cut = True
    lab.etcd.wake()
    await lab.stop("e1")
    lab.engine("e2")
    await lab.until(lambda: stage(lab) is Stage.DONE)
    assert (hashes(lab), agents.worst) == (["new"] * 4, 1)
    running.cancel()


@in_lab
async def test_a_rollout_of_a_text_that_fails_is_undone(lab: Lab) -> None:
    agents, running = await started(lab, bad="new")
    await lab.do(*order(on_failure=OnFailure.ROLLBACK))
    await lab.until(lambda: stage(lab) is Stage.UNDONE)
    assert (hashes(lab), agents.worst) == (["old"] * 4, 1)
    assert [active(lab, name) for name in NAMES] == ["active"] * 4
    running.cancel()


@in_lab
async def test_a_rollout_whose_text_is_gone_is_stopped_and_holds_up_nothing(lab: Lab) -> None:
    _, running = await started(lab)
    await lab.do(order()[1])
    await lab.until(lambda: stage(lab) is Stage.STOPPED)
    assert hashes(lab) == ["old"] * 4
    await lab.start(unit("other.service"))
    await lab.until(lambda: "other.service" in lab.world.placements)
    running.cancel()


@in_lab
async def test_a_wish_in_the_middle_of_a_rollout_is_not_lost(lab: Lab) -> None:
    _, running = await started(lab)
    await lab.do(*order())
    await lab.until(lambda: hashes(lab).count("new") == 1)
    await lab.do(SetTarget(NAMES[3], Target.LOADED, 1, "asked"))
    await lab.until(lambda: stage(lab) is Stage.DONE)
    assert hashes(lab) == ["new"] * 4
    assert lab.world.units[NAMES[3]].target is Target.LOADED
    running.cancel()


@in_lab
async def test_a_rebalance_moves_units_one_after_the_other_and_ends(lab: Lab) -> None:
    _, running = await started(lab)
    lab.join("c")
    lab.join("d")
    await lab.until(lambda: len(lab.world.machines) == 4)
    await lab.do(PutDocument(rebalance_document(Rebalance(most=10, at_once=1)), "asked"))
    await lab.until(lambda: ("rebalance", "current") not in lab.world.documents)
    assert sorted(lab.homes().values()) == ["a", "b", "c", "d"]
    assert sorted(one.moves for one in lab.world.placements.values()) == [0, 0, 1, 1]
    assert [active(lab, name) for name in NAMES] == ["active"] * 4
    running.cancel()


@in_lab
async def test_the_leader_drops_texts_that_nobody_refers_to_any_more(lab: Lab) -> None:
    lab.engine("e1")
    await lab.do(CreateUnit(Unit(name="a.service", hash="used"), "x", ""))
    await lab.do(PutContent("unused", "y", ""))
    await lab.until(lambda: lab.world.leader is not None)
    assert len(await lab.store.contents("", 10)) == 2
    await lab.clock.sleep(1.5 * EVERY)
    assert len(await lab.store.contents("", 10)) == 2
    await lab.clock.sleep(EVERY)
    assert [one.hash for one in await lab.store.contents("", 10)] == ["used"]
