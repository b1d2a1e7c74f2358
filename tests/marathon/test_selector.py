"""Label selectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.selector import MAX_LENGTH, parse

LABELS = {"tier": "web", "stage": "test", "in": "x", "!!!": "---", "a.b-c_d": "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("tier", True),
        ("color", False),
        ("tier==web", True),
        ("tier == db", False),
        ("tier!=db", True),
        ("tier != web", False),
        ("color!=red", False),
        ("stage in (test, live)", True),
        ("stage in(live)", False),
        ("stage in ()", False),
        ("stage notin (live)", True),
        ("stage notin (test)", False),
        ("color notin (red)", False),
        ("tier==web, stage in (test), in", True),
        ("tier==web, color", False),
        ("in in (x)", True),
        (r"\!\!\! in (\-\-\-, \&)", True),
        ("a.b-c_d==1", True),
    ],
)
def test_a_selector_holds_or_not(text: str, expected: bool) -> None:
    assert parse(text).matches(LABELS) is expected


@pytest.mark.parametrize(
    "text",
    ["==web", "tier=web", "tier==", "tier in web", "tier in (web", "tier,", ",tier", "tier web",
     "tier==web)", "a b==c", "a" * (MAX_LENGTH + 1), "tier==(web)", "!tier"],
)  # fmt: skip
def test_a_malformed_selector_is_refused(text: str) -> None:
    with pytest.raises(BadBody, match="Can not parse label selector") as caught:
        parse(text)
    assert caught.value.status == 422


@given(st.text(min_size=1, max_size=10), st.text(min_size=1, max_size=10))
def test_every_character_can_be_escaped(key: str, value: str) -> None:
    def escaped(text: str) -> str:
        return "".join(f"\\{char}" for char in text)

    assert parse(f"{escaped(key)}=={escaped(value)}").matches({key: value})
    assert not parse(f"{escaped(key)}!={escaped(value)}").matches({key: value})
