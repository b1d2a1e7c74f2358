"""Patterns for unit names: Go's path.Match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.errors import BadOption
from fleetish.units.globs import matches


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("web.service", "web.service", True),
        ("web.service", "webxservice", False),
        ("web@*.service", "web@1.service", True),
        ("web@*.service", "web@.service", True),
        ("*", "a/b", False),
        ("*", "", True),
        ("a*b*c", "aXbXbc", True),
        ("a*b*c", "aXbXb", False),
        ("*ab", "aab", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("[^a-c]x", "dx", True),
        ("[a-cx]y", "xy", True),
        (r"[\]]", "]", True),
        (r"[\-]", "-", True),
        ("[z-a]", "m", False),
        ("[^z-a]", "m", True),
        ("[[]", "[", True),
        ("[&&]", "&", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        (r"a\x2db", r"ax2db", True),
        ("a.c", "abc", False),
    ],
)
def test_a_pattern_matches_as_in_go(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@pytest.mark.parametrize("pattern", ["[", "[]", "[]a]", "[a", "[-]", "[a-]", "[^]", "a\\", "[\\"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BadOption, match="cannot use the pattern"):
        matches(pattern, "a")


def test_many_stars_do_not_take_for_ever() -> None:
    assert matches("a*" * 100 + "b", "a" * 250) is False


def plain(pattern: str, name: str) -> bool:
    """The definition, for patterns of letters, * and ? only."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(plain(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and plain(pattern[1:], name[1:])


@given(st.text("ab*?", max_size=7), st.text("ab", max_size=9))
def test_stars_and_question_marks_mean_what_they_should(pattern: str, name: str) -> None:
    assert matches(pattern, name) == plain(pattern, name)
