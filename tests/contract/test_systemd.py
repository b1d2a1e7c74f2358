"""What every Systemd must do, held against the fake here and against a real one on a lab host.

Where PID 1 is systemd, ``FLEETISH_REAL_SYSTEMD=1 pytest tests/contract/test_systemd.py`` runs the
same tests over D-Bus; tests/lab/test_agent_systemd.py does that on a lab host, together
with over_dbus.py, which holds what only the real one has.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from fleetish.agent import observe
from fleetish.agent.base import RUNNING, WITHDRAWN, Labels, ObservedUnit, Systemd
from fleetish.agent.systemd import SystemdBus
from fleetish.clock import SystemClock
from fleetish.errors import SystemdError
from fleetish.testing.systemd import FakeSystemd
from fleetish.units.properties import Property, TransientUnit

REAL = bool(os.environ.get("FLEETISH_REAL_SYSTEMD"))
CLUSTER = "contract"

_numbers = count()

Story = Callable[[Systemd], Awaitable[None]]


def tell(story: Story) -> None:
    """Run a story against the systemd of this run, and stop what it left behind."""

    async def run() -> None:
        systemd: Systemd = SystemdBus(CLUSTER, SystemClock()) if REAL else FakeSystemd()
        task = asyncio.create_task(systemd.run())
        try:
            async with asyncio.timeout(20):
                await systemd.ready()
                await story(systemd)
                for name in list(systemd.units):
                    await systemd.stop(name)
                    await systemd.reset_failed(name)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def fresh(kind: str = "contract") -> str:
    return f"{kind}-{os.getpid()}-{next(_numbers)}.service"


def unit(name: str, *argv: str, **more: str) -> tuple[TransientUnit, Labels]:
    labels = Labels(CLUSTER, name, "f00", 1)
    line = [argv[0], list(argv), False]
    return (
        TransientUnit(
            name,
            (
                Property("ExecStart", "a(sasb)", [line]),
                Property("Slice", "s", "fleetish-contract.slice"),
                Property("LogExtraFields", "aay", observe.extra_fields(labels)),
                *(Property(key, "s", value) for key, value in more.items()),
            ),
        ),
        labels,
    )


async def start(systemd: Systemd, name: str, *argv: str, **more: str) -> str:
    given, labels = unit(name, *argv, **more)
    return await systemd.start(given, labels, lambda: True)


async def until(systemd: Systemd, name: str, active: str) -> ObservedUnit:
    while name not in systemd.units or systemd.units[name].active != active:
        await systemd.changed()
    return systemd.units[name]


def test_a_started_unit_is_active_and_carries_its_labels() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        assert await start(systemd, name, "/bin/sleep", "1000") == "done"
        found = await until(systemd, name, "active")
        assert (found.sub, found.labels, found.load) == (
            "running",
            Labels(CLUSTER, name, "f00", 1),
            "loaded",
        )
        assert found.main_pid
        assert len(found.invocation) == 32
        assert await systemd.inspect(name) == found

    tell(story)


def test_a_stopped_unit_is_inactive_and_its_name_is_free() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        for _ in range(3):
            assert await start(systemd, name, "/bin/sleep", "1000") == "done"
            assert await systemd.stop(name) == "done"
            found = await until(systemd, name, "inactive")
            assert (found.sub, found.main_pid, found.exit_code, found.exit_status) == (
                "dead",
                0,
                "killed",
                15,
            )

    tell(story)


def test_a_oneshot_that_exits_with_0_is_inactive_and_its_result_is_known() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        assert await start(systemd, name, "/bin/true", Type="oneshot") in ("done", RUNNING)
        found = await until(systemd, name, "inactive")
        assert (found.result, found.exit_status) == ("success", 0)

    tell(story)


def test_a_oneshot_that_goes_on_is_activating_and_start_does_not_wait_for_it() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        assert await start(systemd, name, "/bin/sleep", "1000", Type="oneshot") == RUNNING
        assert (await until(systemd, name, "activating")).sub == "start"

    tell(story)


def test_a_failed_unit_that_is_to_be_collected_says_why_and_its_name_is_free() -> None:
    async def story(systemd: Systemd) -> None:
        name, how = fresh(), {"Type": "oneshot", "CollectMode": "inactive-or-failed"}
        for _ in range(2):
            assert await start(systemd, name, "/bin/false", **how) in ("failed", RUNNING)
            found = await until(systemd, name, "failed")
            assert (found.result, found.exit_code, found.exit_status) == ("exit-code", "exited", 1)
            systemd.forget(name)

    tell(story)


def test_a_unit_that_exits_with_1_failed_and_says_why() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        await start(systemd, name, "/bin/false")
        found = await until(systemd, name, "failed")
        assert (found.result, found.exit_code, found.exit_status) == ("exit-code", "exited", 1)

    tell(story)


def test_a_killed_unit_failed_by_that_signal() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        await start(systemd, name, "/bin/sleep", "1000")
        await systemd.kill(name, 9)
        found = await until(systemd, name, "failed")
        assert (found.result, found.exit_code, found.exit_status) == ("signal", "killed", 9)

    tell(story)


def test_a_failed_unit_keeps_its_name_until_it_is_reset() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        await start(systemd, name, "/bin/false")
        await until(systemd, name, "failed")
        with pytest.raises(SystemdError) as refused:
            await start(systemd, name, "/bin/false")
        assert refused.value.name == "org.freedesktop.systemd1.UnitExists"
        assert systemd.units[name].active == "failed"
        await systemd.reset_failed(name)
        await start(systemd, name, "/bin/sleep", "1000")
        await until(systemd, name, "active")

    tell(story)


def test_a_start_that_is_withdrawn_in_the_last_moment_does_nothing() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        given, labels = unit(name, "/bin/sleep", "1000")
        assert await systemd.start(given, labels, lambda: False) == WITHDRAWN
        assert name not in systemd.units
        assert not (await systemd.inspect(name)).loaded

    tell(story)


def test_what_is_not_there_is_stopped_and_reset_without_complaint() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh("absent")
        assert await systemd.stop(name) == "done"
        await systemd.reset_failed(name)
        assert name not in systemd.units

    tell(story)


def test_a_forgotten_unit_is_left_out() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        await start(systemd, name, "/bin/true", Type="oneshot")
        await until(systemd, name, "inactive")
        systemd.forget(name)
        await systemd.relist()
        assert name not in systemd.units

    tell(story)


def test_a_relist_changes_nothing_when_nothing_happened() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        await start(systemd, name, "/bin/sleep", "1000")
        await until(systemd, name, "active")
        before = dict(systemd.units)
        await systemd.relist()
        assert dict(systemd.units) == before

    tell(story)
