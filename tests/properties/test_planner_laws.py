"""The laws that every plan keeps, over random histories of random clusters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetish.changes import Release
from fleetish.engine.plan import plan
from fleetish.engine.roster import Roster
from fleetish.testing.build import machine, put, unit
from tests.properties.histories import (
    POLICY,
    Cluster,
    Event,
    capacity,
    histories,
    judge_bonds,
    shuffled,
)

FEW = settings(max_examples=150, deadline=None)


@FEW
@given(histories)
def test_plans_settle_and_never_break_a_rule(history: list[Event]) -> None:
    cluster = Cluster(incremental=False)
    for event in history:
        cluster.happen(event)
        cluster.settle()
        judge_bonds(cluster.world)
    again = plan(cluster.world, cluster.now, POLICY, cluster.lost)
    assert again.changes == ()


@FEW
@given(histories)
def test_looking_at_what_was_touched_leads_where_looking_at_everything_does(
    history: list[Event],
) -> None:
    whole, part = Cluster(incremental=False), Cluster(incremental=True)
    for event in history:
        for cluster in (whole, part):
            cluster.happen(event)
            cluster.settle()
        assert part.homes() == whole.homes()


@FEW
@given(histories)
def test_a_roster_kept_current_is_the_roster_of_the_world(history: list[Event]) -> None:
    cluster = Cluster(incremental=True)
    for event in history:
        cluster.happen(event)
        cluster.settle()
    cluster.roster.update(cluster.world, cluster.touched.units)
    assert vars(cluster.roster) == vars(Roster.of(cluster.world))


@FEW
@given(histories, st.lists(st.integers(), min_size=40, max_size=40))
def test_a_plan_does_not_depend_on_the_order_of_records(
    history: list[Event], order: list[int]
) -> None:
    cluster = Cluster(incremental=False)
    for event in history[:-1]:
        cluster.happen(event)
        cluster.settle()
    cluster.happen(history[-1])
    other = shuffled(cluster.world, order)
    assert plan(other, cluster.now, POLICY, cluster.lost) == plan(
        cluster.world, cluster.now, POLICY, cluster.lost
    )


@FEW
@given(histories)
def test_what_may_stay_stays_when_a_machine_or_a_unit_joins(history: list[Event]) -> None:
    cluster = Cluster(incremental=False)
    for event in history:
        cluster.happen(event)
        cluster.settle()
    put(cluster.world, machine("eeeeeeee5", capacity("aaaaaaaa1"), metadata={"zone": "x"}))
    put(cluster.world, unit("newcomer.service", cpus=0.5))
    decided = plan(cluster.world, cluster.now, POLICY, cluster.lost)
    leaving = [change for change in decided.changes if isinstance(change, Release)]
    # Only a unit that has failed everywhere else may be waiting for a machine to go to.
    assert all("failed" in change.reason for change in leaving)
