"""Page tokens: where the next page of a list begins; pure.

    base64url( limit, page number: two little-endian 16-bit numbers │ the last row's key )
               └───────────── all of fleet's own token ───────────┘

1. fleet's token is a page's number in a list that is read anew for each page: rows are shown twice
   or never when something comes or goes between two pages, and 16 bits end at row 65,535. Here the
   key decides, so every row that stays is shown once, and the numbers stand for fleet's checks.
2. A token of fleet's, without a key, still leads to the page of that number.
3. fleet adds an empty page where the rows fill the last one exactly; here that one has no token.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from fleetish.api.fleet.schema import FleetError

#: Rows of a page (fleet's token_limit).
LIMIT = 100
#: fleet's page numbers have 16 bits.
LAST_PAGE = 0xFFFF

_HEAD = struct.Struct("<HH")
_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")

T = TypeVar("T")


class Start(NamedTuple):
    """Where a page begins: behind a key, or where that is empty, at a page's number from 1."""

    page: int = 1
    after: str = ""

    @property
    def skip(self) -> int:
        """Rows to pass over."""
        return 0 if self.after else (self.page - 1) * LIMIT


def read_token(values: Sequence[str]) -> Start:
    """Where the page begins that a request's ``nextPageToken`` parameters ask for.

    Raises FleetError with fleet's texts for tokens that it would not take.
    """
    if len(values) > 1:
        raise FleetError(400, "too many values for page token")
    if not values:
        return Start()
    raw = _decode(values[0])
    if len(raw) < _HEAD.size:
        raise FleetError(400, "unexpected EOF" if raw else "EOF")
    limit, page = _HEAD.unpack_from(raw)
    if limit != LIMIT:
        raise FleetError(400, f"token limit must be {LIMIT}")
    if page == 0:
        raise FleetError(400, "token page must be greater than zero")
    return Start(page, raw[_HEAD.size :].decode(errors="replace"))


def write_token(start: Start) -> str:
    """The token that leads to a page."""
    head = _HEAD.pack(LIMIT, min(start.page, LAST_PAGE))
    return base64.urlsafe_b64encode(head + start.after.encode()).decode()


def _decode(text: str) -> bytes:
    """Base64 with the URL alphabet and padding; the error is that of Go's decoder."""
    valid = _ALPHABET.match(text)
    end = valid.end() if valid else 0
    padded = len(text) % 4 == 0 and end >= len(text) - 2 and set(text[end:]) <= {"="}
    if not padded or (end < len(text) and end % 4 < 2):
        at = end if end < len(text) else end - end % 4
        raise FleetError(400, f"illegal base64 data at input byte {at}")
    return base64.urlsafe_b64decode(text)


def cut(rows: Iterable[tuple[str, T]], start: Start) -> tuple[list[T], str]:
    """A page of (key, row) pairs that begin behind ``start.after``, and the token of the next page,
    empty when this is the last."""
    found = list(islice(rows, start.skip, start.skip + LIMIT + 1))
    page = [row for _, row in found[:LIMIT]]
    if len(found) <= LIMIT:
        return page, ""
    return page, write_token(Start(start.page + 1, found[LIMIT - 1][0]))
