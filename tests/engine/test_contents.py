"""Texts that nobody refers to any more: which are dropped, and when."""

from __future__ import annotations

import msgspec
import pytest

from fleetish.changes import DropContent
from fleetish.engine.contents import sweep
from fleetish.model import Document, Record
from fleetish.store.base import StoredText
from fleetish.testing.build import assigned, machine, unit, world
from fleetish.world import Revision, World

OLD = StoredText("h", 1)


def known(*records: Record) -> World:
    return world(machine("a"), machine("b"), *records)


def test_a_text_without_a_reader_is_dropped_at_the_second_look() -> None:
    first = sweep(known(), [OLD], {})
    assert tuple(first) == ((), {"h": 1})
    drop = DropContent("h", 1, "nothing refers to it")
    assert sweep(known(), [OLD], first.unread) == ((drop,), {"h": 1})


@pytest.mark.parametrize(
    "reader",
    [
        unit("web.service"),
        assigned(unit("web.service"), "a"),
        Document(kind="rollout", id="r", body=msgspec.Raw(b'{"before":{"hash":"h"}}')),
    ],
    ids=["unit", "assignment", "document"],
)
def test_a_text_with_a_reader_is_kept(reader: Record) -> None:
    assert sweep(known(reader), [OLD], {"h": 1}) == ((), {})


def test_a_text_that_was_written_since_the_last_look_begins_anew() -> None:
    assert sweep(known(), [StoredText("h", 2)], {"h": 1}) == ((), {"h": 2})


def test_a_text_that_the_world_is_too_old_for_is_kept() -> None:
    newer = StoredText("h", known().revision + 1)
    assert sweep(known(), [newer], {"h": newer.mod}) == ((), {})


@pytest.mark.parametrize("kind", ["units", "assigned", "docs"])
def test_while_a_record_cannot_be_read_nothing_is_dropped(kind: str) -> None:
    broken = known()
    broken.quarantine((kind, "x", "y"), "junk", Revision(1, 1))
    assert sweep(broken, [OLD], {"h": 1}) == ((), {})


def test_a_lost_machines_record_that_cannot_be_read_holds_nothing_up() -> None:
    broken = known()
    broken.quarantine(("machines", "x"), "junk", Revision(1, 1))
    assert len(sweep(broken, [OLD], {"h": 1}).drops) == 1


def test_many_texts_are_told_apart() -> None:
    used = known(*(unit(f"u{n}.service", digest=f"h{n}") for n in range(0, 10, 2)))
    texts = [StoredText(f"h{n}", 1) for n in range(10)]
    swept = sweep(used, texts, {"h1": 1, "h2": 1, "h3": 1})
    assert [drop.hash for drop in swept.drops] == ["h1", "h3"]
    assert sorted(swept.unread) == ["h1", "h3", "h5", "h7", "h9"]


def test_a_text_that_finds_a_reader_again_begins_anew() -> None:
    again = known(unit("web.service"))
    swept = sweep(again, [OLD], {"h": 1})
    again.drop(("units", "web.service"))
    assert sweep(again, [OLD], swept.unread).drops == ()
