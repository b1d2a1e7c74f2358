"""A cluster in memory whose API speaks fleet v1 on loopback, and plain HTTP to talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.cluster import Cluster, machine, running
from tests.fleet_api.speak import Fleet


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """One registered machine; nobody plans or runs anything."""
    with running() as one:
        one.register(machine())
        yield one


@pytest.fixture
def fleet(cluster: Cluster) -> Iterator[Fleet]:
    with Fleet(cluster.url) as one:
        yield one
