from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.model import Content, Document, Leader, Machine, Placement, Record, Target, Unit
from fleetish.resources import Resources
from fleetish.store.codec import KINDS, Decoded, Quarantined, decode, encode
from fleetish.units.xfleet import Requirements
from fleetish.world import Ident

RECORDS: list[tuple[Ident, Record]] = [
    (("leader",), Leader(machine="a")),
    (("machines", "a"), Machine(id="a", host="node1", capacity=Resources(1000, 5, 6))),
    (("units", "a.service"), Unit(name="a.service", hash="h", target=Target.LAUNCHED)),
    (
        ("units", "b.service"),
        Unit(name="b.service", hash="h", requirements=Requirements(global_=True, ports=(0, 80))),
    ),
    (("content", "h"), Content(hash="h", text="[Service]\n")),
    (("docs", "app", "/a"), Document(kind="app", id="/a", body=msgspec.Raw(b'{"a":[1]}'))),
]


@pytest.mark.parametrize(("where", "record"), RECORDS)
def test_a_record_comes_back_as_it_was(where: Ident, record: Record) -> None:
    assert decode(where, encode(record)) == Decoded(record)


def test_the_version_comes_first() -> None:
    assert encode(Leader(machine="a")) == b'{"v":1,"machine":"a"}'


def test_fields_that_a_newer_peer_wrote_are_kept() -> None:
    stored = b'{"v":1,"unit":"a","machine":"m","colour":{"of":["sky", 1.50]},"x":null}'
    read = decode(("placement", "a"), stored)
    unknown = {"colour": b'{"of":["sky", 1.50]}', "x": b"null"}
    assert read == Decoded(Placement(unit="a", machine="m"), unknown)
    again = encode(Placement(unit="a", machine="n"), unknown)
    assert again == b'{"v":1,"unit":"a","machine":"n","colour":{"of":["sky", 1.50]},"x":null}'
    assert decode(("placement", "a"), again) == Decoded(Placement(unit="a", machine="n"), unknown)


def test_other_spellings_of_the_same_are_read_without_unknown_fields() -> None:
    stored = b' { "moves": 0, "machine": "m", "v": 1, "unit": "a" } '
    assert decode(("placement", "a"), stored) == Decoded(Placement(unit="a", machine="m"))


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"", "it cannot be read: Input data was truncated"),
        (b'{"v":2,"unit":"a","machine":"m"}',
         "its schema version 2 is newer than 1; upgrade fleetish here"),
        (b'{"v":12,"unit":"a","machine":"m"}',
         "its schema version 12 is newer than 1; upgrade fleetish here"),
        (b'{"v":0,"unit":"a","machine":"m"}', "its schema version 0 is not known"),
        (b'{"unit":"a","machine":"m"}',
         "it cannot be read: Object missing required field `v`"),
        (b'{"v":1,"unit":"a"}',
         "it cannot be read: Object missing required field `machine`"),
        (b'{"v":1,"unit":"b","machine":"m"}', "it says that it belongs to placement/b"),
        (b'{"v":1,"unit":"a","machine":7}',
         "it cannot be read: Expected `str`, got `int` - at `$.machine`"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_quarantined_with_the_reason(stored: bytes, reason: str) -> None:
    assert decode(("placement", "a"), stored) == Quarantined(reason)


@given(
    where=st.sampled_from([(kind, "a", "b")[:n] for kind in KINDS for n in (1, 2, 3)]),
    stored=st.binary()
    | st.binary().map(lambda tail: b'{"v":1,' + tail)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode),
)
def test_no_bytes_raise(where: Ident, stored: bytes) -> None:
    assert isinstance(decode(where, stored), Decoded | Quarantined)


def test_deep_nesting_is_quarantined() -> None:
    deep = b'{"v":1,"kind":"k","id":"i","more":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert isinstance(decode(("docs", "k", "i"), deep), Quarantined)
