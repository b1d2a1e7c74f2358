"""What only a real systemd has: connections and reloads. Run by tests/lab on a lab host."""

from __future__ import annotations

import asyncio

from fleetish.agent.base import Systemd
from fleetish.agent.needs import unknown
from fleetish.agent.systemd import SystemdBus
from fleetish.clock import SystemClock
from fleetish.units.file import UnitFile, parse
from fleetish.units.properties import Property, TransientUnit
from fleetish.units.sections import PROPERTIES, TYPE_SECTIONS
from tests.contract.test_systemd import CLUSTER, fresh, start, tell, until


def test_a_second_connection_finds_the_units_that_the_first_started() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        await start(systemd, name, "/bin/sleep", "1000")
        found = await until(systemd, name, "active")
        other = SystemdBus(CLUSTER, SystemClock())
        task = asyncio.create_task(other.run())
        await other.ready()
        assert other.units[name] == found
        task.cancel()

    tell(story)


def test_units_are_followed_through_daemon_reload_reexec_and_a_new_bus() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        await start(systemd, name, "/bin/sleep", "1000")
        found = await until(systemd, name, "active")
        for command in (("daemon-reload",), ("daemon-reexec",), ("restart", "dbus.service")):
            process = await asyncio.create_subprocess_exec("systemctl", *command)
            assert await process.wait() == 0
        await asyncio.sleep(0.2)
        await systemd.ready()
        assert systemd.units[name] == found
        await systemd.kill(name, 9)
        await until(systemd, name, "failed")

    tell(story)


def test_thousands_of_calls_at_once_are_all_answered() -> None:
    async def story(systemd: Systemd) -> None:
        names = [fresh() for _ in range(60)]
        await asyncio.gather(*(start(systemd, name, "/bin/sleep", "1000") for name in names))
        found = await asyncio.gather(*(systemd.inspect(name) for name in names * 40))
        assert {one.active for one in found} == {"active"}
        await asyncio.gather(*(systemd.stop(name) for name in names))

    tell(story)


def test_this_systemd_has_all_that_the_table_can_set() -> None:
    nothing: UnitFile = parse("")

    async def story(systemd: Systemd) -> None:
        for kind, section in TYPE_SECTIONS.items():
            known = await systemd.known(kind)
            rows = {*PROPERTIES["Unit"].values(), *PROPERTIES[section].values()}
            names = {name for row in rows for name, _ in row.properties}
            for name in sorted(names):
                unit = TransientUnit(f"a.{kind}", (Property(name, "s", ""),))
                assert unknown(nothing, unit, known) is None, (kind, name)

    tell(story)
