"""What people are told about a unit."""

from __future__ import annotations

import pytest

from fleetish.engine.explain import Explanation, Verdict, alarms, explain
from fleetish.errors import NotFound
from fleetish.model import Target
from fleetish.testing.build import machine, overlay, placed, unit, world
from fleetish.units.xfleet import Class
from fleetish.world import Revision

A, B = machine("a", host="node1"), machine("b", host="node2")


def test_a_placed_unit_has_its_reason_and_what_the_others_would_say() -> None:
    known = world(A, B, placed(unit("x.service", cpus=1), "a", reason="least reserved"))
    assert explain(known, "x.service") == Explanation(
        unit="x.service",
        target="launched",
        machine="a",
        reason="least reserved",
        machines=(
            Verdict("a", "node1", True, "has it"),
            Verdict("b", "node2", True, "would take it"),
        ),
    )


def test_a_unit_that_fits_nowhere_hears_it_from_each_machine() -> None:
    known = world(A, B, unit("x.service", cpus=99), overlay("b", cordoned=True))
    assert explain(known, "x.service") == Explanation(
        unit="x.service",
        target="launched",
        machine="",
        reason="none of 2 machines takes it",
        machines=(
            Verdict("a", "node1", False, "needs 99 CPUs, 4 free"),
            Verdict("b", "node2", False, "is cordoned"),
        ),
    )


def reason(*records: object) -> str:
    return explain(world(*records), "x.service").reason  # type: ignore[arg-type]


def test_the_reason_names_the_situation() -> None:
    lost = placed(unit("x.service"), "cccccccccc")
    pinned = placed(unit("x.service", klass=Class.PINNED), "cccccccccc")
    leaving = placed(unit("x.service"), "a", leaving=True, reason="node1 is draining")
    assert (
        reason(A, lost) == "cccccccc is lost; it moves once that is certain, if a machine takes it"
    )
    assert reason(A, pinned) == "cccccccc is lost and the unit is pinned to it"
    assert reason(A, leaving) == "node1 has not yet said that it stopped: node1 is draining"
    assert reason(A, unit("x.service", target=Target.INACTIVE)) == "its target is inactive"
    assert reason(A, unit("x.service", global_=True)) == "it is global: on 0 of 1 machines"
    assert reason(unit("x.service")) == "no machine is registered"
    assert reason(A, unit("x.service")) == (
        "it is not placed yet, though a machine would take it: it is the engine's turn"
    )


def test_the_brake_is_named() -> None:
    others = [placed(unit(f"u{n}.service"), f"gone{n}") for n in range(2)]
    text = reason(A, placed(unit("x.service"), "gone9"), *others)
    assert alarms(world(A)) == ()
    assert text.startswith("gone9 is lost; 3 of 4 machines are lost at once: no unit is moved")


def test_what_cannot_be_read_is_named() -> None:
    known = world(A, unit("x.service"), unit("y.service"))
    known.quarantine(("units", "x.service"), "no JSON", Revision(9, 9))
    known.quarantine(("placement", "y.service"), "no JSON", Revision(9, 9))
    assert explain(known, "x.service").reason == "its record cannot be read: no JSON"
    text = "nobody can tell where it is, so it is left there: placement/y.service cannot be read: "
    assert explain(known, "y.service").reason == text + "no JSON"


def test_no_such_unit_is_an_error() -> None:
    with pytest.raises(NotFound, match=r"cannot explain x.service: there is no such unit"):
        explain(world(A), "x.service")
