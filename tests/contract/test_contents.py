"""Dropping texts over both stores: what is left, and who comes at the same moment."""

from __future__ import annotations

import pytest

from fleetish.changes import CreateUnit, DestroyUnit, DropContent, PutContent, ReplaceUnit
from fleetish.clock import SystemClock
from fleetish.engine.collect import sweep_all
from fleetish.engine.contents import sweep
from fleetish.errors import Conflict, LeadershipLost, NotFound
from fleetish.model import Leader, Unit
from fleetish.store.base import KeyValue, KeyValues, Put, StoredText, Txn
from fleetish.store.lease import campaign
from fleetish.store.live import LiveStore
from tests.contract.test_keyvalues import Run, run

__all__ = ["run"]

CLOCK = SystemClock()


def creation(name: str, digest: str) -> CreateUnit:
    return CreateUnit(Unit(name=name, hash=digest), f"text of {digest}", "asked")


def test_keys_are_listed_in_pages_without_their_values(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        names = [f"/t/{number:03}" for number in range(250)]
        for start in range(0, 250, 100):
            puts = tuple(Put(name, b"x" * 100) for name in names[start : start + 100])
            await kv.txn(Txn((), puts))
        await kv.txn(Txn((), (Put("/tz", b"x"), Put("/s", b"x"))))
        found: list[KeyValue] = []
        after = ""
        while page := (await kv.keys("/t/", after=after, most=100)).items:
            found += page
            after = page[-1].key
        assert [item.key for item in found] == names
        assert {item.value for item in found} == {b""}
        listed = await kv.list("/t/")
        assert [(i.create, i.mod) for i in found] == [(i.create, i.mod) for i in listed.items]

    run(body)


def test_texts_are_dropped_once_nobody_has_referred_to_them_for_two_sweeps(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        store = LiveStore(kv, "/f")
        async with (
            campaign(kv, "/f", Leader(machine="a"), 5, CLOCK) as led,
            store.observe() as seen,
        ):
            for name, digest in (("a.service", "1"), ("b.service", "2"), ("c.service", "3")):
                done = await store.commit([creation(name, digest)], seen.world)
                await seen.reached(done)
            await seen.reached(await store.commit([DestroyUnit("b.service", "")], seen.world))
            new = ReplaceUnit(Unit(name="c.service", hash="4"), "text of 4", "")
            await seen.reached(await store.commit([new], seen.world))
            unread = await sweep_all(store, seen, led.guard, CLOCK, {})
            assert sorted(unread) == ["2", "3"]
            assert len(await store.contents("", 10)) == 4
            await sweep_all(store, seen, led.guard, CLOCK, unread)
            assert [one.hash for one in await store.contents("", 10)] == ["1", "4"]
            with pytest.raises(NotFound):
                await LiveStore(kv, "/f").content("2")

    run(body)


def test_a_unit_that_is_made_from_a_text_in_the_moment_of_its_drop_keeps_it(run: Run) -> None:
    """Whoever decides to drop has an older world; the new reader's write comes in between."""

    async def body(kv: KeyValues) -> None:
        store, other = LiveStore(kv, "/f"), LiveStore(kv, "/f")
        async with store.observe() as seen, other.observe() as elsewhere:
            done = await store.commit([PutContent("h", "text of h", "")], seen.world)
            await seen.reached(done)
            unread = sweep(seen.world, await store.contents("", 10), {}).unread
            (drop,) = sweep(seen.world, await store.contents("", 10), unread).drops
            await elsewhere.reached(done)
            made = await other.commit([creation("a.service", "h")], elsewhere.world)
            with pytest.raises(Conflict):
                await store.commit([drop], seen.world)
            await seen.reached(made)
            with pytest.raises(Conflict):
                await store.commit([drop], seen.world)
            assert await LiveStore(kv, "/f").content("h") == "text of h"

    run(body)


def test_a_unit_that_is_made_from_a_text_after_its_drop_brings_it_along(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        store, other = LiveStore(kv, "/f"), LiveStore(kv, "/f")
        async with store.observe() as seen, other.observe() as elsewhere:
            done = await store.commit([PutContent("h", "text of h", "")], seen.world)
            await elsewhere.reached(done)
            assert await other.content("h") == "text of h"
            (stored,) = await store.contents("", 10)
            await store.commit([DropContent(stored.hash, stored.mod, "")], seen.world)
            by_hash = CreateUnit(Unit(name="a.service", hash="h"), "", "asked")
            await other.commit([by_hash], elsewhere.world)
            assert await LiveStore(kv, "/f").content("h") == "text of h"

    run(body)


def test_who_does_not_lead_any_more_drops_nothing(run: Run) -> None:
    async def body(kv: KeyValues) -> None:
        store = LiveStore(kv, "/f")
        async with store.observe() as seen:
            await seen.reached(await store.commit([PutContent("h", "t", "")], seen.world))
            async with campaign(kv, "/f", Leader(machine="a"), 5, CLOCK) as led:
                pass
            (stored,) = await store.contents("", 10)
            assert stored == StoredText("h", stored.mod)
            with pytest.raises(LeadershipLost):
                await sweep_all(store, seen, led.guard, CLOCK, {"h": stored.mod})
            assert await store.contents("", 10) == (stored,)

    run(body)
