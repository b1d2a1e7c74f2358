"""What the handlers of Marathon's API share: the world, what is answered of it, one way to change.

1. Reads are answered from this node's own observation, brought up to date for each request. It is
   opened when somebody asks, and closed when for some minutes nobody has.
2. A change is planned over the newest tree, committed, and answered when this node's world shows
   it; so whoever asks next finds the deployment.
3. A change keeps its id over all attempts: what a lost answer left open is not done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

from starlette.requests import Request

from fleetish.api.ledger import Ledger
from fleetish.api.wishes import Asked
from fleetish.changes import Change
from fleetish.clock import Clock
from fleetish.config import Config
from fleetish.errors import StoreUnavailable
from fleetish.store.base import KeyValues, Observed, Store
from fleetish.world import World
from marathon_compat.apps.clash import checked
from marathon_compat.apps.deploy import Proposal, Terms, propose
from marathon_compat.apps.edits import Draft
from marathon_compat.apps.embed import flag, seconds
from marathon_compat.apps.event_hub import EventHub
from marathon_compat.apps.tree import Tree
from marathon_compat.apps.view import Views

T = TypeVar("T")

#: Seconds that a change may take: of one app, and of a thousand, which is several transactions.
PATIENCE, LONG_PATIENCE = 1.8, 20.0
#: Seconds: that a request waits for the first look at the cluster; without a question after which
#: nothing is looked at any more.
OPENING, IDLE = 1.8, 180.0
#: Apps that are made ready before other tasks have their turn.
PIECE = 32


@dataclass(frozen=True, slots=True)
class Here:
    """This node: its machine's id, its host name, the port on which it speaks Marathon's API, and
    when it was ``started`` (seconds since the epoch)."""

    machine: str = ""
    host: str = ""
    port: int = 8080
    started: float = 0.0


class Face:
    """Reads and changes of Marathon's tree. :meth:`run` must run beside the handlers."""

    def __init__(
        self,
        store: Store,
        kv: KeyValues,
        clock: Clock,
        config: Config,
        here: Here,
        names: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self.kv = kv
        self.clock = clock
        self.config = config
        self.here = here
        self.views = Views()
        self.ledger = Ledger(store, clock)
        self.events = EventHub(kv, config.prefix, clock, self._reached)
        self._store = store
        self._names = names
        self._asked = asyncio.Event()
        self._used = clock.monotonic()
        self._opened: asyncio.Future[Observed] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Look at the cluster while somebody asks; for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ledger.run(), name="ledger")
            group.create_task(self.events.run(), name="marathon's events")
            while True:
                await self._asked.wait()
                self._asked.clear()
                await self._observe()

    async def _observe(self) -> None:
        async with self._store.observe() as observed:
            self._opened.set_result(observed)
            try:
                while self.clock.monotonic() - self._used < IDLE:
                    await self.clock.sleep(IDLE / 4)
            finally:
                self._opened = asyncio.get_running_loop().create_future()
                self.views = Views()

    def close(self) -> None:
        """End every stream."""
        self.ledger.feed.close()
        self.events.close()

    async def _reached(self, revision: int) -> None:
        """Wait, but not for long, until answers hold all that was written up to a revision; whoever
        asks while nothing is observed gets the newest anyway."""
        if self._opened.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(OPENING):
                    await self._opened.result().reached(revision)

    async def look(self) -> Views:
        """What is answered now. Raises StoreUnavailable before the first look succeeds."""
        self._used = self.clock.monotonic()
        if not self._opened.done():
            self._asked.set()
        try:
            async with asyncio.timeout(OPENING):
                observed = await asyncio.shield(self._opened)
        except TimeoutError:
            raise StoreUnavailable("cannot read the cluster: etcd does not answer") from None
        self.views.take(observed.world, await observed.changed(0))
        return self.views

    async def prepared(self, parts: frozenset[str]) -> Views:
        """As :meth:`look`, with all apps made ready a few at a time: after a start that is much
        work, and the loop also holds leases."""
        views, now = await self.look(), self.clock.now()
        for at, name in enumerate(views.names()):
            if at % PIECE == PIECE - 1:
                await asyncio.sleep(0)
            if name in views.tree.apps:
                views.app(name, parts - {"taskStats"}, now)
        return await self.look()

    async def change(
        self,
        request: Request,
        draft: Callable[[Tree], Draft],
        *,
        force: bool | None = None,
        patience: float = PATIENCE,
    ) -> Proposal:
        """Start the deployment that makes what ``draft`` asks of the newest tree. Raises what it,
        the planner and the store do."""
        terms = self.terms(request, force)
        proposed: list[Proposal] = []

        def plan(tree: Tree, _: World) -> tuple[Change, ...]:
            known = terms.id in tree.deployments or terms.id in tree.history
            wanted = Draft() if known else checked(tree, draft(tree))
            proposed[:] = [propose(tree, wanted, terms)]
            return proposed[0].changes

        await self.write(plan, patience)
        return proposed[0]

    async def write(
        self, plan: Callable[[Tree, World], Iterable[Change]], patience: float = PATIENCE
    ) -> None:
        """Commit what ``plan`` makes of the newest tree, within ``patience`` (seconds)."""

        def asked(world: World) -> Asked:
            self.views.sync(world)
            return Asked(tuple(plan(self.views.tree, world)), ())

        await self.ledger.write(asked, patience)
        await self.look()

    def terms(self, request: Request, force: bool | None = None) -> Terms:
        """Who asks for a change, under which id, and when. ``force``: else what the query says.

        Raises BadBody for a ``deadlineSeconds`` that is no time."""
        return Terms(
            id=self._names(),
            now=self.clock.now(),
            force=flag(request.query_params, "force") if force is None else force,
            deadline=seconds(request.query_params, "deadlineSeconds"),
            rollback=flag(request.query_params, "rollback", default=True),
            client=request.client.host if request.client else "",
            uri=str(request.scope["path"]),
        )

    def known_leader(self) -> str:
        """As :meth:`leader`, as far as it is known without asking."""
        return self.leader(self.views.world)

    def leads(self, world: World) -> bool:
        """True while the elected engine is this machine's."""
        return world.leader is not None and world.leader.machine == self.here.machine

    def leader(self, world: World) -> str:
        """The leader's ``host:port``; "" while there is none. Every node answers alike, and listens
        on the same port as far as this one knows."""
        return f"{world.leader.host}:{self.here.port}" if world.leader else ""
