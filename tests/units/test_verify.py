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
    assert str(problem) == (
        "f: cannot run web.target: systemd takes no transient targets;"
        " name the units themselves in WantedBy="
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("web.service", "[Service]\nExecStart=/bin/a %"),
        ("web.timer", "[Timer]\nOnCalendar=never"),
        ("web.socket", "[Socket]\nListenStream=70000"),
    ],
)
def test_a_value_that_is_refused_is_not_said_to_be_missing_too(name: str, line: str) -> None:
    (problem,) = verify_text(line, name)
    assert problem.where == f"{name}:2"


def test_a_file_of_a_mebibyte_is_one_clear_problem() -> None:
    found = verify_text("[A]\nB=" + "x" * 2**20, "a.service", "f")
    assert "f: cannot take a unit file of 1048582 bytes: the limit is 524288" in map(str, found)


@pytest.mark.parametrize("template", [False, True])
def test_a_slice_outside_of_the_clusters_is_a_problem_of_its_line(template: bool) -> None:
    text = "[Service]\nExecStart=/bin/true\nSlice=system.slice\n"
    name = "web@.service" if template else "web.service"
    (problem,) = verify_text(text, name)
    assert (problem.where, problem.directive) == (f"{name}:3", "Slice")
    assert "units of a cluster stay in fleetish.slice" in problem.message
    assert verify_text(text.replace("system", "fleetish-web"), name) == ()


def test_another_name_is_refused_but_not_the_units_own() -> None:
    text = "[Service]\nExecStart=/bin/true\n[Install]\nAlias=www.service\nWantedBy=x.target\n"
    (problem,) = verify_text(text, "web.service")
    assert str(problem).startswith("web.service:4: cannot use Alias=www.service: a transient unit")
    assert verify_text(text, "www.service") == ()
    assert verify_text(text.replace("www.service", ""), "web.service") == ()
