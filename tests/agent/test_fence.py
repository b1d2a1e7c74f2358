"""Exclusive units and their guard, through the whole agent over a systemd in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fleetish.agent import guard
from fleetish.model import UnitState
from fleetish.units.xfleet import Class, Requirements
from tests.agent.rig import Rig, tell

EXCLUSIVE = Requirements(klass=Class.EXCLUSIVE)


def test_a_unit_that_was_dead_before_its_guard_was_seen_to_end_is_started_again(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        rig.settings = replace(rig.settings, machine_ttl=5.0)
        async with rig.agent():
            await rig.assign("db.service", requirements=EXCLUSIVE)
            first = await rig.active("db.service")
            rig.systemd.stubborn.add(guard.NAME)
            await rig.systemd.stop(guard.NAME)  # it is ending, and PID 1 ends what is bound to it
            rig.systemd.exit("db.service")
            await rig.active("db.service", "inactive")
            rig.systemd.stubborn.clear()
            await rig.systemd.kill(guard.NAME, 9)

            def anew(state: UnitState) -> bool:
                return state.active == "active" and state.invocation != first.invocation

            await rig.state("db.service", anew)

    tell(tmp_path, story)


def test_a_unit_that_ended_by_itself_before_its_guard_died_stays_ended(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.settings = replace(rig.settings, machine_ttl=5.0)
        async with rig.agent():
            await rig.assign("db.service", requirements=EXCLUSIVE)
            await rig.assign("other.service", requirements=EXCLUSIVE)
            first = await rig.active("other.service")
            await rig.active("db.service")
            rig.systemd.exit("db.service")
            await rig.active("db.service", "inactive")
            await rig.systemd.kill(guard.NAME, 9)
            rig.systemd.exit("other.service")
            await rig.state(
                "other.service",
                lambda state: state.active == "active" and state.invocation != first.invocation,
            )
            ended = await rig.state("db.service", lambda state: True)
            assert (ended.active, ended.launch) == ("inactive", 1)

    tell(tmp_path, story)
