"""A cluster in memory for tests of faces: the store, the API on a real socket, stories of agents.

The API is the production application over the production store code; only etcd is in memory. What
an engine and agents would write is written here by the same changes that they use.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

import msgspec
from starlette.routing import Route

from fleetish.api.app import create_app
from fleetish.api.ledger import Ledger
from fleetish.api.server import open_sockets, serve
from fleetish.changes import Assign, Change, PublishState, Refresh, Release, Unassign
from fleetish.client import Client
from fleetish.clock import SystemClock
from fleetish.model import Assignment, Leader, Machine, Target, Unit, UnitState
from fleetish.resources import MIB, Resources
from fleetish.store.base import Put, Txn
from fleetish.store.codec import encode
from fleetish.store.keys import Keys
from fleetish.store.live import LiveStore
from fleetish.store.memory import MemoryEtcd
from fleetish.world import World

T = TypeVar("T")

SERVICE = "[Unit]\nDescription=A test\n[Service]\nExecStart=/bin/sleep 60\n"
A, B = "a" * 32, "b" * 32


def machine(id_: str = A, host: str = "node1", endpoint: str = "", **metadata: str) -> Machine:
    """A machine with 2 cores and 4 GiB."""
    return Machine(
        id=id_,
        host=host,
        address=f"10.0.0.{host[-1]}",
        endpoint=endpoint,
        metadata={"host": host, **metadata},
        capacity=Resources(2000, 4096 * MIB, 0),
        since=1.0,
    )


class Cluster:
    """What a test does to the cluster; every method waits until it is written."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.etcd = MemoryEtcd(SystemClock())
        self.kv = self.etcd.client()
        self.store = LiveStore(self.kv)
        self.keys = Keys("/fleetish/v1")
        self.ledger = Ledger(self.store, SystemClock())
        self.url = ""
        self.registered = True

    def call(self, work: Any) -> Any:
        """Run a coroutine where the server runs."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(20)

    def client(self) -> Client:
        """A client of the API."""
        return Client(self.url)

    def put(self, *records: Any, lease: int = 0) -> None:
        """Write records as they are, as their owners would."""
        from fleetish.world import ident

        puts = tuple(Put(self.keys.key(ident(one)), encode(one), lease) for one in records)
        self.call(self.kv.txn(Txn((), puts)))

    def garbage(self, where: tuple[str, ...], value: bytes = b"{") -> None:
        """Write a value that nobody can read."""
        self.call(self.kv.txn(Txn((), (Put(self.keys.key(where), value),))))

    def register(self, one: Machine) -> None:
        """A machine appears."""
        self.put(one)

    def lose(self, id_: str) -> None:
        """A machine's lease ends."""
        from fleetish.store.base import Delete

        self.call(self.kv.txn(Txn((), (Delete(self.keys.key(("machines", id_))),))))

    def commit(self, *changes: Change) -> None:
        """Commit changes as an engine or agent would, over the newest world."""

        async def work() -> None:
            async with self.store.observe() as seen:
                await self.store.commit(changes, seen.world)

        self.call(work())

    def place(self, unit: str, on: str = A) -> None:
        """The engine assigns a unit."""
        self.commit(Assign(unit, on, (), reason="least loaded of 1 that fit"))

    def refresh(self, unit: str, on: str = A) -> None:
        """The engine tells the machine what is wanted now."""
        self.commit(Refresh(unit, on, reason="wanted otherwise"))

    def release(self, unit: str, on: str = A) -> None:
        """The engine asks the machine to stop a unit."""
        self.commit(Release(unit, on, reason="not wanted"))

    def unassign(self, unit: str, on: str = A) -> None:
        """The engine takes a stopped unit off a machine."""
        self.commit(Unassign(unit, on, reason="stopped"))

    def publish(self, unit: str, active: str = "active", sub: str = "running", **more: Any) -> None:
        """The agent reports a state that answers the assignment."""
        on = more.pop("machine", A)

        async def work() -> None:
            async with self.store.observe() as seen:
                held = seen.world.assignment(unit, on)
                assert held is not None
                state = UnitState(
                    unit=unit,
                    machine=on,
                    hash=held.hash,
                    load="loaded",
                    active=active,
                    sub=sub,
                    seen=held.generation,
                    **{"launch": held.launch, "invocation": "i1", **more},
                )
                await self.store.commit([PublishState(state, "changed")], seen.world)

        self.call(work())

    def run(self, unit: str, on: str = A) -> None:
        """Engine and agent make a launched unit active."""
        self.place(unit, on)
        self.publish(unit, machine=on)

    @contextmanager
    def obeyed(self, *ends: tuple[str, str, str]) -> Iterator[None]:
        """As long as the block lasts, units are placed on the machine A and do what is wanted.

        ``ends`` are (unit, active, sub) of units that end otherwise than active and running.
        """
        served = asyncio.run_coroutine_threadsafe(
            self._obey({e[0]: e[1:] for e in ends}), self._loop
        )
        try:
            yield
        finally:
            served.cancel()

    async def _obey(self, ends: dict[str, tuple[str, str]]) -> None:
        async with self.store.observe() as seen:
            while True:
                await seen.changed(5)
                world = seen.world
                for step in (wanted_of_engine, answers_of_agent):
                    for change in step(world, ends):
                        await seen.reached(await self.store.commit([change], world))

    def listening(self) -> None:
        """Wait until somebody listens to the API's events."""
        self.call(self.ledger.feed.joined.wait())

    def lead(self, machine_: str = A, host: str = "node1") -> None:
        """An engine is elected."""
        self.put(Leader(machine=machine_, host=host, since=1.0))

    def target(self, unit: str) -> Target:
        """What is stored as wanted."""

        async def work() -> Target:
            async with self.store.observe() as seen:
                return seen.world.units[unit].target

        found = self.call(work())
        assert isinstance(found, Target)
        return found


def wanted_of_engine(world: World, _: dict[str, tuple[str, str]]) -> Iterator[Change]:
    """What the engine would do, for one machine with room for all."""
    for name, unit in list(world.units.items()):
        held = world.assignment(name, A)
        if held is None and unit.target is not Target.INACTIVE:
            yield Assign(name, A, (), reason="only machine that fits")
        elif held is not None and unit.target is not Target.INACTIVE and _differs(held, unit):
            yield Refresh(name, A, reason="wanted otherwise")
    for name, placement in list(world.placements.items()):
        known = world.units.get(name)
        if (known is None or known.target is Target.INACTIVE) and not placement.leaving:
            yield Release(name, A, reason="not wanted")
        held, state = world.assignment(name, A), world.state(name, A)
        if placement.leaving and held and state and state.seen == held.generation:
            yield Unassign(name, A, reason="stopped")


def _differs(held: Assignment, unit: Unit) -> bool:
    return (held.target, held.hash, held.launch) != (unit.target, unit.hash, unit.launch)


def answers_of_agent(world: World, ends: dict[str, tuple[str, str]]) -> Iterator[Change]:
    """What the machine's agent would report."""
    for name, held in list(world.assignments(A).items()):
        state = world.state(name, A)
        if state is not None and state.seen == held.generation:
            continue
        active, sub = "inactive", "dead"
        if held.target is Target.LAUNCHED:
            active, sub = ends.get(name, ("active", "running"))
        told = UnitState(
            unit=name,
            machine=A,
            hash=held.hash,
            load="loaded",
            active=active,
            sub=sub,
            result="exit-code" if active == "failed" else "success",
            exit_status=1 if active == "failed" else 0,
            invocation="i1" if held.target is Target.LAUNCHED else "",
            launch=held.launch,
            seen=held.generation,
        )
        yield PublishState(told, reason="changed")


@contextmanager
def running(
    local: Sequence[Route] = (), listen: Sequence[str] = (), *, registered: bool = True
) -> Iterator[Cluster]:
    """A cluster whose API answers on a free port of loopback, and at ``listen``; on a machine that
    is ``registered``."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    cluster = asyncio.run_coroutine_threadsafe(_made(loop), loop).result(10)
    sockets = open_sockets(["127.0.0.1:0", *listen])
    cluster.url = _url(sockets[0])
    cluster.registered = registered
    serving = asyncio.run_coroutine_threadsafe(_serve(cluster, sockets, local), loop)
    try:
        yield cluster
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        asyncio.run_coroutine_threadsafe(_finished(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _made(loop: asyncio.AbstractEventLoop) -> Cluster:
    return Cluster(loop)


async def _finished() -> None:
    """Wait until every other task of the loop has ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(others, timeout=8) if others else None


async def _serve(cluster: Cluster, sockets: list[socket.socket], local: Sequence[Route]) -> None:
    app = create_app(cluster.ledger, local, registered=lambda: cluster.registered)
    async with asyncio.TaskGroup() as group:
        group.create_task(cluster.ledger.run())
        group.create_task(serve(app, sockets, cluster.ledger.feed.close))


def _url(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


def plain(value: Any) -> Any:
    """A struct as JSON would have it, for comparisons."""
    return msgspec.to_builtins(value)
