"""What a whole family with one constraint comes to, whatever the zones and whoever is full."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetish.testing.build import unit
from fleetish.units.constraint import Constraint, Operator
from tests.properties.histories import MACHINES, Cluster, Destroy, Event, Return, Vanish

FEW = settings(max_examples=100, deadline=None)
NAMES = [f"web@{at}.service" for at in range(1, 9)]
GROUPED = Constraint("zone", Operator.GROUP_BY)


@st.composite
def histories(draw: st.DrawFn, one: Constraint, *, moving: bool = True) -> list[Event]:
    """Units of one family come and go beside a large one; machines too, if they are ``moving``."""
    sizes = st.sampled_from((0, 0.5, 1, 2, 3))
    units = st.builds(
        lambda name, cpus: unit(name, cpus=cpus, constraints=(one,)), st.sampled_from(NAMES), sizes
    )
    others = st.builds(
        lambda m: unit("db.service", machine_id=m, cpus=3), st.sampled_from(MACHINES[2:])
    )
    kinds: list[st.SearchStrategy[Event]] = [units, units, units, others]
    kinds.append(st.builds(Destroy, st.sampled_from(NAMES)))
    if moving:
        kinds.append(st.builds(Vanish, st.sampled_from(MACHINES)))
        kinds.append(st.builds(Return, st.sampled_from(MACHINES), st.sampled_from("xyz")))
    return draw(st.lists(st.one_of(kinds), min_size=1, max_size=16))


def spread(cluster: Cluster) -> Counter[str]:
    """How many of the family are in which zone."""
    known = cluster.world
    return Counter(
        known.machines[one.machine].metadata["zone"]
        for name, one in known.placements.items()
        if name in NAMES and one.machine in known.machines
    )


def zones() -> list[Event]:
    """Two machines in zone x, one in y, one in z."""
    return [Return(name, zone) for name, zone in zip(MACHINES, "xxyz", strict=True)]


@pytest.mark.parametrize(
    "one",
    [GROUPED, Constraint("zone", Operator.GROUP_BY, "2"), Constraint("zone", Operator.UNIQUE)],
)
@FEW
@given(data=st.data())
def test_looking_at_what_was_touched_spreads_as_looking_at_everything_does(
    one: Constraint, data: st.DataObject
) -> None:
    whole, part = Cluster(incremental=False), Cluster(incremental=True)
    for event in (*zones(), *data.draw(histories(one))):
        for cluster in (whole, part):
            cluster.happen(event)
            cluster.settle()
        assert part.homes() == whole.homes()


@FEW
@given(data=st.data())
def test_a_family_that_only_grows_is_even_over_its_groups(data: st.DataObject) -> None:
    cluster = Cluster(incremental=True)
    history = data.draw(histories(GROUPED, moving=False))
    for event in (*zones(), *(one for one in history if not isinstance(one, Destroy))):
        cluster.happen(event)
        cluster.settle()
        counts = spread(cluster)
        assert max(counts.values(), default=0) - min(counts[zone] for zone in "xyz") <= 1


@FEW
@given(data=st.data())
def test_at_most_so_many_are_ever_in_one_group(data: st.DataObject) -> None:
    for one, most in (
        (Constraint("zone", Operator.UNIQUE), 1),
        (Constraint("zone", Operator.MAX_PER, "2"), 2),
    ):
        cluster = Cluster(incremental=True)
        for event in (*zones(), *data.draw(histories(one, moving=False))):
            cluster.happen(event)
            cluster.settle()
            assert max(spread(cluster).values(), default=0) <= most
