from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetish.agent.slices import INFINITY, PLAIN, Caps, caps, slice_properties, weight
from fleetish.units.properties import Property


def found(*units: Caps) -> dict[str, object]:
    return {one.name: one.value for one in slice_properties(units)}


def test_a_slice_weighs_one_hundred_for_each_core_that_its_units_ask_for() -> None:
    assert found(Caps(1500), Caps(500))["CPUWeight"] == 200
    assert [weight(millicpus) for millicpus in (0, 5, 1000, 64_000, 10**9)] == [
        100,
        1,
        100,
        6400,
        10000,
    ]


def test_a_limit_of_every_unit_is_summed_and_one_that_some_lack_is_none() -> None:
    limited = Caps(0, (("MemoryMax", 100), ("TasksMax", 5)))
    other = Caps(0, (("CPUQuotaPerSecUSec", 500_000), ("MemoryMax", 50)))
    assert found(limited, other) == {
        "CPUWeight": 100,
        "MemoryMax": 150,
        "CPUQuotaPerSecUSec": INFINITY,
        "TasksMax": INFINITY,
        "IOWeight": INFINITY,
    }


def test_io_weights_are_summed_up_to_the_most_that_systemd_takes() -> None:
    assert (
        found(Caps(0, (("IOWeight", 9000),)), Caps(0, (("IOWeight", 9000),)))["IOWeight"] == 10000
    )


def test_a_units_caps_come_from_its_properties_and_infinity_is_no_limit() -> None:
    properties = (
        Property("MemoryMax", "t", INFINITY),
        Property("TasksMax", "t", 7),
        Property("Description", "s", "x"),
    )
    assert caps(250, properties) == Caps(250, (("TasksMax", 7),))


@given(st.lists(st.integers(1, 10**6), min_size=1), st.randoms())
def test_the_order_of_units_makes_no_difference(amounts: list[int], order: object) -> None:
    units = [Caps(amount, (("MemoryMax", amount),)) for amount in amounts]
    shuffled = sorted(units, key=lambda _: order.random())  # type: ignore[attr-defined]
    assert slice_properties(units) == slice_properties(shuffled)


def test_an_empty_slice_has_what_systemd_gives_it() -> None:
    assert slice_properties(()) == PLAIN
