"""Unit files: read as systemd.syntax(7) says, written back without loss, hashed as fleet did."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.errors import BadUnit
from fleetish.units.file import (
    MAX_TEXT,
    Option,
    content_hash,
    from_options,
    parse,
    problems,
)


def entries(text: str) -> list[tuple[str, str, str, int]]:
    return [(e.section, e.key, e.value, e.line) for e in parse(text).entries]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("[A]\nB=c\n", [("A", "B", "c", 2)]),
        ("[A]\n  B  =  c d  \n", [("A", "B", "c d", 2)]),
        ("[A]\nB=c=d\n", [("A", "B", "c=d", 2)]),
        ("# x\n[A]\n; y\n\nB=c", [("A", "B", "c", 5)]),
        (
            "[A]\nB=1\n[C]\nD=2\n[A]\nB=\n",
            [("A", "B", "1", 2), ("C", "D", "2", 4), ("A", "B", "", 6)],
        ),
        ("[A]\nB=x \\\n  y\\\nz\nC=1", [("A", "B", "x    y z", 2), ("A", "C", "1", 5)]),
        ("[A]\nB=x \\\n# c \\\n ; d\ny\nC=1", [("A", "B", "x  y", 2), ("A", "C", "1", 6)]),
        ("[A]\nB=x \\\n\nC=1", [("A", "B", "x", 2), ("A", "C", "1", 4)]),
        ("[A]\nB=x\\\\\nC=1", [("A", "B", "x\\\\", 2), ("A", "C", "1", 3)]),
        ("[A]\nB=x \\ \nC=1", [("A", "B", "x \\", 2), ("A", "C", "1", 3)]),
        ("[A]\nB=x\\", [("A", "B", "x", 2)]),
        ("[A]\r\nB=c\r\n", [("A", "B", "c", 2)]),
        ("\ufeff[A]\nB=c", [("A", "B", "c", 2)]),
        ("[A]\nB=a\tb", [("A", "B", "a\tb", 2)]),
    ],
)
def test_a_file_is_read_as_systemd_reads_it(
    text: str, expected: list[tuple[str, str, str, int]]
) -> None:
    assert entries(text) == expected
    assert parse(text).render() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[A]x\nB=1", "f:1: cannot read the section header '[A]x': no ] at its end"),
        ("[A\nB=1", "f:1: cannot read the section header '[A': no ] at its end"),
        ("[]\n", "f:1: cannot use '' as a section name"),
        ("[a[b]\n", "f:1: cannot use 'a[b' as a section name"),
        ("B=1\n", "f:1: cannot take a line before the first [Section]"),
        ("[A]\n\nnonsense\n", "f:3: cannot read 'nonsense': it is not Name=Value"),
        ("[A]\n=1\n", "f:2: cannot read '=1': it is not Name=Value"),
        ("[A]\nB=\0\n", "f:2: cannot take B: it holds the control character '\\x00'"),
        ("[A]\nB=x\ry\n", "f:2: cannot take B: it holds the control character '\\r'"),
        ("[A]\nB=\x1b[0m", "f:2: cannot take B: it holds the control character '\\x1b'"),
        ("[A]\nB=\x85", "f:2: cannot take B: it holds the control character '\\x85'"),
        ("[A]\nB=\ud800", "f:2: cannot take B: it holds the control character '\\ud800'"),
        ("[A]\nB=x\\\n\x07", "f:2: cannot take B: it holds the control character '\\x07'"),
    ],
)
def test_a_bad_line_is_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(BadUnit) as caught:
        parse(text, "f")
    assert str(caught.value) == message


def test_all_bad_lines_are_found_and_the_others_still_read() -> None:
    text = "B=1\n[A]\nx\nC=\x01\nD=2\n"
    assert [problem.where for problem in problems(text, "f")] == ["f:1", "f:3", "f:4"]


def test_half_a_mebibyte_is_taken_and_a_byte_more_is_not() -> None:
    head = "[A]\nB="
    parse(head + "x" * (MAX_TEXT - len(head)))
    with pytest.raises(BadUnit, match="the limit is 524288"):
        parse(head + "x" * (MAX_TEXT - len(head) + 1))


def test_an_empty_assignment_resets_what_came_before() -> None:
    file = parse("[A]\nB=1\nB=\nB=2\nB=3\nC=1\nC=\n")
    assert [e.value for e in file.values("A", "B")] == ["2", "3"]
    assert [e.value for e in file.assignments("A", "B")] == ["1", "", "2", "3"]
    assert file.values("A", "C") == ()
    assert file.last("A", "C") is None
    assert file.where(file.values("A", "B")[0]) == "unit:4"


def test_the_normal_form_is_that_of_fleet() -> None:
    text = "# c\n[Unit]\n  A = 1 \n[Service]\nB=x \\\n   y\n[Unit]\n; d\nC=2\n"
    expected = "[Unit]\nA=1\nC=2\n\n[Service]\nB=x \\\n   y\n"
    file = parse(text)
    assert file.normal_form() == expected
    assert file.options() == [
        ("Unit", "A", "1"),
        ("Service", "B", "x \\\n   y"),
        ("Unit", "C", "2"),
    ]
    assert content_hash(file) == hashlib.sha1(expected.encode()).hexdigest()


def test_the_hash_does_not_see_comments_and_blank_lines() -> None:
    assert content_hash(parse("[A]\nB=1\n")) == content_hash(parse("#x\n\n[A]\n\n B = 1\n\n"))
    assert content_hash(parse("[A]\nB=1\n")) == "5714dfe6fc212bf495f5987b533d937f760a7670"


@pytest.mark.parametrize(
    "option",
    [
        ("Service", "ExecStart", "a\nUser=root"),
        ("Service", "Exec=Start", "a"),
        ("Service]\n[X", "A", "b"),
        ("Service", "", "b"),
        ("Service", "#A", "b"),
        ("", "A", "b"),
        ("Service", "A", "b\r"),
    ],
)
def test_an_option_that_would_read_back_differently_is_refused(option: Option) -> None:
    with pytest.raises(BadUnit):
        from_options([("Unit", "Description", "x"), option, ("Service", "Last", "y")])


LINES = st.one_of(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20),
    st.sampled_from(
        ["[A]", "[B]", "# c", "; d \\", "K=v", "K= v \\", "  x=\\", "\\", "", " ", "K=\\\\"]
    ),
)


@given(st.lists(LINES, max_size=12), st.sampled_from(["", "\n"]))
def test_what_is_read_is_written_back_and_its_options_read_the_same(
    lines: list[str], end: str
) -> None:
    text = "\n".join(["[S]", *lines]) + end
    if problems(text):
        return
    file = parse(text)
    again = from_options(file.options())
    assert file.render() == text
    assert content_hash(again) == content_hash(file)
    assert sorted(e[:3] for e in again.entries) == sorted(e[:3] for e in file.entries)
