"""Page tokens: fleet's are taken and refused as by fleet, ours lose no row."""

from __future__ import annotations

import base64
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.api.fleet.paging import LIMIT, Start, cut, read_token, write_token
from fleetish.api.fleet.schema import FleetError


def token(limit: int, page: int) -> str:
    return base64.urlsafe_b64encode(struct.pack("<HH", limit, page)).decode()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["EwBMLg=="], "token limit must be 100"),
        ([token(99, 1)], "token limit must be 100"),
        ([token(LIMIT, 0)], "token page must be greater than zero"),
        ([token(LIMIT, 1)] * 2, "too many values for page token"),
        ([""], "EOF"),
        (["ZAA="], "unexpected EOF"),
        (["nonsense!"], "illegal base64 data at input byte 8"),
        (["ZAABAA"], "illegal base64 data at input byte 4"),
        (["ZA=BAA=="], "illegal base64 data at input byte 2"),
    ],
)
def test_a_token_that_fleet_would_not_take_is_refused_in_its_words(
    values: list[str], says: str
) -> None:
    with pytest.raises(FleetError) as caught:
        read_token(values)
    assert (caught.value.status, caught.value.message) == (400, says)


def test_no_token_means_the_first_page() -> None:
    assert read_token([]) == Start()


def test_a_token_of_fleets_leads_to_the_page_of_that_number() -> None:
    assert read_token([token(LIMIT, 3)]) == Start(3)
    assert Start(3).skip == 2 * LIMIT


@given(st.integers(1, 70_000), st.text(min_size=1))
def test_a_token_of_ours_is_read_back(page: int, after: str) -> None:
    assert read_token([write_token(Start(page, after))]) == Start(min(page, 65_535), after)


@given(st.text(max_size=40))
def test_any_text_is_a_start_or_a_refusal(text: str) -> None:
    with suppress(FleetError):
        assert read_token([text]).page > 0


def pages(keys: list[str]) -> list[list[str]]:
    """Every page of these rows, each read anew."""
    found, start = [], Start()
    while True:
        page, text = cut(((key, key) for key in keys if key > start.after), start)
        found.append(page)
        if not text:
            return found
        start = read_token([text])


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 250])
def test_every_row_is_on_one_page_and_no_page_is_empty_but_the_only_one(count: int) -> None:
    keys = [f"u{number:04}" for number in range(count)]
    found = pages(keys)
    assert [key for page in found for key in page] == keys
    assert len(found) == max(1, -(-count // LIMIT))


def test_what_goes_between_two_pages_hides_no_other_row() -> None:
    keys = [f"u{number:04}" for number in range(250)]
    first, text = cut(((key, key) for key in keys), Start())
    left = keys[50:]
    start = read_token([text])
    second, _ = cut(((key, key) for key in left if key > start.after), start)
    assert (first[-1], second[0]) == ("u0099", "u0100")
