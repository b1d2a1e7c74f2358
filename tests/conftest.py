"""Options of the whole suite, and its rule that continuous integration skips nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code; bench/ measures that.
# In continuous integration the examples are the same each time, so that a change is what fails.
settings.register_profile("fleetish", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("fleetish")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the stories' expected text anew")


def pytest_configure() -> None:
    # A shell that runs this in its background has SIGINT ignored, and so would what is started.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI set, a test that would be skipped has failed: something was not installed."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report
