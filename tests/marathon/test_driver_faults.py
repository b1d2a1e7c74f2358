"""A driver may die, or not be answered, at any of its writes; two may run at once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from fleetish.errors import Conflict, OutcomeUnknown
from fleetish.store.base import Txn, TxnResult
from fleetish.store.live import LiveStore
from fleetish.store.memory import MemoryKeyValues
from marathon_compat.apps.deploy import Terms, propose
from marathon_compat.apps.edits import set_apps, undo
from marathon_compat.apps.records import Past
from tests.marathon.field import Field, Process, app, on_field, plain_text, strategy, versions_of


class Mortal(MemoryKeyValues):
    """A client whose process ends with its n-th write: just after it, or just before."""

    def __init__(self, field: Field, writes: int, *, before: bool) -> None:
        super().__init__(field.etcd)
        self.left = writes
        self.before = before
        self.ended = asyncio.Event()

    async def txn(self, txn: Txn) -> TxnResult:
        self.left -= 1
        if self.left == 0 and self.before:
            await self._end()
        result = await super().txn(txn)
        if self.left == 0:
            await self._end()
        return result

    async def _end(self) -> None:
        self.ended.set()
        await asyncio.Event().wait()


async def _rolling(field: Field) -> Past:
    """A story with creation, replacement, growth and removal; its last deployment."""
    bounds = strategy(0.5, 0.25)
    first = await field.put(
        app("/a", instances=2, upgrade_strategy=bounds), app("/b", dependencies=("/a",))
    )
    await field.ended(first.id)
    asked = await field.put(app("/a", "other", instances=3, upgrade_strategy=bounds))
    await field.ended(asked.id)
    gone = await field.put(app("/b", "other"), app("/c"))
    past = await field.ended(gone.id)
    assert past.outcome == "success"
    assert [len(field.running(name)) for name in ("/a", "/b", "/c")] == [3, 1, 1]
    assert versions_of(field.members("/a")) == {asked.version}
    assert versions_of(field.members("/b")) == {gone.version}
    assert len(field.world.units) == len(field.look().instances) == 5
    assert field.tree.deployments == {}
    return past


def _writes_of_a_driver() -> int:
    """How many writes a driver makes in the story when nothing goes wrong."""
    count = 0

    class Counted(MemoryKeyValues):
        async def txn(self, txn: Txn) -> TxnResult:
            nonlocal count
            count += 1
            return await super().txn(txn)

    async def story(field: Field) -> None:
        await field.driver.kill()
        field.driver.kv = Counted(field.etcd)
        field.driver.start()
        await _rolling(field)

    on_field(story)
    return count


def test_a_driver_may_die_before_or_after_any_of_its_writes() -> None:
    writes = _writes_of_a_driver()
    deaths = [
        on_field(partial(_dies, number, before=before))
        for number in range(1, writes + 1)
        for before in (True, False)
    ]
    assert sum(deaths) > writes


async def _dies(number: int, field: Field, *, before: bool) -> bool:
    """The story with a driver that dies at a write; True when it came to that."""
    await field.driver.kill()
    mortal = Mortal(field, number, before=before)
    field.driver.kv = mortal
    field.driver.start()

    async def replace() -> None:
        await mortal.ended.wait()
        await field.driver.kill()
        field.driver.kv = field.etcd.client()
        field.driver.start()

    replacing = asyncio.create_task(replace())
    try:
        await _rolling(field)
    finally:
        replacing.cancel()
    return mortal.ended.is_set()


@pytest.mark.parametrize("fault", ["unheard", "unsent"])
def test_a_write_may_stay_without_an_answer(fault: str) -> None:
    async def story(field: Field) -> None:
        async def disturb() -> None:
            while True:
                setattr(field.driver.kv.faults, fault, 1)
                await field.clock.sleep(0.3)

        disturbing = asyncio.create_task(disturb())
        try:
            await _rolling(field)
        finally:
            disturbing.cancel()

    on_field(story)


def test_two_drivers_at_once_do_what_one_does() -> None:
    async def story(field: Field) -> None:
        other = Process(field, plain_text)
        other.start()
        try:
            watch = field.watch("/a")
            await _rolling(field)
            assert watch.high <= 4, "no more are ever made than one driver makes"
        finally:
            await other.kill()

    on_field(story)


def test_a_bulk_request_that_dies_after_its_deployment_is_carried_out_whole() -> None:
    names = [f"/many/app{number}" for number in range(100)]

    async def story(field: Field) -> None:
        await field.driver.kill()
        kv = Mortal(field, 2, before=True)
        terms = Terms(field.name(), field.clock.now())
        draft = set_apps(field.look(), [app(name, cpus=0.1) for name in names])
        proposal = propose(field.tree, draft, terms)
        store = LiveStore(kv, "/field", clock=field.clock)
        async with store.observe() as reader:
            await reader.reached(field.world.revision)
            asking = asyncio.create_task(store.commit(proposal.changes, reader.world))
            await field.until(kv.ended.is_set)
            asking.cancel()
        assert terms.id in field.look().deployments
        assert set(field.tree.apps) == set(names)
        assert len(field.tree.stored) < 100
        field.driver.start()
        assert (await field.ended(terms.id, 600.0)).outcome == "success"
        assert set(field.look().stored) == set(names)

    on_field(story)


def test_the_same_request_asked_twice_makes_one_deployment() -> None:
    async def story(field: Field) -> None:
        ours = Terms(field.name(), field.clock.now())
        for _ in range(2):
            proposal = propose(field.look(), set_apps(field.tree, [app("/web")]), ours)
            revision = await field.store.commit(proposal.changes, field.world)
            await field.reader.reached(revision)
        assert list(field.look().deployments) == [ours.id]
        await field.ended(ours.id)
        again = propose(field.look(), set_apps(field.tree, [app("/web")]), ours)
        assert again.changes == ()
        assert again.id == ours.id

    on_field(story)


def test_two_who_ask_for_the_same_app_at_once_cannot_both_have_it() -> None:
    async def story(field: Field) -> None:
        one = propose(field.look(), set_apps(field.tree, [app("/web", "one")]), _terms(field))
        two = propose(field.look(), set_apps(field.tree, [app("/web", "two")]), _terms(field))
        await field.store.commit(one.changes, field.world)
        with pytest.raises((Conflict, OutcomeUnknown)):
            await field.store.commit(two.changes, field.world)

    on_field(story)


def _terms(field: Field) -> Terms:
    return Terms(field.name(), field.clock.now())


def test_undoing_after_the_drivers_death_leaves_what_was() -> None:
    async def story(field: Field) -> None:
        await field.ended((await field.put(app("/web", instances=2))).id)
        await field.driver.kill()
        asked = await field.put(app("/web", "other", instances=4))
        back = await field.ask(lambda tree: undo(tree, asked.id), force=True)
        field.driver.start()
        await field.ended(back.id)
        assert len(field.running("/web")) == 2
        assert field.look().apps["/web"].cmd == "run"

    on_field(story)
