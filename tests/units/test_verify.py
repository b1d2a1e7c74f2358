"""verify: all that is wrong with a file at once."""

from __future__ import annotations

import pytest

from fleetish.units.file import parse
from fleetish.units.verify import verify, verify_text

GOOD = "[Unit]\nDescription=%i\n[Service]\nExecStart=/bin/web %i\n[X-Fleet]\nConflicts=web@*\n"


@pytest.mark.parametrize("name", ["web@.service", "web@1.service", "web.service"])
def test_a_good_file_has_no_problems(name: str) -> None:
    assert verify(parse(GOOD), name) == ()


def test_every_problem_is_found_and_in_the_order_of_the_lines() -> None:
    text = (
        "[Unit]\nDescripton=x\nnonsense\n[Service]\nExecStart=/bin/a\nNice=99\nMemoryMax=much\n"
        "Environment=A=\x01\n[X-Fleet]\nPorts=0-5\nFoo=1\n[Bar]\nx=1\n"
    )
    found = [(row.where, row.directive) for row in verify_text(text, "web.service", "f")]
    assert found == [
        ("f:2", "Descripton"),
        ("f:3", ""),
        ("f:6", "Nice"),
        ("f:7", "MemoryMax"),
        ("f:8", "Environment"),
        ("f:10", "Ports"),
        ("f:11", "Foo"),
        ("f:13", "x"),
    ]


def test_a_bad_name_is_the_only_problem_there_can_be() -> None:
    assert [row.where for row in verify(parse(GOOD, "f"), "web")] == ["f"]


def test_a_type_that_cannot_be_run_is_a_problem() -> None:
    (problem,) = verify(parse("[Unit]\nDescription=x\n", "f"), "web.target")
    assert str(problem) == "f: cannot run web.target: units of type target cannot be translated yet"


def test_a_file_of_a_mebibyte_is_one_clear_problem() -> None:
    found = verify_text("[A]\nB=" + "x" * 2**20, "a.service", "f")
    assert "f: cannot take a unit file of 1048582 bytes: the limit is 524288" in map(str, found)
