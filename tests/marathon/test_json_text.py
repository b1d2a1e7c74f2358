"""Bodies that are no JSON, or more of it than is good."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.json_text import MAX_BODY, MAX_DEPTH, parse
from tests.marathon.bodies import Body, app_bodies


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"[1] 2", "Extra data"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b'{"b": [{"a": 1, "c": 2, "a": 2}]}', "'a' is given twice"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ('{"id": "é"}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (rb'{"a": "\ud800"}', "half of a surrogate pair"),
        (rb'{"\udc00": 1}', "half of a surrogate pair"),
        (b'{"a": "\n"}', "Invalid control character"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested more than 32 deep"),
        (b'{"a":' * 100_000, "nested more than 32 deep"),
        (b'{"a": ' + b"1" * 5000 + b"}", "digits"),
    ],
)
def test_it_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    with pytest.raises(BadBody, match=reason) as caught:
        parse(body)
    assert caught.value.status == 400
    assert caught.value.body()["message"] == "Invalid JSON"
    assert isinstance(caught.value.body()["details"], str)


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_a_missing_body_is_told_from_a_bad_one(body: bytes) -> None:
    with pytest.raises(BadBody) as caught:
        parse(body)
    assert caught.value.body() == {"message": "Please specify data in JSON format"}
    assert caught.value.status == 400


def test_a_body_without_end_is_too_large() -> None:
    with pytest.raises(BadBody) as caught:
        parse(b" " * (MAX_BODY + 1))
    assert caught.value.status == 413


def test_whole_pairs_and_the_depth_that_is_allowed_are_fine() -> None:
    assert parse(rb'{"a": "\ud83d\ude00"}') == {"a": "😀"}
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@given(app_bodies())
def test_what_json_says_is_what_is_read(body: Body) -> None:
    assert parse(json.dumps(body).encode()) == json.loads(json.dumps(body))
