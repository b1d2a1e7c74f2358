"""The agent over a real systemd, with an etcd in memory. Run by tests/lab on a lab host."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec

from fleetish.agent import guard
from fleetish.agent.base import JournalQuery
from fleetish.agent.journal import SystemJournal
from fleetish.agent.run import cgroup_figures, live_figures
from fleetish.agent.systemd import SystemdBus
from fleetish.model import Target, UnitState
from fleetish.resources import Resources
from fleetish.testing.systemd import FakeSystemd
from fleetish.units.xfleet import Class, Requirements
from tests.agent.rig import MACHINE, SLEEP, Rig

EXCLUSIVE = Requirements(klass=Class.EXCLUSIVE)


def tell(directory: Path, story: Callable[[Rig], Awaitable[None]]) -> None:
    """Run a story over systemd; what it left assigned is stopped at the end."""

    async def run() -> None:
        async with asyncio.timeout(60):
            rig = Rig(directory)
            fresh(rig)
            try:
                await story(rig)
            finally:
                listed = rig.etcd.below(f"{rig.store.keys.root}assigned/", rig.etcd.revision)
                await rig.drop(*(("assigned", MACHINE, one.key.split("/")[-1]) for one in listed))
                fresh(rig)
                async with rig.agent():
                    await gone(rig)

    asyncio.run(run())


def fresh(rig: Rig) -> None:
    """Another connection, as a restarted agent has."""
    rig.systemd = cast(FakeSystemd, SystemdBus("t", rig.clock))


async def gone(rig: Rig) -> None:
    await rig.systemd.ready()
    while set(rig.systemd.units) - {guard.NAME}:
        await rig.systemd.relist()
        await asyncio.sleep(0.05)


async def dead(rig: Rig, name: str) -> None:
    """Wait until a unit is no longer alive; the agent reads the changes, so look now and then."""
    for _ in range(400):
        if not rig.systemd.units[name].alive:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} is alive")


def running(command: str) -> str:
    """The ids of processes of a command."""
    found = subprocess.run(["pgrep", "-x", command], capture_output=True, text=True, check=False)
    return found.stdout


def show(unit: str, name: str) -> str:
    command = ["systemctl", "show", "--value", "-p", name, unit]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_hundred_units_keep_their_processes_when_the_agent_is_restarted(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        names = [f"many@{at}.service" for at in range(100)]
        async with rig.agent():
            for name in names:
                await rig.assign(name)
            first = [await rig.active(name) for name in names]
        fresh(rig)
        async with rig.agent():
            for name in names:
                await rig.assign(name, generation=2)
            second = [await rig.state(name, lambda state: state.seen == 2) for name in names]
        assert [one.main_pid for one in first] == [one.main_pid for one in second]
        assert [one.invocation for one in first] == [one.invocation for one in second]

    tell(tmp_path, story)


def test_limits_bite_and_figures_are_those_of_the_cgroup(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        eat = "[Service]\nExecStart=/bin/sh -c 'sleep 1; tail /dev/zero'\nMemoryMax=20M\n"
        asked = Requirements(resources=Resources(millicpus=500, memory=20 * 2**20))
        async with rig.agent():
            await rig.assign("lim@1.service", SLEEP + "MemoryMax=20M\n", requirements=asked)
            await rig.active("lim@1.service")
            await rig.assign("lim@2.service", eat, requirements=asked)
            await rig.active("lim@2.service")
            assert show("lim@1.service", "MemoryMax") == str(20 * 2**20)
            assert show("lim@1.service", "CPUWeight") == "50"
            assert show("fleetish-lim.slice", "MemoryMax") == str(40 * 2**20)
            assert show("fleetish-lim.slice", "CPUWeight") == "100"
            used = live_figures(rig.systemd, cgroup_figures(rig.settings))
            assert used["lim@1.service"].memory > 0
            assert used["lim@1.service"].cpu > 0
            state = await rig.active("lim@2.service", "failed")
            assert state.result in ("oom-kill", "signal", "exit-code")

    tell(tmp_path, story)


#: What a daemon-reload may change; all else must be what was asked for.
RELOADED = "ExecStart,Environment,MemoryMax,CPUWeight,CPUQuotaPerSecUSec,Slice,LogExtraFields"


def test_a_daemon_reload_by_somebody_else_changes_nothing(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        text = (
            "[Service]\nExecStart=/bin/sh -c 'exec sleep ${SECONDS_LONG}'\n"
            "Environment=SECONDS_LONG=1000 LIKE=50%%\n"
            "CPUQuota=12.5%\nRestrictNamespaces=yes\nSyslogIdentifier=%i on %H\n"
        )
        async with rig.agent():
            await rig.assign("kept@1.service", text)
            first = await rig.active("kept@1.service")
            since = re.compile(r"start_time=.*")
            shown = f"{RELOADED},RestrictNamespaces,SyslogIdentifier,MainPID,NeedDaemonReload"
            before = since.sub("", show("kept@1.service", shown))
            await asyncio.to_thread(subprocess.run, ["systemctl", "daemon-reload"], check=True)
            assert since.sub("", show("kept@1.service", shown)) == before
            assert show("kept@1.service", "MainPID") == str(first.main_pid)
            assert show("kept@1.service", "NeedDaemonReload") == "no"

    tell(tmp_path, story)


def test_a_unit_of_the_host_is_refused_and_goes_on(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        before = show("dbus.service", "MainPID")
        async with rig.agent():
            await rig.assign("dbus.service")
            state = await rig.state("dbus.service", lambda state: bool(state.error))
            assert "belongs to this host" in state.error
            await rig.assign("dbus.service", target=Target.INACTIVE, generation=2)
            await rig.state("dbus.service", lambda state: state.seen == 2)
        assert show("dbus.service", "MainPID") == before

    tell(tmp_path, story)


def test_a_unit_that_others_refer_to_can_be_started_anew(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("base.service")
            await rig.active("base.service")
            await rig.assign("top.service", "[Unit]\nAfter=base.service\n" + SLEEP)
            top = await rig.active("top.service")
            await rig.assign("base.service", SLEEP + "Nice=5\n", generation=2)
            await rig.state(
                "base.service", lambda state: state.seen == 2 and state.active == "active"
            )
            assert show("base.service", "Nice") == "5"
            assert show("top.service", "MainPID") == str(top.main_pid)

    tell(tmp_path, story)


def test_an_exclusive_unit_dies_without_renewals_and_comes_back_with_them(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        rig.settings = replace(rig.settings, machine_ttl=6.0)
        async with rig.agent():
            await rig.assign("db.service", requirements=EXCLUSIVE)
            first = await rig.active("db.service")
            fed = show(guard.NAME, "WatchdogTimestampMonotonic")
            await asyncio.sleep(4.0)  # longer than the watchdog: it must have been fed
            assert show(guard.NAME, "ActiveState") == "active"
            assert int(show(guard.NAME, "WatchdogTimestampMonotonic")) > int(fed)
            assert show("db.service", "MainPID") == str(first.main_pid)
            rig.agents.faults.cut = True
            rig.etcd.wake()
            cut = rig.clock.monotonic()
            await dead(rig, "db.service")
            assert rig.clock.monotonic() - cut < 6.0, "dead before the lease could be gone"
            rig.agents.faults.cut = False
            rig.etcd.wake()

            def anew(state: UnitState) -> bool:
                return state.active == "active" and state.invocation != first.invocation

            await rig.state("db.service", anew)
            assert show(guard.NAME, "ActiveState") == "active"

    tell(tmp_path, story)


def test_a_guard_is_adopted_with_its_units_by_the_next_agent(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("db.service", requirements=EXCLUSIVE)
            first = await rig.active("db.service")
            pid = show(guard.NAME, "MainPID")
        fresh(rig)
        async with rig.agent():
            await asyncio.sleep(6.0)  # longer than the watchdog
            assert show(guard.NAME, "MainPID") == pid
            assert show("db.service", "MainPID") == str(first.main_pid)

    tell(tmp_path, story)


def test_the_journal_of_a_unit_is_followed_until_the_reader_leaves(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        text = "[Service]\nExecStart=/bin/sh -c 'echo one; sleep 0.5; echo two; sleep 1000'\n"
        journal = SystemJournal()
        async with rig.agent():
            await rig.assign("talk.service", text)
            await rig.active("talk.service")
            found = []
            async with aclosing(
                journal.entries(JournalQuery("talk.service", lines=100, follow=True))
            ) as entries:
                async for entry in entries:
                    message = msgspec.json.decode(entry)
                    if message.get("_COMM") == "sh":
                        found.append((message["MESSAGE"], message["FLEETISH_UNIT"]))
                    if len(found) == 2:
                        break
            assert found == [("one", "talk.service"), ("two", "talk.service")]
            assert "talk.service" in await journal.status("talk.service")
        assert running("journalctl") == ""

    tell(tmp_path, story)
