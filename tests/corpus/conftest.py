"""A systemd host for the comparisons, and what keeps them from running."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fleetish.lab.cluster import Lab
from tests.lab.conftest import pytest_runtest_setup

__all__ = ["pytest_runtest_setup"]


@pytest.fixture(scope="package")
def host() -> Iterator[Lab]:
    """One host with systemd and dbus, and no fleetish on it."""
    with Lab(f"tc{os.getpid()}", machines=1, bare=True) as lab:
        yield lab
