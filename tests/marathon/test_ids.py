"""Ids of apps, of the units that stand for their instances, and of tasks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.units.name import MAX_BYTES, parse_name
from marathon_compat.apps import ids
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.ids import TaskId
from tests.marathon.bodies import APP_IDS, PATHS, UUIDS

UUID = "3f2a1c00-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [
        ("web", "/", "/web"),
        ("web", "/shop", "/shop/web"),
        ("/web", "/shop", "/web"),
        ("//a///b//", "/", "/a/b"),
        ("./a/./b", "/", "/a/b"),
        ("../a", "/shop/eu", "/shop/a"),
        ("../../../a", "/shop", "/a"),
        ("..", "/shop/eu", "/shop"),
        ("", "/shop", "/shop"),
        ("/", "/shop", "/"),
        ("", "/", "/"),
    ],
)
def test_a_path_is_made_absolute(path: str, base: str, expected: str) -> None:
    assert ids.canonical(path, base) == expected


@pytest.mark.parametrize(
    "app_id",
    ["/a", "/a/b-c", "/a.b/c", "/0", "/restart/a", "/tasks-of", "/a--b", "/" + "a" * 199],
)
def test_an_id_of_labels_is_fine(app_id: str) -> None:
    assert ids.problems(app_id) == ()


@pytest.mark.parametrize(
    "app_id",
    [
        "/", "/A", "/a_b", "/-a", "/a-", "/a..b", "/.a", "/a.", "/a b", "/a\n[Service]", "/é",
        "/а", "/\u202ea", "/😀", "/a%2e", "/a@b", "/a\\b", "/a/restart", "/tasks", "/a/versions",
        "/" + "a" * 200,
    ],
)  # fmt: skip
def test_an_id_of_anything_else_is_not(app_id: str) -> None:
    assert ids.problems(app_id)


def test_a_path_has_parents_up_to_the_root() -> None:
    assert ids.parents("/a/b/c") == ("/a/b", "/a", "/")
    assert (ids.parent("/a"), ids.parent("/"), ids.parents("/")) == ("/", "/", ())


def test_within_compares_whole_segments() -> None:
    assert ids.within("/prod/a", "/prod")
    assert ids.within("/prod", "/prod")
    assert ids.within("/prod", "/")
    assert not ids.within("/production", "/prod")
    assert not ids.within("/", "/prod")


def test_ids_that_look_alike_have_units_of_their_own() -> None:
    names = {ids.unit_name(app_id, UUID) for app_id in ("/a/b", "/a-b", "/a.b", "/ab")}
    assert len(names) == 4


@given(APP_IDS, UUIDS)
def test_a_unit_tells_its_app_and_is_a_name_that_systemd_takes(app_id: str, uuid: str) -> None:
    unit = ids.unit_name(app_id, uuid)
    assert parse_name(unit).instance == uuid
    assert (ids.app_of_unit(unit), ids.uuid_of_unit(unit)) == (app_id, uuid)


def test_the_longest_id_makes_a_unit_name_that_fits() -> None:
    assert len(ids.unit_name("/" + "a" * (ids.MAX_ID - 1), UUID)) <= MAX_BYTES


@pytest.mark.parametrize(
    "unit",
    ["web@1.service", "marathon_a@1.service", f"marathon_a@{UUID}.timer", "marathon_a.service"],
)
def test_a_unit_of_somebody_else_is_of_no_app(unit: str) -> None:
    assert ids.app_of_unit(unit) is None
    assert ids.uuid_of_unit(unit) == ""


@given(APP_IDS, UUIDS, st.integers(1, 10**9 - 1))
def test_a_task_id_tells_its_parts(app_id: str, uuid: str, run: int) -> None:
    assert ids.parse_task(ids.task_id(app_id, uuid, run)) == TaskId(app_id, uuid, run)
    assert ids.parse_task(ids.instance_id(app_id, uuid)) == TaskId(app_id, uuid)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a_b.instance-{UUID}._app", TaskId("/a/b", UUID)),
        (f"a_b.marathon-{UUID}", TaskId("/a/b", UUID)),
        (f"a.b_c.{UUID}", TaskId("/a.b/c", UUID)),
    ],
)
def test_task_ids_of_older_marathons_are_read(text: str, expected: TaskId) -> None:
    assert ids.parse_task(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "a.instance-1", f"instance-{UUID}", f"A.instance-{UUID}", f"a.instance-{UUID}._app.0",
     f"../a.instance-{UUID}", f"a_.instance-{UUID}", f"a.instance-{UUID}\n"],
)  # fmt: skip
def test_a_bad_task_id_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(BadBody, match="Invalid task id") as caught:
        ids.parse_task(text)
    assert caught.value.status == 400


@given(PATHS)
def test_an_absolute_path_stays_as_it_is(path: str) -> None:
    assert ids.canonical(path, "/elsewhere") == path
