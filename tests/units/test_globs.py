"""Patterns for unit names: Go's path.Match."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.errors import BadOption
from fleetish.units.globs import covers, is_glob, matches


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


@pytest.mark.parametrize(
    ("pattern", "word", "expected"),
    [
        ("a*", "ab.service", True),
        ("a*", "b.service", False),
        ("web@*", "web@*.service", True),
        ("web@*.service", "web@*", False),
        ("*", "web@*", True),
        ("web@1.service", "web@*", False),
        ("web@?.service", "web@*.service", False),
        ("web@*.service", "web@?.service", True),
        ("a?", "a?", True),
        ("a[0-9]", "a[0-9]", True),
        ("a[0-9]", "a5", True),
        ("*", "a[0-9]", False),  # true, but not plain to see
    ],
)
def test_a_pattern_covers_what_it_means_in_any_case(
    pattern: str, word: str, expected: bool
) -> None:
    assert covers(pattern, word) is expected


NAMES = ["".join(chars) for size in range(6) for chars in product("ab", repeat=size)]


@given(st.text("ab*?", max_size=5), st.text("ab*?", max_size=5))
def test_what_a_covered_pattern_means_the_other_means_too(pattern: str, word: str) -> None:
    meant = [name for name in NAMES if matches(word, name)]
    assert not covers(pattern, word) or all(matches(pattern, name) for name in meant)


def test_a_backslash_alone_is_part_of_a_name() -> None:
    assert not is_glob("dev-my\\x2ddisk.mount")
    assert all(is_glob(word) for word in ("web@*", "a?", "[ab]"))
