"""Unit files of Debian packages: as fleetish starts them, systemctl shows what systemd read."""

from __future__ import annotations

import os

import pytest

from fleetish.lab.cluster import Lab
from tests.corpus.__main__ import SHARE
from tests.corpus.fetch import CannotFetch
from tests.corpus.packages import listed, sample
from tests.corpus.run import Files, Found, compare, files_of


@pytest.fixture(scope="module")
def files() -> Files:
    """The unit files of the sample; skipped where Debian cannot be reached."""
    try:
        return files_of(sample(listed()), print)
    except CannotFetch as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))


@pytest.fixture(scope="module")
def found(host: Lab, files: Files) -> Found:
    return compare(host, files)


def test_at_least_150_packages_are_listed_once_each_in_order() -> None:
    names = listed()
    assert len(names) >= 150
    assert list(names) == sorted(set(names))


def test_the_sample_is_every_sixteenth_package_and_systemd() -> None:
    names = tuple(f"p{number:03}" for number in range(40))
    assert sample(names) == ("p000", "p016", "p032", "systemd")


@pytest.mark.lab
def test_every_package_has_unit_files(files: Files) -> None:
    assert {package for package, _, _ in files} == set(sample(listed()))


@pytest.mark.lab
def test_systemctl_shows_the_same_of_every_unit_that_is_started(found: Found) -> None:
    assert found.different == {}


@pytest.mark.lab
def test_an_agent_adds_what_it_says_and_nothing_else(found: Found) -> None:
    assert found.placed_different == {}


@pytest.mark.lab
def test_systemd_complains_of_no_file_that_is_started(found: Found) -> None:
    assert found.complaints == {}


@pytest.mark.lab
def test_what_is_not_started_is_what_verify_refuses(found: Found) -> None:
    refused = {f"{one.package}/{one.name}" for one in found.sums.verdicts if one.refused}
    assert set(found.refused) == refused
    assert len(found.sums.accepted) > 100


@pytest.mark.lab
def test_an_agent_keeps_out_only_what_asks_for_another_slice(found: Found) -> None:
    reasons = {key: text for key, text in found.kept_out.items() if key not in found.refused}
    assert all("stay in fleetish.slice" in text for text in reasons.values()), reasons


@pytest.mark.lab
def test_nearly_all_directives_translate(found: Found) -> None:
    # The sample holds systemd's own units, the hardest: the whole list has the bound.
    assert found.sums.share >= SHARE - 0.005
