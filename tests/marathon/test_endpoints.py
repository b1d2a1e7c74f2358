"""Paths with ids in them, and what a query asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from marathon_compat.apps.app import App
from marathon_compat.apps.embed import Filters, embedded, flag, group_shown, seconds
from marathon_compat.apps.endpoints import Found, Table, match, segments
from marathon_compat.apps.server import ROUTES

TABLE = Table(ROUTES)
WORDS = st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=5)


def meant(path: str, method: str = "GET") -> tuple[str, str, dict[str, str]]:
    handler, found = TABLE.find(path, method)
    return handler.__name__, found.id, dict(found.words)


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/v2/apps", "GET", ("list_apps", "/", {})),
        ("/v2/apps/", "HEAD", ("list_apps", "/", {})),
        ("/v2/apps//a/b/", "GET", ("show_app", "/a/b", {})),
        ("/v2/apps/a/*", "GET", ("list_group", "/a", {})),
        ("/v2/apps/*", "GET", ("list_group", "/", {})),
        ("/v2/apps/a/*/tasks", "GET", ("list_of_group", "/a", {})),
        ("/v2/apps/a/b/tasks", "DELETE", ("kill_of_app", "/a/b", {})),
        ("/v2/apps/a/tasks/t.1", "DELETE", ("kill_one", "/a", {"task": "t.1"})),
        ("/v2/apps/a/tasks/b", "GET", ("show_app", "/a/tasks/b", {})),
        ("/v2/apps/a/versions/v", "GET", ("version", "/a", {"version": "v"})),
        ("/v2/groups/versions/v", "GET", ("version", "/", {"version": "v"})),
        ("/v2/groups/a/apps", "GET", ("list_apps", "/a", {})),
        ("/v2/queue/a/b/delay", "DELETE", ("delete_delay", "/a/b", {})),
        ("/v2/pods/a::status", "GET", ("part", "/a::status", {})),
        ("/", "GET", ("to_ui", "/", {})),
        ("/api-console/", "GET", ("page", "/", {})),
        ("/api-console/index.html", "GET", ("page", "/", {"page": "index.html"})),
    ],
)
def test_a_path_means_one_thing(
    path: str, method: str, expected: tuple[str, str, dict[str, str]]
) -> None:
    assert meant(path, method) == expected


@given(WORDS, st.lists(st.integers(1, 3), min_size=5, max_size=5))
def test_slashes_between_and_behind_segments_count_for_nothing(
    words: list[str], slashes: list[int]
) -> None:
    path = "".join("/" * count + word for count, word in zip(slashes, words, strict=False))
    assert segments(path + "/") == words
    assert match(["a", "{id}", "z"], ["a", *words, "z"]) == Found("/" + "/".join(words), {})


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v2/app", "GET", 404),
        ("/v2/queue", "PUT", 405),
        ("/ping/x", "GET", 404),
        ("/v2/apps/../etc", "PUT", 422),
        ("/v2/groups/a/./b", "GET", 422),
    ],
)
def test_what_no_row_takes_is_refused(path: str, method: str, status: int) -> None:
    with pytest.raises(HTTPException) as caught:
        TABLE.find(path, method)
    assert caught.value.status_code == status


def test_a_part_is_embedded_by_any_of_its_names() -> None:
    for prefix in ("", "app.", "apps.", "group.apps."):
        assert embedded([f"{prefix}tasks"]) == {"tasks", "deployments"}
    assert embedded(["failures"]) == {"tasks", "lastTaskFailure", "deployments"}
    assert embedded(["nonsense"], frozenset({"counts"})) == {"counts"}


def test_a_group_is_shown_whole_unless_parts_are_named() -> None:
    assert group_shown([])[:3] == (True, True, True)
    assert group_shown(["group.apps.tasks"])[:3] == (True, True, True)
    assert group_shown(["group.apps"])[:3] == (False, True, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("TRUE", True), ("1", False), ("yes", False), ("", False)],
)
def test_only_true_is_true(text: str, value: bool) -> None:
    assert flag({"force": text}, "force") is value
    assert flag({}, "force", True) is True


def test_filters_search_without_regard_to_case() -> None:
    app = App(id="/shop/web", cmd="run Java", labels={"a": "b"})
    assert Filters.read({"cmd": "JAVA", "id": "SHOP", "label": "a==b"}).take(app)
    assert not Filters.read({"cmd": "java", "id": "other"}).take(app)
    assert not Filters.read({"cmd": "x"}).take(App(id="/a"))


def test_seconds_are_read_from_a_query() -> None:
    assert seconds({"deadlineSeconds": "1.5"}, "deadlineSeconds") == 1.5
