"""Units that bring up others, through the whole agent over a systemd in memory."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fleetish.model import Target
from fleetish.units.file import parse
from fleetish.units.xfleet import Class, Requirements, requirements
from tests.agent.rig import MACHINE, ONCE, SLEEP, Rig, tell

TIMER = "[Timer]\nOnActiveSec=1d\n"
WANTED = SLEEP + "[Install]\nWantedBy=main.service\n"


async def put(
    rig: Rig,
    name: str,
    text: str = SLEEP,
    target: Target = Target.LAUNCHED,
    *,
    launch: int = 1,
    generation: int = 1,
    asked: Requirements | None = None,
) -> None:
    """Assign a unit with the bonds that its text says."""
    found = asked or requirements(parse(text, name), name)
    await rig.assign(
        name, text, target=target, launch=launch, generation=generation, requirements=found
    )


async def seen(rig: Rig, name: str, generation: int = 1) -> None:
    await rig.state(name, lambda state: state.seen == generation)


def active(rig: Rig) -> dict[str, str]:
    return {name: unit.active for name, unit in rig.systemd.units.items()}


def starts(rig: Rig) -> list[str]:
    return [name for what, name in rig.systemd.calls if what in ("start", "start again")]


def test_a_timer_is_started_with_its_service_which_waits_for_it(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "job.service", ONCE, Target.LOADED)
            await put(rig, "job.timer", TIMER)
            await rig.active("job.timer")
            waiting = await rig.state("job.service", lambda state: state.load == "loaded")
            assert (waiting.active, waiting.sub) == ("inactive", "dead")
            rig.systemd.activate("job.service")
            ran = await rig.state("job.service", lambda state: state.result == "success")
            assert (ran.active, bool(ran.invocation)) == ("inactive", True)
        assert starts(rig) == ["job.timer"]
        assert "OnActiveSec" in rig.systemd.kept["job.timer"]
        assert "FLEETISH_UNIT=job.service" in rig.systemd.kept["job.service"]

    tell(tmp_path, story)


def test_a_unit_and_what_activates_it_are_each_started_once(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "job.service", "[Unit]\nRequires=job.timer\n" + SLEEP)
            await put(rig, "job.timer", TIMER)
            await rig.active("job.timer")
            await rig.active("job.service")
        runs = {unit.invocation for unit in rig.systemd.units.values() if unit.invocation}
        assert {int(run, 16) for run in runs} == {1, 2}

    tell(tmp_path, story)


def test_a_sidekick_that_is_only_loaded_follows_its_main_unit(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "side.service", WANTED, Target.LOADED)
            await seen(rig, "side.service")
            await put(rig, "main.service")
            await rig.active("main.service")
            await rig.active("side.service")
            await put(rig, "main.service", target=Target.INACTIVE, generation=2)
            await seen(rig, "main.service", 2)
            await rig.active("side.service", "inactive")
        assert "Wants=side.service" in rig.systemd.kept["main.service"]
        assert ("stop", "side.service") in rig.systemd.calls

    tell(tmp_path, story)


def test_a_oneshot_that_is_launched_and_pulled_up_runs_once(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "main.service", "[Unit]\nRequires=prepare.service\n" + SLEEP)
            await put(rig, "prepare.service", ONCE)
            await rig.active("main.service")
            done = await rig.state("prepare.service", lambda state: state.launch == 1)
            assert (done.active, done.result) == ("inactive", "success")
        invocation = rig.systemd.units["prepare.service"].invocation
        assert int(invocation, 16) <= 2, "one run of each"

    tell(tmp_path, story)


def test_another_text_is_put_under_a_timer_that_goes_on(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "job.service", ONCE, Target.LOADED)
            await put(rig, "job.timer", TIMER)
            first = await rig.active("job.timer")
            await seen(rig, "job.service")
            await put(rig, "job.service", ONCE + "Nice=5\n", Target.LOADED, generation=2)
            await seen(rig, "job.service", 2)
            again = await rig.active("job.timer")
        assert "Nice=5" in rig.systemd.defined["job.service"]
        assert first.invocation == again.invocation

    tell(tmp_path, story)


@pytest.mark.parametrize("target", [Target.LOADED, Target.LAUNCHED])
def test_another_text_reaches_a_service_that_connections_start_again_at_once(
    tmp_path: Path, target: Target
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "job.service", SLEEP, target)
            await put(rig, "job.timer", TIMER)
            await rig.active("job.timer")
            await seen(rig, "job.service")
            if target is Target.LOADED:
                rig.systemd.activate("job.service")
            await rig.active("job.service")
            rig.systemd.pressed.add("job.service")
            await put(rig, "job.service", SLEEP + "Nice=5\n", target, generation=2)
            await seen(rig, "job.service", 2)
        stops = [name for what, name in rig.systemd.calls if what == "stop"]
        assert stops == ["job.service"]
        assert "Nice=5" in rig.systemd.defined["job.service"]

    tell(tmp_path, story)


def test_a_service_that_is_gone_is_taken_from_under_its_timer_until_it_is_back(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "job.service", ONCE, Target.LOADED)
            await put(rig, "job.timer", TIMER)
            await rig.active("job.timer")
            await seen(rig, "job.service")
            await rig.drop(("assigned", MACHINE, "job.service"))
            await rig.systemd.until(lambda: ("discard", "job.service") in rig.systemd.calls)
            assert active(rig)["job.timer"] == "active"
            await put(rig, "job.service", ONCE + "Nice=5\n", Target.LOADED)
            await rig.systemd.until(lambda: "Nice=5" in rig.systemd.defined.get("job.service", ""))
        assert starts(rig) == ["job.timer"]

    tell(tmp_path, story)


def test_a_timer_without_its_service_says_so(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "job.timer", TIMER)
            state = await rig.state("job.timer", lambda state: bool(state.error))
            assert state.error == (
                "cannot start job.timer: it activates job.service, which neither the cluster nor"
                " this machine has"
            )

    tell(tmp_path, story)


def test_an_agent_that_comes_back_touches_neither_timer_nor_service(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "job.service", SLEEP, Target.LOADED)
            await put(rig, "job.timer", TIMER)
            await rig.active("job.timer")
            await seen(rig, "job.service")
            rig.systemd.activate("job.service")
        calls = list(rig.systemd.calls)
        async with rig.agent():
            await put(rig, "job.timer", TIMER, generation=2)
            await seen(rig, "job.timer", 2)
            await rig.active("job.service")
        assert rig.systemd.calls == calls

    tell(tmp_path, story)


def test_what_cannot_be_brought_up_keeps_what_activates_it_from_starting(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            await put(rig, "bad.service", "[Service]\nExecStart=/bin/a\nNice=x\n", Target.LOADED)
            await put(rig, "bad.timer", TIMER)
            state = await rig.state("bad.timer", lambda state: bool(state.error))
            assert (state.load, "Nice=x" in state.error) == ("bad-setting", True)
            exclusive = Requirements(klass=Class.EXCLUSIVE)
            await put(rig, "one.service", target=Target.LOADED, asked=exclusive)
            await put(rig, "one.timer", TIMER)
            state = await rig.state("one.timer", lambda state: bool(state.error))
            assert "brings up one.service, which is of class exclusive" in state.error
        assert rig.systemd.calls == []

    tell(tmp_path, story)


def test_a_directive_that_this_systemd_does_not_have_is_named(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.systemd.lacking.add("Nice")
        async with rig.agent():
            await put(rig, "a.service", SLEEP + "Nice=5\n")
            state = await rig.state("a.service", lambda state: bool(state.error))
        assert state.load == "bad-setting"
        assert state.error.startswith("a.service:3: cannot start a.service: systemd 252 (fake)")
        assert rig.systemd.calls == []

    tell(tmp_path, story)


def test_a_unit_whose_requirement_failed_says_so_and_is_tried_later(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.agent():
            once = "[Service]\nType=oneshot\nExecStart=/bin/false\n"
            await put(rig, "prepare.service", once, Target.LOADED)
            needs = "[Unit]\nRequires=prepare.service\nAfter=prepare.service\n"
            await put(rig, "main.service", needs + SLEEP)
            state = await rig.state("main.service", lambda state: bool(state.error))
            assert (state.load, state.active) == ("loaded", "inactive")
            assert state.error == "cannot start main.service: a unit that it requires did not start"
            await rig.active("prepare.service", "failed")

    tell(tmp_path, story)


def test_bonds_are_told_in_assignments() -> None:
    asked = requirements(parse(WANTED, "side.service"), "side.service")
    assert msgspec.json.decode(msgspec.json.encode(asked), type=Requirements) == asked
