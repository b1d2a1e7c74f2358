"""The agent from outside: reads the machine, registers it, runs the loop, registers it again."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial

from fleetish.agent import facts
from fleetish.agent.base import Figures, Systemd
from fleetish.agent.facts import Facts
from fleetish.agent.figures import CgroupFigures
from fleetish.agent.loop import Agent
from fleetish.agent.settings import AgentSettings
from fleetish.clock import Clock
from fleetish.errors import Conflict
from fleetish.store.base import KeyValues, Observed, Store
from fleetish.store.lease import Presence, presence

log = logging.getLogger(__name__)

#: Seconds until a machine whose id another live host uses tries to register again.
CONFLICT_PAUSE = 5.0


async def run_agent(
    store: Store,
    kv: KeyValues,
    systemd: Systemd,
    clock: Clock,
    settings: AgentSettings,
    registered: Callable[[bool], None] = lambda _: None,
) -> None:
    """Be this machine's agent, for ever. Being cancelled stops no unit and keeps the registration.

    ``kv`` is what the lease is kept on; ``registered`` is told when it is held and when no longer.
    Raises BadConfig where the machine has no machine id.
    """
    machine = settings.machine_id or facts.machine_id()
    async with asyncio.TaskGroup() as group:
        group.create_task(systemd.run(), name="systemd")
        await systemd.ready()
        async with AsyncExitStack() as stack:
            observe = partial(stack.enter_async_context, store.observe(machine))
            registrar = _Registrar(store, kv, systemd, clock, settings, observe, group, registered)
            await registrar.run()


def cgroup_figures(settings: AgentSettings) -> CgroupFigures:
    """The reader of the figures of this manager's units."""
    uid = os.getuid()
    below = f"user.slice/user-{uid}.slice/user@{uid}.service" if settings.user else ""
    return CgroupFigures(base=below)


def live_figures(systemd: Systemd, source: CgroupFigures) -> dict[str, Figures]:
    """What each running unit of this machine uses now."""
    return {
        name: source.read(name, unit.slice)
        for name, unit in sorted(systemd.units.items())
        if unit.alive
    }


class _Registrar:
    """Holds the machine's registration, and the agent that works under it."""

    def __init__(
        self,
        store: Store,
        kv: KeyValues,
        systemd: Systemd,
        clock: Clock,
        settings: AgentSettings,
        observe: Callable[[], Awaitable[Observed]],
        group: asyncio.TaskGroup,
        registered: Callable[[bool], None],
    ) -> None:
        self._store = store
        self._kv = kv
        self._systemd = systemd
        self._clock = clock
        self._settings = settings
        self._observe = observe
        self._group = group
        self._registered = registered
        self._agent: Agent | None = None
        self._last: tuple[float, float] | None = None

    async def run(self) -> None:
        """Register, again whenever the registration was lost."""
        while True:
            found = facts.read(self._settings)
            version = await self._systemd.version()
            machine = facts.machine(found, self._settings, version, self._clock.now())
            ttl = round(self._settings.machine_ttl)
            held = presence(
                self._kv, self._settings.prefix, machine, ttl, self._clock, renewed=self._renewed
            )
            try:
                async with held as present:
                    self._registered(True)
                    await self._present(present, found)
            except Conflict as error:
                self._registered(False)
                log.error("%s", error)
                await self._clock.sleep(CONFLICT_PAUSE)

    def _renewed(self, sent: float, answered: float) -> None:
        self._last = (sent, answered)
        if self._agent is not None:
            self._agent.renewed(sent, answered)

    async def _present(self, present: Presence, found: Facts) -> None:
        """Work until the registration is lost; begin with all that was assigned before it."""
        log.info("machine %s is registered", found.machine_id)
        agent = self._agent or self._begin(found, await self._observe())
        await agent.enter(present.guard, present.revision)
        if self._last is not None:
            agent.renewed(*self._last)
        await _first(present.lost.wait(), agent.publisher.refused.wait())
        agent.leave()
        self._registered(False)
        log.warning("the registration of machine %s is lost; registering anew", found.machine_id)

    def _begin(self, found: Facts, observed: Observed) -> Agent:
        self._agent = agent = Agent(
            self._store,
            observed,
            self._systemd,
            self._clock,
            self._settings,
            found,
            facts.context(found, self._settings),
            cgroup_figures(self._settings),
        )
        self._group.create_task(agent.run(), name="agent")
        return agent


async def _first(*waits: Coroutine[None, None, object]) -> None:
    """Wait for whichever comes first."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
