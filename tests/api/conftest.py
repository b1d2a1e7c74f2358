"""A cluster in memory with its API on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleetish.client import Client
from tests.api.cluster import Cluster, running


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running() as one:
        yield one


@pytest.fixture
def fleet(cluster: Cluster) -> Iterator[Client]:
    with cluster.client() as one:
        yield one
