"""The real engine beside a cluster in memory, and machines that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleetish.changes import PublishState
from fleetish.clock import SystemClock
from fleetish.engine.leader import EngineSettings
from fleetish.engine.loop import run_engine
from fleetish.errors import Conflict
from fleetish.model import Assignment, Target, UnitState
from tests.api.cluster import Cluster

#: How a unit with a text ends on a machine; "" for active.
Ends = Callable[[Assignment], str]


@contextmanager
def engine(cluster: Cluster, ends: Ends = lambda held: "") -> Iterator[None]:
    """As long as the block lasts an engine leads, and every registered machine obeys."""
    settings = EngineSettings(machine="m", host="m")
    kv = cluster.etcd.client()
    running = [
        asyncio.run_coroutine_threadsafe(work, cluster._loop)
        for work in (
            run_engine(cluster.store, kv, SystemClock(), settings),
            obey(cluster, ends),
        )
    ]
    try:
        yield
    finally:
        for one in running:
            one.cancel()


async def obey(cluster: Cluster, ends: Ends) -> None:
    """Answer every assignment with a state, at once."""
    async with cluster.store.observe() as seen:
        while True:
            await seen.changed(5)
            for on in [*seen.world.machines]:
                for held in [*seen.world.assignments(on).values()]:
                    state = seen.world.state(held.unit, on)
                    if state is not None and state.seen == held.generation:
                        continue
                    try:
                        fresh = PublishState(answer(held, ends(held)), "changed")
                        await cluster.store.commit([fresh], seen.world)
                    except Conflict:
                        pass


def answer(held: Assignment, ended: str) -> UnitState:
    """What a machine says of an assignment that it has carried out."""
    launched = held.target is Target.LAUNCHED
    word = "failed" if ended else "active"
    return UnitState(
        unit=held.unit,
        machine=held.machine,
        hash=held.hash,
        load="loaded",
        active=word if launched else "inactive",
        sub="running" if word == "active" and launched else "dead",
        result=ended if launched else "",
        invocation=f"{held.hash}{held.launch}" if launched else "",
        launch=held.launch,
        seen=held.generation,
    )
