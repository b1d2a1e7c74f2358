"""A machine in the simulation that runs the real agent, over a systemd in memory.

Its PID 1 and the directory below /run outlive the agent, and end with the machine. It has no
exclusive units: the systemd in memory has no watchdog, so nothing would fence them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fleetish.agent.base import ObservedUnit
from fleetish.agent.run import run_agent
from fleetish.agent.settings import AgentSettings
from fleetish.sim.host import Host
from fleetish.sim.judge import JudgedEtcd
from fleetish.store.live import LiveStore
from fleetish.testing.systemd import FakeSystemd
from fleetish.units.xfleet import Class


class JudgedSystemd(FakeSystemd):
    """Tells the judge when a unit begins and ends."""

    def __init__(self, etcd: JudgedEtcd, machine: str) -> None:
        super().__init__(etcd.clock.now)
        self._etcd = etcd
        self._machine = machine

    def _keep(self, unit: ObservedUnit) -> None:
        super()._keep(unit)
        on = self._machine in self._etcd.alive.get(unit.name, ())
        if unit.alive and not on and not unit.name.endswith(".slice"):
            self._etcd.starts(unit.name, self._machine, Class.SHARED)
        elif on and not unit.alive:
            self._etcd.ends(unit.name, self._machine)

    def power_cut(self) -> None:
        """All that ran is gone."""
        for unit in self._units.values():
            if self._machine in self._etcd.alive.get(unit.name, ()):
                self._etcd.ends(unit.name, self._machine)


class AgentHost(Host):
    """:class:`fleetish.sim.host.Host` with the real agent; ``directory`` is its /run/fleetish."""

    directory: Path
    systemd: JudgedSystemd

    def boot(self) -> None:
        """Power on, with a new PID 1 and an empty /run."""
        self.up = True
        self.boots += 1
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.systemd = JudgedSystemd(self.etcd, self.id)
        self.start_agent()

    async def power_cut(self) -> None:
        """Everything on the machine is gone at once."""
        if self.up:
            self.up = False
            await self.kill_agent()
            self.systemd.power_cut()

    async def _run(self) -> None:
        store = LiveStore(self.kv, self.prefix, clock=self.clock)
        settings = AgentSettings(
            cluster="sim",
            prefix=self.prefix,
            machine_ttl=self.ttl,
            machine_id=self.id,
            metadata=self.machine.metadata,
            address="127.0.0.1",
            cpus=self.machine.capacity.millicpus / 1000,
            memory=self.machine.capacity.memory,
            disk=self.machine.capacity.disk,
            ports=self.machine.ports,
            run_directory=self.directory,
        )
        await run_agent(store, self.kv, self.systemd, self.clock, settings)
