"""A world that is kept current over a store that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fleetish.changes import (
    Assign,
    Change,
    CreateUnit,
    DropContent,
    PublishState,
    PutContent,
    PutOverlay,
    ReplaceUnit,
    SetTarget,
)
from fleetish.errors import Conflict, NotFound, OutcomeUnknown
from fleetish.model import Machine, Overlay, Target, Unit, UnitState
from fleetish.store.base import Delete, KeyValue, Put, Txn
from fleetish.store.codec import encode
from fleetish.store.live import LiveStore
from fleetish.store.memory import MemoryEtcd, MemoryKeyValues
from fleetish.world import Touched
from tests.store.driven import DrivenClock, settle


class Bench:
    """A store in memory on a driven clock: ``live`` reads and writes, ``other`` disturbs it."""

    def __init__(self) -> None:
        self.clock = DrivenClock()
        self.etcd = MemoryEtcd(self.clock)
        self.kv = self.etcd.client()
        self.live = LiveStore(self.kv, "/f", clock=self.clock)
        self.other = self.etcd.client()

    async def put(self, key: str, value: bytes) -> int:
        return (await self.other.txn(Txn((), (Put(f"/f/{key}", value),)))).revision


def live(body: Callable[[Bench], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test whose body gets a bench."""

    def test() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await body(Bench())

        asyncio.run(bounded())

    return test


def creation(name: str, text: str = "text", digest: str = "h") -> Change:
    return CreateUnit(Unit(name=name, hash=digest), text, "asked")


@live
async def test_a_reader_sees_what_was_and_what_comes(bench: Bench) -> None:
    await bench.put("units/a.service", encode(Unit(name="a.service", hash="h")))
    async with bench.live.observe() as seen:
        assert (set(seen.world.units), seen.stale_since) == ({"a.service"}, None)
        assert await seen.changed(0) == Touched(units={"a.service"}, everything=True)
        revision = await bench.live.commit([creation("b.service")], seen.world)
        await seen.reached(revision)
        assert set(seen.world.units) == {"a.service", "b.service"}
        assert await seen.changed(0) == Touched(units={"b.service"})
        assert await seen.changed(0) == Touched()


@live
async def test_a_reader_that_waits_is_woken_by_a_change_or_by_time(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        await seen.changed(0)
        waiting = asyncio.create_task(seen.changed(5))
        await bench.put("metadata/m", encode(Overlay(machine="m")))
        assert await waiting == Touched(machines={"m"})
        waiting = asyncio.create_task(seen.changed(5))
        await bench.clock.advance(4.9)
        assert not waiting.done()
        await bench.clock.advance(0.1)
        assert await waiting == Touched()


@live
async def test_readers_of_one_scope_share_a_world_and_have_cursors_of_their_own(
    bench: Bench,
) -> None:
    async with bench.live.observe() as one:
        await one.changed(0)
        async with bench.live.observe() as two, bench.live.observe("m") as agent:
            assert one.world is two.world
            assert one.world is not agent.world
            assert await two.changed(0) == Touched(everything=True)
            await one.reached(await bench.put("units/a.service", b"junk"))
            assert await one.changed(0) == await two.changed(0) == Touched(units={"a.service"})
        assert bench.live.figures.listings == 2
        await one.reached(await bench.put("units/b.service", b"junk"))
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await settle()
    assert not [task for task in tasks if not task.done()]


@live
async def test_an_agent_sees_its_own_only(bench: Bench) -> None:
    async with bench.live.observe() as all_, bench.live.observe("m") as seen:
        for machine in ("m", "mm"):
            await bench.put(f"machines/{machine}", encode(Machine(id=machine, host="h")))
        revision = await bench.live.commit([creation("a.service"), creation("b.service")],
                                           all_.world)  # fmt: skip
        await all_.reached(revision)
        places = [Assign("a.service", "m", (), ""), Assign("b.service", "mm", (), "")]
        await all_.reached(await bench.live.commit(places, all_.world))
        overlay = PutOverlay(Overlay(machine="m", cordoned=True), "")
        await all_.reached(await bench.live.commit([overlay], all_.world))
        state = UnitState(unit="a.service", machine="m", seen=1)
        revision = await bench.live.commit([PublishState(state, "")], seen.world)
        await seen.reached(revision)
        assert list(seen.world.assigned) == ["m"]
        assert seen.world.states == {"a.service": {"m": state}}
        assert (list(seen.world.overlays), list(seen.world.units)) == (["m"], [])


@live
async def test_a_commit_over_an_old_world_is_a_conflict(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        await seen.reached(await bench.live.commit([creation("a.service")], seen.world))
        bench.kv.faults.held = bench.etcd.revision
        await bench.put("units/a.service", encode(Unit(name="a.service", hash="new")))
        with pytest.raises(Conflict, match=r"/f/units/a\.service changed meanwhile"):
            await bench.live.commit([SetTarget("a.service", Target.LOADED, 0, "")], seen.world)
        assert bench.live.figures.conflicts == 1


@live
async def test_an_unknown_outcome_is_told(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        bench.kv.faults.unheard = 1
        with pytest.raises(OutcomeUnknown):
            await bench.live.commit([creation("a.service")], seen.world)
        await seen.reached(bench.etcd.revision)
        assert "a.service" in seen.world.units
        assert bench.live.figures.unknown == 1


@live
async def test_hidden_events_are_found_by_the_next_list_and_counted_after_it(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        await seen.changed(0)
        bench.kv.faults.hidden = lambda event: event.key == "/f/units/a.service"
        await bench.put("units/a.service", encode(Unit(name="a.service", hash="h")))
        await settle()
        assert not seen.world.units
        await bench.clock.advance(31)
        assert set(seen.world.units) == {"a.service"}
        assert await seen.changed(0) == Touched(units={"a.service"}, everything=True)
        await bench.clock.advance(31)
        assert bench.live.figures.divergence == 1


@live
async def test_who_waits_for_a_hidden_revision_gets_it_by_a_list(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        bench.kv.faults.hidden = lambda event: True
        revision = await bench.put("units/a.service", encode(Unit(name="a.service", hash="h")))
        waiting = asyncio.create_task(seen.reached(revision))
        await bench.clock.advance(1.5)
        await waiting
        assert set(seen.world.units) == {"a.service"}


@live
async def test_a_silent_store_leaves_the_last_world_and_says_since_when(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        await seen.reached(await bench.put("units/a.service", b"junk"))
        heard = bench.clock.monotonic()
        bench.etcd.stopped = True
        bench.etcd.wake()
        await bench.clock.advance(60)
        assert seen.stale_since == heard
        assert list(seen.world.quarantined) == [("units", "a.service")]
        bench.etcd.stopped = False
        await bench.put("units/b.service", b"junk")
        await bench.clock.advance(1.1)
        assert seen.stale_since is None
        assert len(seen.world.quarantined) == 2
        assert bench.live.figures.divergence == 0


@live
async def test_who_comes_while_the_store_is_silent_waits_for_it(bench: Bench) -> None:
    bench.etcd.stopped = True
    context = bench.live.observe()
    entering = asyncio.create_task(context.__aenter__())
    await bench.clock.advance(30)
    assert not entering.done()
    bench.etcd.stopped = False
    await bench.clock.advance(1.1)
    assert (await entering).world.revision == bench.etcd.revision
    await context.__aexit__(None, None, None)


@live
async def test_compaction_while_away_is_survived(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        bench.kv.faults.held = bench.etcd.revision
        await bench.put("units/a.service", b"junk")
        await bench.other.compact(await bench.put("units/b.service", b"junk"))
        await bench.other.txn(Txn((), (Delete("/f/units/a.service"),)))
        bench.kv.faults.held = None
        bench.etcd.wake()
        await settle()
        assert list(seen.world.quarantined) == [("units", "b.service")]
        revision = await bench.put("units/c.service", b"junk")
        await seen.reached(revision)
        assert len(seen.world.quarantined) == 2


@live
async def test_a_store_restored_from_a_backup_is_read_anew(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        for number in range(5):
            await bench.put(f"units/u{number}.service", b"junk")
        await seen.reached(bench.etcd.revision)
        backup = MemoryEtcd(bench.clock)
        bench.kv.etcd, bench.other.etcd = backup, backup
        await bench.put("units/old.service", b"junk")
        bench.etcd.wake()
        await bench.clock.advance(31)
        assert list(seen.world.quarantined) == [("units", "old.service")]
        assert seen.world.revision == backup.revision


@live
async def test_a_leader_that_comes_and_goes_concerns_its_machine(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        await seen.changed(0)
        await bench.put("leader", b'{"v":1,"machine":"m"}')
        assert await seen.changed(5) == Touched(machines={"m"})
        await bench.other.txn(Txn((), (Delete("/f/leader"),)))
        assert await seen.changed(5) == Touched(machines={"m"})


@live
async def test_a_text_is_read_by_its_hash(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        await bench.live.commit([creation("a.service", "[Service]\n")], seen.world)
    assert await bench.live.content("h") == "[Service]\n"
    bench.etcd.stopped = True
    assert await bench.live.content("h") == "[Service]\n"


@live
async def test_a_text_that_nobody_stored_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound, match="none"):
        await bench.live.content("none")
    async with bench.live.observe() as seen:
        with pytest.raises(NotFound):
            await bench.live.commit([creation("a.service", "")], seen.world)
        assert not (await bench.kv.list("/f/units/")).items


@live
async def test_a_text_is_not_dropped_while_a_new_unit_comes_to_refer_to_it(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        await seen.reached(await bench.live.commit([creation("a.service")], seen.world))
        bench.kv.faults.held = bench.etcd.revision
        (stored,) = await bench.live.contents("", 10)
        new = LiveStore(bench.other, "/f", clock=bench.clock)
        async with new.observe() as newer:
            await new.commit([creation("b.service", "")], newer.world)
            other = ReplaceUnit(Unit(name="a.service", hash="other"), "x", "")
            await new.commit([other], newer.world)
        with pytest.raises(Conflict):
            await bench.live.commit([DropContent(stored.hash, stored.mod, "")], seen.world)
        assert await bench.live.content("h") == "text"


@live
async def test_a_change_that_was_decided_before_a_text_was_read_overwrites_nothing(
    bench: Bench,
) -> None:
    async def meanwhile(keys: Sequence[str]) -> tuple[KeyValue, ...]:
        found = await bench.other.get_all(keys)
        wanted = SetTarget("a.service", Target.LAUNCHED, 1, "asked")
        await seen.reached(await bench.live.commit([wanted], seen.world))
        return found

    async with bench.live.observe() as seen:
        changes = [creation("a.service"), PutContent("new", "x", "")]
        await seen.reached(await bench.live.commit(changes, seen.world))
        bench.kv.get_all = meanwhile  # type: ignore[method-assign]
        stale = ReplaceUnit(Unit(name="a.service", hash="new"), "", "decided before that")
        with pytest.raises(Conflict, match="while a text was read"):
            await bench.live.commit([stale], seen.world)
        assert seen.world.units["a.service"].target is Target.LAUNCHED


@asynccontextmanager
async def cut(kv: MemoryKeyValues) -> AsyncIterator[None]:
    kv.faults.cut = True
    kv.etcd.wake()
    yield
    kv.faults.cut = False


@live
async def test_one_client_that_is_cut_off_catches_up(bench: Bench) -> None:
    async with bench.live.observe() as seen:
        async with cut(bench.kv):
            await bench.put("units/a.service", b"junk")
            await bench.clock.advance(10)
            assert not seen.world.quarantined
        await bench.clock.advance(1.1)
        assert list(seen.world.quarantined) == [("units", "a.service")]
