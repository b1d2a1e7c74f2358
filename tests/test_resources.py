"""Amounts add up and come back; what does not fit says by how much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetish.resources import MIB, NOTHING, Resources

amounts = st.integers(0, 2**50)
resources = st.builds(Resources, millicpus=amounts, memory=amounts, disk=amounts)


@given(resources, resources)
def test_what_is_added_can_be_taken_away(a: Resources, b: Resources) -> None:
    assert a + b - b == a


@given(resources, resources)
def test_a_wish_fits_exactly_when_it_lacks_nothing(wish: Resources, free: Resources) -> None:
    assert wish.fits(free) == (not wish.lacks(free))


def test_what_is_lacking_is_said_in_the_words_of_unit_files() -> None:
    wish = Resources(millicpus=1500, memory=512 * MIB)
    assert wish.lacks(Resources(millicpus=500, memory=100 * MIB)) == (
        "needs 1.5 CPUs, 0.5 free",
        "needs 512 MiB memory, 100 free",
    )


def test_an_overdrawn_machine_has_nothing_free_rather_than_less_than_nothing() -> None:
    assert Resources(millicpus=1).lacks(Resources(millicpus=-5)) == ("needs 0.001 CPUs, 0 free",)


def test_the_dominant_share_is_the_largest() -> None:
    total = Resources(millicpus=4000, memory=100, disk=0)
    assert Resources(millicpus=1000, memory=50).dominant_share(total) == 0.5
    assert NOTHING.dominant_share(total) == 0.0
    assert Resources(disk=1).dominant_share(total) == float("inf")
