"""What is kept of events, and for how long."""

from __future__ import annotations

import pytest

from marathon_compat.apps.event_log import KEPT, KEPT_BYTES, EventLog, Place, Told, place, tell
from marathon_compat.apps.events import Event


def told(revision: int, number: int = 1, size: int = 10) -> Told:
    body = b"x" * size
    return Told(Place(revision, number), "app_terminated_event", body, body, b"")


def log(*events: Told) -> EventLog:
    found = EventLog(Place(10))
    found.add(events)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [("17-2", Place(17, 2)), ("17", Place(17)), (" 17-1 ", Place(17, 1)), ("0", Place(0))],
)
def test_an_id_is_read_as_it_is_written(text: str, expected: Place) -> None:
    assert place(text) == expected
    assert str(expected) == text.strip()


@pytest.mark.parametrize("text", ["", "-", "a", "1-", "1-0", "1.5", "٣", "9" * 20, "1-2-3", "+1"])
def test_what_is_no_id_is_not_read_as_one(text: str) -> None:
    assert place(text) is None


def test_a_whole_revision_comes_after_each_event_of_it() -> None:
    assert Place(17, 1) < Place(17, 2) < Place(17) < Place(18, 1)


def test_a_reader_goes_on_after_the_event_that_it_names() -> None:
    kept = log(told(11), told(11, 2), told(13))
    assert [kept.seek(at) for at in (Place(10), Place(11, 1), Place(11), Place(12), Place(13))] == [
        0, 1, 2, 2, 3,
    ]  # fmt: skip


def test_only_what_came_after_the_beginning_is_covered() -> None:
    kept = log(told(11))
    assert [kept.covers(at) for at in (Place(9), Place(10, 3), Place(10), Place(11, 1))] == [
        False, False, True, True,
    ]  # fmt: skip


def test_the_oldest_go_when_there_are_too_many() -> None:
    kept = log(*(told(11 + at) for at in range(KEPT + 3)))
    assert (kept.first, kept.end, kept.start) == (3, KEPT + 3, Place(13, 1))
    assert kept.trimmed
    with pytest.raises(LookupError):
        kept.read(2, 100)


def test_the_oldest_go_when_they_are_too_large() -> None:
    kept = log(*(told(11 + at, size=KEPT_BYTES // 4) for at in range(6)))
    assert kept.end - kept.first == 4


def test_a_portion_is_bounded_but_an_event_is_never_cut() -> None:
    kept = log(*(told(11 + at, size=40) for at in range(5)))
    assert len(kept.read(0, 100)) == 2
    assert len(kept.read(4, 1)) == 1
    assert kept.read(5, 100) == []


def test_what_has_no_plan_is_kept_once_for_all_readers() -> None:
    one = tell(Event("app_terminated_event", {"appId": "/a"}), Place(11, 1), 0.0)
    assert one.light is one.full
    assert one.full.startswith(b"id: 11-1\r\nevent: app_terminated_event\r\ndata: {")
    assert one.full.endswith(b"}\r\n\r\n")
