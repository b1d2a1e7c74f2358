"""Waiting with a limit of its own for each unit that was started."""

from __future__ import annotations

import pytest

from fleetish.cli.wait import Goal, Wait
from fleetish.wire import Wish
from tests.api.cluster import SERVICE, Cluster


def test_a_unit_that_does_not_become_active_in_its_time_fails_and_the_rest_goes_on(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    goal = Goal("start", "launched", within=0.5, prefix="Error: ")
    wishes = [Wish(name=f"{n}.service", text=SERVICE, target="launched") for n in ("a", "b")]
    with cluster.client() as fleet, cluster.obeyed(("a.service", "activating", "auto-restart")):
        wait = Wait(fleet, goal, timeout=0)
        assert wait.run(fleet.submit(wishes)) == 1
    said = capsys.readouterr()
    assert said.out == "Unit b.service launched on aaaaaaaa.../10.0.0.1\n"
    assert said.err == (
        "Error: cannot start a.service: after 0.5 s it still waits to become active on node1 "
        "(auto-restart) (see fleetish status a.service)\n"
    )


def test_the_time_of_a_unit_counts_from_its_start(cluster: Cluster) -> None:
    wish = Wish(name="a.service", text=SERVICE, target="launched")
    with cluster.client() as fleet:
        wait = Wait(fleet, Goal("start", "launched", within=60.0), timeout=0)
        fleet.submit([wish])
        wait.pending = {row.name: row for row in fleet.submit([wish]).units}
        wait._look()
        assert wait.ends == {}
        cluster.place("a.service")
        cluster.publish("a.service", "activating", "start")
        wait._look()
        assert list(wait.ends) == ["a.service"]
