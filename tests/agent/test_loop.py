"""The agent as a whole, over an etcd and a systemd in memory."""

from __future__ import annotations

from pathlib import Path

from fleetish.agent import guard
from fleetish.agent.base import Labels, ObservedUnit
from fleetish.model import Target, UnitState
from fleetish.units.properties import Property, TransientUnit
from fleetish.units.xfleet import Class, Requirements
from tests.agent.rig import FALSE, MACHINE, ONCE, SLEEP, Rig, tell


def starts(rig: Rig, name: str) -> int:
    return sum(call == ("start", name) for call in rig.systemd.calls)


def test_an_assigned_unit_runs_and_its_state_is_published(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            wish = await rig.assign("web@1.service")
            state = await rig.active("web@1.service")
            assert (state.load, state.sub, state.hash, state.launch, state.seen) == (
                "loaded",
                "running",
                wish.hash,
                1,
                1,
            )
            assert state.main_pid
            unit = rig.systemd.units["web@1.service"]
            assert unit.labels == Labels("t", "web@1.service", wish.hash, 1)
            assert unit.slice == "fleetish-web.slice"

    tell(tmp_path, story)


def test_the_machine_registers_with_its_facts(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        key = rig.store.keys.key(("machines", MACHINE))
        async with rig.agent():
            async for batch in rig.kv.watch(key, 1):
                if batch.events:
                    break
        held = await rig.kv.get(key)
        assert held is not None, "a cancelled agent keeps its registration"
        assert held.lease

    tell(tmp_path, story)


def test_a_loaded_unit_is_reported_and_not_started(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service", target=Target.LOADED)
            state = await rig.state("a.service", lambda state: state.seen == 1)
            assert (state.load, state.active, state.sub) == ("loaded", "inactive", "dead")
            assert rig.systemd.calls == []

    tell(tmp_path, story)


def test_a_release_is_answered_when_the_unit_has_stopped(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            await rig.active("a.service")
            await rig.assign("a.service", target=Target.INACTIVE, generation=2)
            state = await rig.state(
                "a.service", lambda state: state.seen == 2 and state.active == "inactive"
            )
            assert state.sub == "dead"
            assert not rig.systemd.units["a.service"].alive
            await rig.drop(("assigned", MACHINE, "a.service"), ("states", MACHINE, "a.service"))
            await rig.systemd.until(lambda: "a.service" not in rig.systemd.units)
        assert not (tmp_path / "units" / "a.service").exists()

    tell(tmp_path, story)


def test_a_restarted_agent_starts_nothing_twice(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            await rig.assign("job.service", ONCE)
            await rig.active("a.service")
            await rig.state("job.service", lambda state: bool(state.launch))
        before = dict(rig.systemd.units)
        rig.systemd.forget("job.service")  # as systemd has it: unloaded
        async with rig.agent():
            await rig.assign("b.service")
            await rig.active("b.service")
        assert rig.systemd.units["a.service"] == before["a.service"]
        assert (starts(rig, "a.service"), starts(rig, "job.service")) == (1, 1)

    tell(tmp_path, story)


def test_after_a_reboot_units_are_started_again(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            await rig.active("a.service")
        rig.systemd = type(rig.systemd)(rig.clock.now)
        (tmp_path / "units" / "a.service").unlink()
        async with rig.agent():
            await rig.systemd.until(lambda: starts(rig, "a.service") == 1)
            await rig.active("a.service")

    tell(tmp_path, story)


def test_a_unit_that_is_no_longer_assigned_is_stopped(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        labels = Labels("t", "old.service", "h", 1)
        line = Property("ExecStart", "a(sasb)", [["/bin/sleep", ["/bin/sleep", "9"], False]])
        rig.systemd.adopt(TransientUnit("old.service", (line,)), labels)
        async with rig.agent():
            await rig.systemd.until(lambda: ("stop", "old.service") in rig.systemd.calls)

    tell(tmp_path, story)


def test_new_text_and_new_launches_restart_a_unit(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            first = await rig.active("a.service")
            wish = await rig.assign("a.service", SLEEP + "Nice=1\n", generation=2)
            second = await rig.state("a.service", lambda state: state.hash == wish.hash)
            await rig.assign("a.service", SLEEP + "Nice=1\n", generation=3, launch=2)
            third = await rig.state("a.service", lambda state: state.launch == 2)
            assert len({first.invocation, second.invocation, third.invocation}) == 3

    tell(tmp_path, story)


def test_a_name_of_the_host_is_refused_and_its_unit_not_touched(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.systemd.foreign["ssh.service"] = ObservedUnit("ssh.service", active="active")
        async with rig.agent():
            await rig.assign("ssh.service")
            state = await rig.state("ssh.service", lambda state: bool(state.error))
            assert state.error.startswith("cannot start ssh.service: a unit of that name belongs")
            assert (state.load, state.active, state.seen) == ("error", "inactive", 1)
            await rig.assign("ssh.service", target=Target.INACTIVE, generation=2)
            await rig.state("ssh.service", lambda state: state.seen == 2)
        assert rig.systemd.calls == [("start", "ssh.service")]

    tell(tmp_path, story)


def test_a_text_that_this_host_cannot_take_is_said_with_file_and_line(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service", "[Service]\nExecStart=/bin/true\nNoSuch=1\n")
            state = await rig.state("a.service", lambda state: bool(state.error))
            assert (state.load, state.active) == ("bad-setting", "inactive")
            assert "a.service:3" in state.error
            await rig.assign("a.service", SLEEP, generation=2)
            assert not (await rig.active("a.service")).error

    tell(tmp_path, story)


def test_a_failing_unit_is_tried_again_until_the_engine_must_move_it(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        asked = Requirements(reschedule=True, reschedule_after=3, backoff_s=0.01)
        async with rig.agent():
            await rig.assign("a.service", FALSE, requirements=asked)
            state = await rig.state("a.service", lambda state: state.failures == 3)
            assert (state.active, state.result, state.exit_status) == ("failed", "exit-code", 1)
            await rig.assign("b.service")
            await rig.active("b.service")
        assert starts(rig, "a.service") == 3

    tell(tmp_path, story)


def test_without_opting_in_a_failed_unit_stays_failed(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service", FALSE)
            state = await rig.active("a.service", "failed")
            assert state.failures == 1
            await rig.assign("a.service", FALSE, launch=2, generation=2)
            again = await rig.state("a.service", lambda state: (state.launch, state.seen) == (2, 2))
            assert again.failures == 1
        assert starts(rig, "a.service") == 2

    tell(tmp_path, story)


def test_a_start_whose_answer_was_lost_is_looked_into_and_not_repeated(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.systemd.silent.add("a.service")
        async with rig.agent():
            await rig.assign("a.service")
            await rig.active("a.service")
        assert starts(rig, "a.service") == 1

    tell(tmp_path, story)


def test_a_definition_that_systemd_keeps_is_replaced_before_the_next_start(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        rig.systemd.referred.add("a.service")
        async with rig.agent():
            await rig.assign("a.service")
            await rig.active("a.service")
            await rig.assign("a.service", launch=2, generation=2)
            await rig.state("a.service", lambda state: state.launch == 2 and state.seen == 2)
        assert rig.systemd.calls[-2:] == [("define", "a.service"), ("start again", "a.service")]
        assert rig.systemd.units["a.service"].active == "active"

    tell(tmp_path, story)


def test_garbage_in_an_assignment_leaves_its_unit_running(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            await rig.active("a.service")
            await rig.raw(("assigned", MACHINE, "a.service"), b"\xff garbage")
            await rig.assign("b.service")
            await rig.active("b.service")
        assert rig.systemd.units["a.service"].active == "active"
        assert not any(call[0] == "stop" for call in rig.systemd.calls)

    tell(tmp_path, story)


def test_nothing_stops_when_the_store_is_away_and_all_is_published_after(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            await rig.active("a.service")
            rig.agents.faults.cut = True
            rig.etcd.wake()
            rig.systemd.exit("a.service", 3)
            await rig.assign("b.service")
            rig.agents.faults.cut = False
            rig.etcd.wake()
            assert (await rig.active("a.service", "failed")).exit_status == 3
            await rig.active("b.service")
        assert not any(call[0] == "stop" for call in rig.systemd.calls)

    tell(tmp_path, story)


def test_after_its_registration_was_lost_the_machine_registers_anew(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        key = rig.store.keys.key(("machines", MACHINE))
        async with rig.agent():
            await rig.assign("a.service")
            await rig.assign("b.service")
            await rig.active("a.service")
            await rig.active("b.service")
            before = await rig.kv.get(key)
            assert before is not None
            # The engine took a.service away while the machine was lost.
            await rig.drop(
                ("machines", MACHINE),
                ("assigned", MACHINE, "a.service"),
                ("states", MACHINE, "a.service"),
                ("states", MACHINE, "b.service"),
            )
            await rig.kv.revoke(before.lease)
            rig.systemd.exit("b.service", 4)
            assert (await rig.active("b.service", "failed")).exit_status == 4
            after = await rig.kv.get(key)
            assert after is not None
            assert after.create > before.create
        assert ("stop", "a.service") in rig.systemd.calls

    tell(tmp_path, story)


def test_an_exclusive_unit_is_bound_to_a_guard_that_runs_before_it(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("db.service", requirements=Requirements(klass=Class.EXCLUSIVE))
            await rig.active("db.service")
        assert [name for call, name in rig.systemd.calls if call == "start"] == [
            guard.NAME,
            "db.service",
        ]

    tell(tmp_path, story)


def test_three_hundred_units_of_a_template_set_their_slice_twice_at_most(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        text = SLEEP + "MemoryMax=1M\n"
        async with rig.agent():
            for at in range(300):
                await rig.assign(f"web@{at}.service", text)
            for at in range(300):
                await rig.active(f"web@{at}.service")
        assert rig.systemd.properties["fleetish-web.slice"]["MemoryMax"] == 300 * 2**20

    tell(tmp_path, story)


def test_units_are_started_once_the_bus_is_back(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            await rig.active("a.service")
            rig.systemd.disconnect()
            await rig.assign("b.service")
            await rig.assign("a.service", target=Target.INACTIVE, generation=2)
            rig.systemd.reconnect()
            await rig.active("b.service")
            await rig.state("a.service", lambda state: state.seen == 2 and not state.main_pid)

    tell(tmp_path, story)


def test_what_a_finished_job_came_to_is_still_known_after_the_agent_was_restarted(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("job.service", ONCE)
            before = await rig.state("job.service", lambda state: bool(state.launch))
        rig.systemd.forget("job.service")  # as systemd has it: unloaded
        key = rig.store.keys.key(("states", MACHINE, "job.service"))
        async with rig.agent():
            await rig.assign("job.service", ONCE, generation=2)
            after = await rig.state("job.service", lambda state: state.seen == 2)
        assert (after.exit_code, after.result, after.since) == ("exited", "success", before.since)
        assert await rig.kv.get(key)

    tell(tmp_path, story)


def test_a_release_during_a_start_is_answered_only_after_the_stop(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            await rig.assign("a.service", target=Target.INACTIVE, generation=2)
            state = await rig.state("a.service", lambda state: state.seen == 2)
            while state.active not in ("inactive", "failed"):
                state = await rig.state("a.service", lambda state: state.active == "inactive")
            unit = rig.systemd.units.get("a.service")
            assert unit is None or not unit.alive

    tell(tmp_path, story)


def test_a_unit_that_was_stopped_and_comes_back_while_the_agent_is_away_is_started(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await rig.assign("a.service")
            await rig.active("a.service")
            await rig.assign("a.service", target=Target.INACTIVE, generation=2)
            await rig.state("a.service", lambda state: state.seen == 2)
        await rig.drop(("assigned", MACHINE, "a.service"), ("states", MACHINE, "a.service"))
        await rig.assign("a.service")
        async with rig.agent():
            await rig.active("a.service")
        assert starts(rig, "a.service") == 2

    tell(tmp_path, story)


def test_an_assignment_that_was_made_anew_before_anybody_looked_is_run(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        def done(state: UnitState) -> bool:
            return (state.launch, state.active) == (1, "inactive") and bool(state.invocation)

        async with rig.agent():
            await rig.assign("once.service", ONCE)
            first = await rig.state("once.service", done)
            await rig.drop(("assigned", MACHINE, "once.service"))
            await rig.assign("once.service", ONCE)
            await rig.state(
                "once.service", lambda state: done(state) and state.invocation != first.invocation
            )
        assert starts(rig, "once.service") == 2

    tell(tmp_path, story)
