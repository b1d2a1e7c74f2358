"""Presence and leadership on a clock that is driven."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from fleetish.errors import Conflict, LeadershipLost, LeaseLost
from fleetish.model import Leader, Machine
from fleetish.store.base import Delete, KeyValue, Txn
from fleetish.store.codec import encode
from fleetish.store.lease import Leadership, campaign, grant, kept, presence
from fleetish.store.memory import MemoryEtcd, MemoryKeyValues
from tests.store.driven import DrivenClock, settle

KEY = "/f/machines/m"


class Bench:
    def __init__(self) -> None:
        self.clock = DrivenClock()
        self.etcd = MemoryEtcd(self.clock)

    def machine(self, boot: str, **facts: str) -> Machine:
        return Machine(id="m", host="node1", boot=boot, **facts)  # type: ignore[arg-type]

    def present(self, boot: str = "b1", kv: MemoryKeyValues | None = None, **options: Any) -> Any:
        client = kv or self.etcd.client()
        return presence(client, "/f", self.machine(boot), 8, self.clock, **options)

    def campaign(self, name: str, kv: MemoryKeyValues | None = None) -> Any:
        client = kv or self.etcd.client()
        return campaign(client, "/f", Leader(machine=name), 5, self.clock)

    async def key(self, name: str = KEY) -> KeyValue | None:
        self.etcd.expire()
        return self.etcd.current(name)


def driven(body: Callable[[Bench], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await body(Bench())

        asyncio.run(bounded())

    return test


@driven
async def test_a_lease_is_renewed_each_quarter_and_counts_from_the_sending(bench: Bench) -> None:
    heard: list[tuple[float, float]] = []
    lease = await grant(bench.etcd.client(), bench.clock, 8, lambda *times: heard.append(times))
    async with kept(lease):
        await bench.clock.advance(6)
        assert heard == [(1000, 1000), (1002, 1002), (1004, 1004), (1006, 1006)]
        assert (lease.deadline(), lease.deadline(1.5)) == (1014, 1012.5)
    await bench.clock.advance(20)
    assert len(heard) == 4


@driven
async def test_a_lease_that_the_store_ended_is_lost(bench: Bench) -> None:
    lease = await grant(bench.etcd.client(), bench.clock, 8)
    async with kept(lease):
        await bench.clock.advance(1)
        bench.etcd.end_lease(lease.id)
        await bench.clock.advance(2)
        assert lease.lost.is_set()


@driven
async def test_a_silent_store_does_not_lose_a_lease(bench: Bench) -> None:
    lease = await grant(bench.etcd.client(), bench.clock, 8)
    async with kept(lease):
        await settle()
        bench.etcd.stopped = True
        await bench.clock.advance(100)
        assert not lease.lost.is_set()
        assert lease.deadline() == 1008


@driven
async def test_a_machine_is_registered_while_it_is_present(bench: Bench) -> None:
    async with bench.present(revoke=True) as present:
        held = await bench.key()
        assert held is not None
        assert (held.value, held.create) == (encode(bench.machine("b1")), present.guard.create)
        assert (present.guard.key, present.guard.lost) == (KEY, "lease")
        await bench.clock.advance(60)
        assert await bench.key() == held
    assert await bench.key() is None


@driven
async def test_a_restarted_daemon_takes_its_key_over_without_an_absence(bench: Bench) -> None:
    async with bench.present() as first:
        pass
    before = bench.etcd.revision
    await bench.clock.advance(3)
    async with bench.present() as second:
        assert (first.taken_over, second.taken_over) == (False, True)
        assert second.guard == first.guard
        await bench.clock.advance(60)
    revision = before
    while (batch := bench.etcd.next(revision + 1)) is not None:
        revision = batch.revision
        assert all(event.value is not None for event in batch.events)


@driven
async def test_a_key_that_nobody_takes_over_goes_with_its_lease(bench: Bench) -> None:
    async with bench.present():
        pass
    await bench.clock.advance(8)
    assert await bench.key() is None


@driven
async def test_a_rebooted_host_registers_anew(bench: Bench) -> None:
    async with bench.present("b1") as before:
        pass
    entering = asyncio.create_task(_enter(bench.present("b2", revoke=True)))
    await bench.clock.advance(7)
    stack, after = await entering
    assert after.guard.create > before.guard.create
    assert not after.taken_over
    await stack.aclose()


async def _enter(context: Any) -> tuple[AsyncExitStack, Any]:
    stack = AsyncExitStack()
    return stack, await stack.enter_async_context(context)


@driven
async def test_another_live_host_with_the_same_id_is_refused(bench: Bench) -> None:
    async with bench.present("b1") as here:
        entering = asyncio.create_task(_enter(bench.present("b2")))
        await bench.clock.advance(8)
        with pytest.raises(Conflict, match="another live host has the same machine id"):
            await entering
        await bench.clock.advance(20)
        held = await bench.key()
        assert held is not None
        assert held.create == here.guard.create


@driven
async def test_registration_waits_for_the_store(bench: Bench) -> None:
    bench.etcd.stopped = True
    entering = asyncio.create_task(_enter(bench.present()))
    await bench.clock.advance(30)
    assert not entering.done()
    bench.etcd.stopped = False
    await bench.clock.advance(1)
    stack, _ = await entering
    assert await bench.key() is not None
    await stack.aclose()


@driven
async def test_an_answer_that_was_lost_leaves_one_registration(bench: Bench) -> None:
    kv = bench.etcd.client()
    kv.faults.unheard = 1
    entering = asyncio.create_task(_enter(bench.present(kv=kv)))
    await bench.clock.advance(1)
    stack, present = await entering
    held = await bench.key()
    assert held is not None
    assert (held.create, held.lease) == (present.guard.create, present.lease.id)
    await stack.aclose()


@driven
async def test_presence_tells_that_it_is_lost_and_refuses_updates(bench: Bench) -> None:
    async with bench.present() as present:
        await present.update(bench.machine("b1", version="2"))
        held = await bench.key()
        assert held is not None
        assert held.value == encode(bench.machine("b1", version="2"))
        bench.etcd.end_lease(present.lease.id)
        await bench.clock.advance(2)
        assert present.lost.is_set()
        with pytest.raises(LeaseLost):
            await present.update(bench.machine("b1"))


@driven
async def test_a_registration_that_was_deleted_by_hand_is_lost(bench: Bench) -> None:
    async with bench.present() as present:
        bench.etcd.apply(Txn((), (Delete(KEY),)))
        await bench.clock.advance(8)
        assert present.lost.is_set()


class Engine:
    """One that stands for election, leads until told to stop, and says how it ended."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.kv = bench.etcd.client()
        self.led: Leadership | None = None
        self.ended = ""
        self._stop = asyncio.Event()
        self.task = asyncio.create_task(self._run(bench, name))

    async def _run(self, bench: Bench, name: str) -> None:
        try:
            async with bench.campaign(name, self.kv) as self.led:
                await self._stop.wait()
            self.ended = "resigned"
        except LeadershipLost:
            self.ended = "lost"

    async def resign(self) -> None:
        self._stop.set()
        await self.task


@driven
async def test_one_leads_and_the_next_follows_at_once_when_it_resigns(bench: Bench) -> None:
    one = Engine(bench, "one")
    await settle()
    two = Engine(bench, "two")
    await bench.clock.advance(60)
    assert one.led is not None
    assert (one.led.warm, two.led) == (False, None)
    await one.resign()
    await settle()
    assert two.led is not None
    assert (two.led.warm, two.led.guard.create > one.led.guard.create) == (True, True)
    await two.resign()
    assert (one.ended, two.ended) == ("resigned", "resigned")
    assert await bench.key("/f/leader") is None


@driven
async def test_a_leader_that_is_cut_off_ends_before_the_next_begins(bench: Bench) -> None:
    one = Engine(bench, "one")
    await settle()
    two = Engine(bench, "two")
    expiry = asyncio.create_task(bench.etcd.run())
    await bench.clock.advance(10)
    assert one.led is not None
    one.kv.faults.cut = True
    await bench.clock.advance(one.led.deadline() - bench.clock.monotonic() - 0.01)
    assert (one.ended, two.led) == ("", None)
    await bench.clock.advance(0.02)
    assert (one.ended, two.led) == ("lost", None)
    await bench.clock.advance(3)
    assert two.led is not None
    await two.resign()
    expiry.cancel()


@driven
async def test_a_leader_whose_lease_is_gone_ends(bench: Bench) -> None:
    one = Engine(bench, "one")
    await bench.clock.advance(1)
    assert one.led is not None
    bench.etcd.end_lease(one.led.lease.id)
    await bench.clock.advance(2)
    assert one.ended == "lost"


@driven
async def test_a_lost_answer_to_the_election_elects_once(bench: Bench) -> None:
    kv = bench.etcd.client()
    kv.faults.unheard = 1
    async with bench.campaign("one", kv) as led:
        held = await bench.key("/f/leader")
        assert held is not None
        assert (held.create, held.lease) == (led.guard.create, led.lease.id)


@driven
async def test_a_candidate_outlives_compaction_and_silence(bench: Bench) -> None:
    one = Engine(bench, "one")
    await settle()
    two = Engine(bench, "two")
    await settle()
    two.kv.faults.cut = True
    bench.etcd.wake()
    await bench.clock.advance(5)
    bench.etcd.compact(bench.etcd.revision)
    await one.resign()
    two.kv.faults.cut = False
    await bench.clock.advance(1)
    assert two.led is not None
    await two.resign()


@driven
async def test_an_error_in_the_block_of_a_leader_comes_through(bench: Bench) -> None:
    with pytest.raises(TimeoutError, match="its own"):
        async with bench.campaign("one"):
            raise TimeoutError("its own")
    assert await bench.key("/f/leader") is None
