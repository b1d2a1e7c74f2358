"""Without etcd, or before this machine is registered, every path says so in one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fleetish.api.ledger import PATIENCE as LEDGER
from tests.api.cluster import Cluster, running
from tests.fleet_api.speak import EVERY, OTHER, PATIENCE, SLEEP, Fleet

SAYS = (503, "fleet server unable to communicate with etcd")
PATHS = ["", "/", "/nothing", "/units", "/units/a.service", "/machines", "/state", "/discovery"]


@pytest.fixture
def cut(cluster: Cluster, fleet: Fleet) -> Fleet:
    """A server that knew a unit when etcd fell silent."""
    fleet.submit("a.service")
    cluster.kv.faults.cut = True
    cluster.etcd.wake()
    return fleet


def until_refused(fleet: Fleet) -> None:
    deadline = time.monotonic() + PATIENCE
    while fleet.ask("GET", "/units").status_code != 503:
        assert time.monotonic() < deadline
        time.sleep(EVERY)


@pytest.mark.parametrize("path", PATHS)
def test_before_the_machine_is_registered_every_path_answers_503(path: str) -> None:
    with running(registered=False) as cluster, Fleet(cluster.url) as fleet:
        assert fleet.refused("GET", path) == SAYS
        cluster.registered = True
        assert fleet.ask("GET", path).status_code != 503


def test_a_server_that_never_saw_etcd_answers_503() -> None:
    with running() as cluster, Fleet(cluster.url) as fleet:
        cluster.kv.faults.cut = True
        assert fleet.refused("GET", "/machines") == SAYS


def test_a_short_silence_is_answered_from_what_is_known(cut: Fleet) -> None:
    assert cut.get("/units/a.service")["options"] == SLEEP


def test_a_put_during_a_short_silence_is_answered_when_it_is_over(
    cluster: Cluster, cut: Fleet
) -> None:
    with ThreadPoolExecutor(1) as pool, Fleet(cluster.url) as stop:
        answer = pool.submit(stop.put, "a.service", state="loaded")
        with pytest.raises(TimeoutError):
            answer.result(LEDGER + 0.5)  # its first attempt has failed
        cluster.kv.faults.cut = False
        cluster.etcd.wake()
        assert answer.result(PATIENCE).status_code == 204
    assert cut.get("/units/a.service")["desiredState"] == "loaded"


def test_a_longer_silence_is_answered_by_503_until_it_ends(cluster: Cluster, cut: Fleet) -> None:
    until_refused(cut)
    for path in PATHS:
        assert cut.refused("GET", path) == SAYS
    cluster.kv.faults.cut = False
    cluster.etcd.wake()
    cut.until("/units/a.service", lambda unit: unit["currentState"] == "inactive")


def test_a_write_whose_answer_was_lost_is_not_refused_when_it_is_tried_again(
    cluster: Cluster, fleet: Fleet
) -> None:
    asked: list[tuple[Callable[[], requests.Response], int]] = [
        (lambda: fleet.put("a.service", SLEEP), 201),
        (lambda: fleet.put("a.service", state="loaded"), 204),
        (lambda: fleet.put("a.service", OTHER), 201),
        (lambda: fleet.ask("DELETE", "/units/a.service"), 204),
        (lambda: fleet.put("a@.service", SLEEP), 201),
        (lambda: fleet.put("a@1.service", state="launched"), 201),
    ]
    for ask, status in asked:
        cluster.kv.faults.unheard = 1
        assert ask().status_code == status
        assert cluster.kv.faults.unheard == 0
