"""Timestamps, which are versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marathon_compat.apps import timestamps
from marathon_compat.apps.errors import BadBody


def test_a_moment_has_one_form() -> None:
    assert timestamps.text(0) == "1970-01-01T00:00:00.000Z"
    assert timestamps.text(1512359869.1984) == "2017-12-04T03:57:49.198Z"


@pytest.mark.parametrize(
    "text",
    ["2017-12-04T03:57:49.198Z", "2017-12-04T03:57:49.1980Z", "2017-12-04T04:57:49.198+01:00",
     "2017-12-04T03:57:49.198"],
)  # fmt: skip
def test_other_forms_are_read(text: str) -> None:
    assert timestamps.normal(text) == "2017-12-04T03:57:49.198Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2017",
        "2017-13-01T00:00:00Z",
        "2017-12-04",
        "20171204T035749Z",
        "٢٠١٧-12-04T03:57Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadBody, match="Invalid timestamp") as caught:
        timestamps.seconds(text)
    assert caught.value.status == 422


@given(st.integers(0, 4_000_000_000_000))
def test_milliseconds_survive(millis: int) -> None:
    assert timestamps.seconds(timestamps.text(millis / 1000)) == millis / 1000


def test_a_version_is_newer_than_those_before_even_when_the_clock_is_not() -> None:
    last = timestamps.text(100.0)
    assert timestamps.after(200.0, last, "") == timestamps.text(200.0)
    assert timestamps.after(100.0, last) == timestamps.text(100.001)
    assert timestamps.after(50.0, last, timestamps.text(70)) == timestamps.text(100.001)
