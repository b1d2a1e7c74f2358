"""Every story beside this file is told again, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.stories import perform

STORIES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_the_story_goes_as_written(path: Path, request: pytest.FixtureRequest) -> None:
    told = perform(path.read_text())
    if request.config.getoption("rewrite"):
        path.write_text(told)
    assert told == path.read_text()
