"""What fleet's clients say, and what they must hear."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.cluster import Cluster
from tests.fleet_api.conversation import FOLDER, fits, hold, read
from tests.fleet_api.speak import Fleet

FILES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_conversation_goes_as_recorded(cluster: Cluster, path: Path) -> None:
    with cluster.obeyed(), Fleet(cluster.url, prefix="") as fleet:
        for turn in read(path):
            hold(fleet, turn)


def test_a_conversation_compares_all_but_what_it_says_it_does_not() -> None:
    assert fits({"a": 1, "b": [2]}, {"a": "*", "b": [2]})
    assert not fits({"a": 1, "b": 2}, {"a": 1})
    assert fits({"a": 1, "b": 2}, {"a": 1}, exact=False)
    assert not fits({"a": []}, {"a": "*"})
