"""Many directives in a file, and spoilt lines: what fleetish takes, systemd reads the same."""

from __future__ import annotations

import pytest

from fleetish.lab.cluster import Lab
from tests.corpus.fuzz import ROUND, attempt
from tests.corpus.generated import KINDS, PLAIN, examples, spoilt_files, whole_files

#: The same files each time; `python -m tests.corpus.fuzz SECONDS` tries others.
NUMBER = 1


def test_every_section_has_directives_to_choose_from() -> None:
    assert {"Unit", *(kind.capitalize() for kind in KINDS)} == {
        section for section, rows in PLAIN.items() if len(rows) > 3
    }


def test_the_same_number_makes_the_same_files() -> None:
    assert examples(spoilt_files(), 20, 5) == examples(spoilt_files(), 20, 5)


@pytest.mark.lab
def test_files_of_many_directives_are_shown_as_systemd_reads_them(host: Lab) -> None:
    taken, found = attempt(host, examples(whole_files(), ROUND, NUMBER))
    assert found == []
    assert taken > ROUND / 2


@pytest.mark.lab
def test_no_spoilt_line_is_taken_that_systemd_drops_or_reads_otherwise(host: Lab) -> None:
    taken, found = attempt(host, examples(spoilt_files(), ROUND, NUMBER))
    assert found == []
    assert taken > ROUND / 5
