"""The store in memory answers what real etcd answers, to whatever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetish.store.base import Compacted, Compare, Delete, Event, KeyValues, Put, Txn
from fleetish.store.etcd import EtcdKeyValues, open_store
from fleetish.store.memory import MemoryEtcd
from tests.contract.members import Members

pytestmark = pytest.mark.etcd

NAMES = st.sampled_from(["a", "b", "c", "d/e"])


class Write(NamedTuple):
    """A transaction; compared revisions count from the start of the example."""

    compares: list[tuple[str, Any, Any, int]]
    puts: dict[str, tuple[bytes, bool]]
    deletes: set[str]


class List(NamedTuple):
    back: int


class Compact(NamedTuple):
    back: int


class EndLease(NamedTuple):
    pass


STEPS = st.lists(
    st.builds(
        Write,
        st.lists(
            st.tuples(NAMES, st.sampled_from(["create", "mod"]),
                      st.sampled_from(["=", "!=", ">", "<"]), st.integers(0, 8)), max_size=2,
        ),
        st.dictionaries(NAMES, st.tuples(st.binary(max_size=3), st.booleans()), max_size=3),
        st.sets(NAMES, max_size=2),
    )
    | st.builds(List, st.integers(0, 3)) | st.builds(Compact, st.integers(0, 3))
    | st.builds(EndLease),
    max_size=15,
)  # fmt: skip


@dataclass
class Subject:
    """A store that the steps are done on; all answers are told relative to where it began."""

    kv: KeyValues
    prefix: str
    base: int = 0
    last: int = 0
    lease: int = 0
    oldest: int = 0
    answers: list[Any] = field(default_factory=list)

    async def begin(self) -> None:
        start = await self.kv.txn(Txn((), (Put("/start", b""),)))
        self.base = self.last = self.oldest = start.revision
        self.lease = await self.kv.grant(600)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def _relative(self, key: str, create: int, mod: int, lease: int) -> tuple[Any, ...]:
        at = (create - self.base if create else None, mod - self.base)
        return (key.removeprefix(self.prefix), *at, bool(lease))

    async def do(self, step: Write | List | Compact | EndLease) -> None:
        try:
            self.answers.append(await self._answer(step))
        except Compacted:
            self.answers.append("compacted")

    async def _answer(self, step: Write | List | Compact | EndLease) -> Any:
        match step:
            case Write():
                return await self._write(step)
            case List(back):
                listing = await self.kv.list(self.prefix, revision=max(self.last - back, self.base))
                return [
                    (*self._relative(item.key, item.create, item.mod, item.lease), item.value)
                    for item in listing.items
                ]
            case Compact(back):
                revision = max(self.last - back, self.base)
                await self.kv.compact(revision)
                self.oldest = max(self.oldest, revision)
                return "done"
            case EndLease():
                await self.kv.revoke(self.lease)
                self.lease = await self.kv.grant(600)
                self.last = (await self.kv.list(self.prefix)).revision
                return self.last - self.base

    async def _write(self, step: Write) -> Any:
        compares = tuple(
            Compare(self._key(name), kind, op, number + self.base if number else 0)
            for name, kind, op, number in step.compares
        )
        puts = [
            Put(self._key(name), value, self.lease if leased else 0)
            for name, (value, leased) in sorted(step.puts.items())
        ]
        deletes = [Delete(self._key(name)) for name in sorted(step.deletes - set(step.puts))]
        witness = tuple(dict.fromkeys(compare.key for compare in compares))
        result = await self.kv.txn(Txn(compares, (*puts, *deletes), witness))
        self.last = result.revision
        read = [self._relative(i.key, i.create, i.mod, i.lease) for i in result.read]
        return result.done, result.revision - self.base, read

    async def history(self) -> list[Any]:
        """All that a watch tells after the oldest revision that is left; of deletions at that one
        etcd tells only until it has done the compaction."""
        end = (await self.kv.txn(Txn((), (Put(self._key("end"), b""),)))).revision
        found: list[Event] = []
        async with aclosing(self.kv.watch(self.prefix, self.oldest + 1)) as batches:
            async for batch in batches:
                found += batch.events
                if batch.revision >= end:
                    break
        told = [
            (*self._relative(event.key, event.create, event.mod, event.lease), event.value)
            for event in found
        ]
        return sorted(told, key=lambda row: (row[2], row[0]))


@pytest.fixture(scope="module")
def etcd(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[asyncio.Runner, EtcdKeyValues]]:
    members = Members(tmp_path_factory.mktemp("etcd"), 1)
    with asyncio.Runner() as runner:
        members.start(0)
        runner.run(members.ready())

        async def opened() -> EtcdKeyValues:
            return open_store(members.urls)

        kv = runner.run(opened())
        yield runner, kv
        runner.run(kv.close())
        runner.run(members.end())


COUNT = iter(range(1_000_000))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(steps=STEPS)
def test_memory_answers_as_etcd_does(
    etcd: tuple[asyncio.Runner, EtcdKeyValues], steps: list[Write | List | Compact | EndLease]
) -> None:
    runner, real = etcd

    async def body() -> None:
        memory = Subject(MemoryEtcd().client(), "/t")
        truth = Subject(real, f"/t{next(COUNT)}x")
        for subject in (memory, truth):
            await subject.begin()
            for step in steps:
                await subject.do(step)
        assert memory.answers == truth.answers
        assert await memory.history() == await truth.history()

    runner.run(body())
