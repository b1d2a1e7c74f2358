"""The whole store over both key-value stores: a world kept current, presence and leadership."""

from __future__ import annotations

import asyncio

import pytest

from fleetish.changes import (
    Assign,
    CreateUnit,
    Move,
    PublishState,
    Release,
    SetTarget,
    Unassign,
)
from fleetish.clock import SystemClock
from fleetish.errors import Conflict, LeadershipLost, LeaseLost
from fleetish.model import Assignment, Leader, Machine, Placement, Target, Unit, UnitState
from fleetish.store.base import KeyValues
from fleetish.store.lease import campaign, presence
from fleetish.store.live import LiveStore
from tests.contract.test_keyvalues import Run, run

__all__ = ["run"]

CLOCK = SystemClock()
WEB = Unit(name="web.service", hash="h", target=Target.LAUNCHED)


def machine(name: str) -> Machine:
    return Machine(id=name, host=name, boot="1")


def test_a_unit_is_placed_runs_is_released_and_leaves(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        store = LiveStore(kv, "/f")
        async with (
            presence(kv, "/f", machine("m"), 10, CLOCK) as present,
            campaign(kv, "/f", Leader(machine="m"), 5, CLOCK) as led,
            store.observe() as seen,
            store.observe("m") as agent,
        ):
            create = CreateUnit(WEB, "text", "asked")
            await seen.reached(await store.commit([create], seen.world))
            place = Assign("web.service", "m", (), "fits")
            await agent.reached(await store.commit([place], seen.world, led.guard))
            wish = agent.world.assignment("web.service", "m")
            assert wish == Assignment(
                unit="web.service", machine="m", hash="h", target=Target.LAUNCHED
            )
            assert await store.content("h") == "text"
            await seen.reached(agent.world.revision)
            release = Release("web.service", "m", "drain")
            await agent.reached(await store.commit([release], seen.world, led.guard))
            stopped = PublishState(UnitState(unit="web.service", machine="m", seen=2), "")
            revision = await store.commit([stopped], agent.world, present.guard)
            await seen.reached(revision)
            leave = Unassign("web.service", "m", "stopped")
            await seen.reached(await store.commit([leave], seen.world, led.guard))
            world = seen.world
            assert (world.placements, world.assigned, world.states) == ({}, {}, {})
            assert set(world.units) == {"web.service"}

    run(body)


def test_a_unit_of_a_lost_machine_moves_and_the_lost_machine_writes_no_more(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        store = LiveStore(kv, "/f")
        async with (
            presence(kv, "/f", machine("b"), 10, CLOCK),
            campaign(kv, "/f", Leader(machine="b"), 5, CLOCK) as led,
            store.observe() as seen,
            store.observe("a") as agent,
            presence(kv, "/f", machine("a"), 10, CLOCK) as lost,
        ):
            changes = [CreateUnit(WEB, "text", "asked")]
            await seen.reached(await store.commit(changes, seen.world))
            place = [Assign("web.service", "a", (), "fits")]
            revision = await store.commit(place, seen.world, led.guard)
            await seen.reached(revision)
            await agent.reached(revision)
            move = [Move("web.service", "a", "b", (), "lost")]
            with pytest.raises(Conflict):
                await store.commit(move, seen.world, led.guard)
            await kv.revoke(lost.lease.id)
            await seen.reached((await kv.list("/f/machines/")).revision)
            report = PublishState(UnitState(unit="web.service", machine="a", seen=1), "")
            with pytest.raises(LeaseLost):
                await store.commit([report], agent.world, lost.guard)
            revision = await store.commit(move, seen.world, led.guard)
            await seen.reached(revision)
            placed = seen.world.placements["web.service"]
            assert placed == Placement(
                unit="web.service", machine="b", reason="lost", moves=1, since=placed.since
            )
            assert list(seen.world.assigned) == ["b"]

    run(body)


def test_a_thousand_units_are_one_commit(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        store = LiveStore(kv, "/f")
        async with store.observe() as seen:
            units = [Unit(name=f"u{number}.service", hash="h") for number in range(1000)]
            changes = [CreateUnit(unit, "text", "asked") for unit in units]
            await seen.reached(await store.commit(changes, seen.world))
            assert list(seen.world.units.values()) == units
            assert store.figures.divergence == 0

    run(body)


def test_the_next_leader_follows_and_the_last_one_writes_no_more(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        store = LiveStore(kv, "/f")
        async with store.observe() as seen:
            await seen.reached(await store.commit([CreateUnit(WEB, "t", "")], seen.world))
            async with campaign(kv, "/f", Leader(machine="a"), 5, CLOCK) as first:
                following = asyncio.create_task(lead_once(kv))
            assert await following > first.guard.create
            change = SetTarget("web.service", Target.INACTIVE, 1, "")
            with pytest.raises(LeadershipLost):
                await store.commit([change], seen.world, first.guard)
            assert seen.world.units["web.service"].target is Target.LAUNCHED

    async def lead_once(kv: KeyValues) -> int:
        async with campaign(kv, "/f", Leader(machine="b"), 5, CLOCK) as led:
            return led.guard.create

    run(body)


def test_a_machine_is_taken_over_by_its_restarted_daemon(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        async with presence(kv, "/f", machine("m"), 10, CLOCK) as before:
            pass
        async with presence(kv, "/f", machine("m"), 10, CLOCK, revoke=True) as after:
            assert (after.taken_over, after.guard) == (True, before.guard)
            held = await kv.get("/f/machines/m")
            assert held is not None
            assert held.lease == after.lease.id
        assert await kv.get("/f/machines/m") is None

    run(body)
