from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.store.keys import Keys
from fleetish.world import Ident

KEYS = Keys("/fleetish/v1")


@pytest.mark.parametrize(
    ("where", "key"),
    [
        (("leader",), "/fleetish/v1/leader"),
        (("machines", "a1"), "/fleetish/v1/machines/a1"),
        (("units", r"web@a\x2db.service"), r"/fleetish/v1/units/web@a\x2db.service"),
        (("assigned", "a1", "web.service"), "/fleetish/v1/assigned/a1/web.service"),
        (("states", "a1", "web.service"), "/fleetish/v1/states/a1/web.service"),
        (("docs", "app", "/prod/web"), "/fleetish/v1/docs/app/%2Fprod%2Fweb"),
        (("content", "abc"), "/fleetish/v1/content/abc"),
        (("schema",), "/fleetish/v1/schema"),
    ],
)
def test_a_place_has_one_key_and_the_key_that_place(where: Ident, key: str) -> None:
    assert (KEYS.key(where), KEYS.ident(key)) == (key, where)


@given(kind=st.text(min_size=1), name=st.text())
def test_any_document_id_comes_back(kind: str, name: str) -> None:
    try:
        name.encode()
        kind.encode()
    except UnicodeEncodeError:
        return
    where = ("docs", kind, name)
    assert KEYS.ident(KEYS.key(where)) == where


@pytest.mark.parametrize(
    "key",
    [
        "/fleetish/v10/units/a.service",
        "/fleetish/v1",
        "/fleetish/v1/",
        "/fleetish/v1/units",
        "/fleetish/v1/units/a/b",
        "/fleetish/v1/surprise/a",
        "/fleetish/v1/docs/app/a/b",
        "/fleetish/v1/docs/app/%2fprod",
        "/fleetish/v1/docs/app/%ff",
    ],
)
def test_a_key_that_is_not_ours_has_no_place(key: str) -> None:
    assert KEYS.ident(key) is None
