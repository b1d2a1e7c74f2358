"""Lists page by page: whole, in order, and without reading what was read before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from fleetish.api.fleet.options import Options
from fleetish.api.fleet.schema import NO_OPTIONS
from fleetish.store.base import Store
from fleetish.wire import Wish
from tests.api.cluster import Cluster
from tests.fleet_api.speak import Fleet, option

TEXT = "[Service]\nExecStart=/bin/sleep %d\n"


class Shelf:
    """Texts by hash, and how often each was asked for."""

    def __init__(self, **texts: str) -> None:
        self.held = texts
        self.asked: list[str] = []

    async def texts(self, digests: Iterable[str]) -> dict[str, str]:
        wanted = list(digests)
        self.asked += wanted
        return {digest: self.held[digest] for digest in wanted if digest in self.held}


def of(options: Options, *hashes: str) -> dict[str, object]:
    found = asyncio.run(_of(options, hashes))
    return {digest: msgspec.json.decode(raw) for digest, raw in found.items()}


async def _of(options: Options, hashes: tuple[str, ...]) -> dict[str, msgspec.Raw]:
    return dict(await options.of(hashes))


def options_of(shelf: Shelf, kept: int) -> Options:
    store: Store = shelf  # type: ignore[assignment]  # only texts are asked of it
    return Options(store, kept)


def test_a_text_is_read_once_for_all_who_ask() -> None:
    shelf = Shelf(a=TEXT % 1, b=TEXT % 2)
    options = options_of(shelf, kept=1000)
    expected = {
        "a": [option("Service", "ExecStart", "/bin/sleep 1")],
        "b": [option("Service", "ExecStart", "/bin/sleep 2")],
    }
    assert of(options, "a", "b", "a") == expected
    assert of(options, "a", "b") == expected
    assert sorted(shelf.asked) == ["a", "b"]


def test_what_was_asked_for_longest_ago_is_forgotten_first() -> None:
    shelf = Shelf(a=TEXT % 1, b=TEXT % 2, c=TEXT % 3)
    options = options_of(shelf, kept=150)
    for digest in ("a", "b", "a", "c", "a"):
        of(options, digest)
    assert shelf.asked == ["a", "b", "c"]
    of(options, "b")
    assert shelf.asked == ["a", "b", "c", "b"]


def test_a_text_that_is_gone_has_no_options_until_it_is_back() -> None:
    shelf = Shelf()
    options = options_of(shelf, kept=1000)
    assert of(options, "a") == {"a": msgspec.json.decode(NO_OPTIONS)}
    shelf.held["a"] = TEXT % 1
    assert of(options, "a") == {"a": [option("Service", "ExecStart", "/bin/sleep 1")]}


def test_units_and_states_fill_pages_of_a_hundred(cluster: Cluster, fleet: Fleet) -> None:
    names = [f"a{number:03}.service" for number in range(200)]
    with cluster.obeyed():
        with cluster.client() as native:
            native.submit(
                [Wish(name=name, text=TEXT % 9, target="loaded") for name in reversed(names)]
            )
        for name in (names[0], names[-1]):
            fleet.reaches(name, "loaded")
        assert [unit["name"] for unit in fleet.listed("units")] == names
        assert [row["name"] for row in fleet.listed("state")] == names
        assert [row["name"] for row in fleet.listed("state", unitName=names[7])] == names[7:8]
        assert len(fleet.listed("state", machineID="a" * 32)) == 200
        assert fleet.listed("state", machineID="b" * 32) == []
    first = fleet.get("/units")
    assert len(first["units"]) == 100
    second = fleet.get(f"/units?nextPageToken={first['nextPageToken']}")
    assert len(second["units"]) == 100
    assert "nextPageToken" not in second
