"""Units that are loaded beside one that is started: held against the fake and a real systemd."""

from __future__ import annotations

import pytest

from fleetish.agent import observe
from fleetish.agent.base import Labelled, Systemd
from fleetish.errors import SystemdError
from fleetish.units.properties import Property, TransientUnit
from tests.contract.test_systemd import CLUSTER, fresh, tell, unit, until

SLEEP = ("/bin/sleep", "1000")


def beside(name: str, *argv: str) -> Labelled:
    return Labelled(*unit(name, *(argv or SLEEP)))


def wanting(name: str, *others: str) -> Labelled:
    """A unit that pulls others up."""
    given, labels = unit(name, *SLEEP)
    wants = Property("Wants", "as", list(others))
    return Labelled(TransientUnit(name, (*given.properties, wants)), labels)


def timer(name: str) -> Labelled:
    """A timer that is due in a day, and belongs to nobody by itself."""
    due = Property("TimersMonotonic", "a(st)", [["OnActiveSec", 86_400_000_000]])
    return Labelled(TransientUnit(name, (due,)), None)


async def begin(systemd: Systemd, main: Labelled, *others: Labelled) -> str:
    return await systemd.start(main.unit, main.labels, lambda: True, others)


def test_what_a_timer_activates_is_loaded_beside_it_and_waits() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        due = name.replace(".service", ".timer")
        assert await begin(systemd, timer(due), beside(name)) == "done"
        await until(systemd, due, "active")
        found = await systemd.inspect(name)
        assert (found.load, found.active, found.sub) == ("loaded", "inactive", "dead")
        assert found.labels == beside(name).labels == systemd.units[name].labels
        assert await systemd.start_again(name) == "done"
        assert (await until(systemd, name, "active")).labels == found.labels

    tell(story)


def test_a_timer_without_what_it_activates_is_not_started_and_stays_inactive() -> None:
    async def story(systemd: Systemd) -> None:
        due = fresh().replace(".service", ".timer")
        assert await begin(systemd, timer(due)) == "failed"
        assert (await systemd.inspect(due)).active == "inactive"

    tell(story)


def test_what_a_unit_wants_is_started_with_it() -> None:
    async def story(systemd: Systemd) -> None:
        main, other = fresh(), fresh()
        await begin(systemd, wanting(main, other), beside(other))
        await until(systemd, main, "active")
        assert (await until(systemd, other, "active")).labels == beside(other).labels

    tell(story)


def test_a_loaded_unit_goes_with_the_last_that_refers_to_it() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        due = name.replace(".service", ".timer")
        await begin(systemd, timer(due), beside(name))
        await systemd.stop(due)
        await until(systemd, due, "inactive")
        assert (await systemd.inspect(name)).load == "not-found"
        await begin(systemd, timer(due), beside(name))
        assert (await systemd.inspect(name)).load == "loaded"

    tell(story)


def test_a_name_that_is_taken_beside_it_keeps_a_unit_from_starting() -> None:
    async def story(systemd: Systemd) -> None:
        main, other = fresh(), fresh()
        await begin(systemd, beside(other))
        held = await until(systemd, other, "active")
        with pytest.raises(SystemdError) as refused:
            await begin(systemd, wanting(main, other), beside(other))
        assert refused.value.name == "org.freedesktop.systemd1.UnitExists"
        assert main not in systemd.units
        assert systemd.units[other] == held
        assert (await systemd.inspect(main)).load == "not-found"

    tell(story)


def test_a_unit_is_not_started_when_one_that_it_requires_failed() -> None:
    async def story(systemd: Systemd) -> None:
        main, other = fresh(), fresh()
        given, labels = unit(main, *SLEEP)
        needs = tuple(Property(name, "as", [other]) for name in ("Requires", "After"))
        both = Labelled(TransientUnit(main, (*given.properties, *needs)), labels)
        once = Labelled(*unit(other, "/bin/false", Type="oneshot"))
        assert await begin(systemd, both, once) == "dependency"
        await until(systemd, other, "failed")
        assert systemd.units[main].active == "inactive"

    tell(story)


def test_a_unit_that_waits_is_defined_anew_under_what_activates_it() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        due = name.replace(".service", ".timer")
        await begin(systemd, timer(due), beside(name, "/bin/false"))
        waiting = await until(systemd, due, "active")
        marks = observe.extra_fields(beside(name).labels._replace(hash="b00"))  # type: ignore[union-attr]
        lines = "".join(f'LogExtraFields="{mark.decode()}"\n' for mark in marks)
        await systemd.define({name: f"[Service]\nExecStart=/bin/sleep 1000\n{lines}"})
        found = systemd.units[name].labels
        assert found is not None
        assert (found.cluster, found.hash) == (CLUSTER, "b00")
        assert await systemd.start_again(name) == "done"
        await until(systemd, name, "active")
        assert systemd.units[due].invocation == waiting.invocation

    tell(story)


def test_a_definition_that_is_discarded_leaves_what_activates_it() -> None:
    async def story(systemd: Systemd) -> None:
        name = fresh()
        due = name.replace(".service", ".timer")
        await begin(systemd, timer(due), beside(name))
        await until(systemd, due, "active")
        await systemd.discard([name])
        assert (await systemd.inspect(name)).load == "not-found"
        assert systemd.units[due].active == "active"
        systemd.forget(name)

    tell(story)


def test_systemd_says_which_properties_it_has() -> None:
    async def story(systemd: Systemd) -> None:
        for kind, some in {
            "service": {"ExecStart", "MemoryMax", "After"},
            "socket": {"Listen", "Accept"},
            "timer": {"TimersMonotonic"},
            "path": {"Paths"},
            "mount": {"What"},
            "automount": {"TimeoutIdleUSec"},
            "slice": {"CPUWeight"},
        }.items():
            known = await systemd.known(kind)
            assert some <= known, kind
            assert "Nonesuch" not in known

    tell(story)
