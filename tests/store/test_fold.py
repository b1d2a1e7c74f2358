"""What a listing says and what events say is the same world."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleetish.model import Placement, Unit
from fleetish.store.base import Batch, Delete, Event, KeyValue, Listing, Put, Txn
from fleetish.store.codec import encode
from fleetish.store.fold import Fold
from fleetish.store.keys import Keys
from fleetish.store.memory import MemoryEtcd
from fleetish.units.xfleet import Requirements
from fleetish.world import Ident, Revision, Touched, World

KEYS = Keys("/f")
NAMES = ("a.service", "b.service", "c.service")


def unit(name: str, digest: str = "h") -> bytes:
    return encode(Unit(name=name, hash=digest))


def activating(name: str, *others: str) -> bytes:
    return encode(Unit(name=name, hash="h", requirements=Requirements(triggers=others)))


def whole(world: World) -> dict[str, Any]:
    """All that a world holds, to compare; the revision that it has reached left out."""
    fields = {name: value for name, value in vars(world).items() if name != "revision"}
    return {**fields, "revisions": {where: world.revision_of(where) for where in world.idents()}}


def fold() -> Fold:
    return Fold(KEYS, World())


VALUES = st.sampled_from(
    [b"", b'{"v":9}', b'{"v":1,"name":"a.service","hash":"h","z":1}']
    + [unit(name, digest) for name in NAMES for digest in "xy"]
    + [encode(Placement(unit=name, machine="m")) for name in NAMES]
    + [activating("a.service", other) for other in NAMES]
)
PLACES = st.sampled_from(
    [KEYS.key((kind, name)) for kind in ("units", "placement", "content") for name in NAMES]
    + ["/f/leader", "/f/strange/key", "/f/docs/app/%2F"]
)
WRITES = st.lists(
    st.lists(
        st.builds(Put, PLACES, VALUES, st.just(0)) | st.builds(Delete, PLACES),
        min_size=1, max_size=4, unique_by=lambda operation: operation.key,
    ),
    max_size=12,
)  # fmt: skip


def history(writes: list[list[Put | Delete]]) -> tuple[MemoryEtcd, list[Batch]]:
    etcd = MemoryEtcd()
    for operations in writes:
        etcd.apply(Txn((), tuple(operations)))
    batches: list[Batch] = []
    while (batch := etcd.next(batches[-1].revision + 1 if batches else 1)) is not None:
        batches.append(batch)
    return etcd, batches


def listed(etcd: MemoryEtcd, revision: int) -> Listing:
    return Listing(revision, etcd.below("/f/", revision))


@given(WRITES)
def test_events_and_a_listing_make_the_same_world(writes: list[list[Put | Delete]]) -> None:
    etcd, batches = history(writes)
    by_events, by_listing = fold(), fold()
    for batch in batches:
        by_events.events(batch)
    by_listing.listing(listed(etcd, etcd.revision), fresh=True)
    assert whole(by_events.world) == whole(by_listing.world)


@given(WRITES, st.data())
def test_a_listing_at_any_time_changes_nothing_that_events_tell(
    writes: list[list[Put | Delete]], data: st.DataObject
) -> None:
    """Lists come before, within and after the events that they overlap, and none is divergence."""
    etcd, batches = history(writes)
    plain, mixed = fold(), fold()
    for batch in batches:
        plain.events(batch)
    asked = data.draw(st.integers(0, len(batches)), label="asked after")
    arrived = data.draw(st.integers(asked, len(batches)), label="arrived after")
    least = batches[asked - 1].revision if asked else 1
    revision = data.draw(st.integers(least, etcd.revision), label="listed at")
    for number, batch in enumerate([*batches, Batch(0, ())]):
        if number == asked:
            mixed.begin()
        if number == arrived:
            mixed.listing(listed(etcd, revision))
        mixed.events(batch)
    mixed.begin()
    mixed.listing(listed(etcd, etcd.revision))
    assert whole(mixed.world) == whole(plain.world)
    assert mixed.divergence == 0


def test_what_the_watch_did_not_tell_is_counted_once() -> None:
    etcd, batches = history(
        [[Put("/f/units/a.service", unit("a.service"))],
         [Put("/f/units/b.service", unit("b.service"))],
         [Delete("/f/units/a.service")]]
    )  # fmt: skip
    kept = fold()
    kept.events(batches[0])
    kept.begin()
    kept.listing(listed(etcd, etcd.revision))
    assert (set(kept.world.units), kept.divergence) == ({"b.service"}, 0)
    for _ in range(2):
        kept.begin()
        kept.listing(listed(etcd, etcd.revision))
        assert kept.divergence == 2


def test_a_listing_that_is_only_faster_than_the_watch_is_no_divergence() -> None:
    etcd, batches = history(
        [[Put("/f/units/a.service", unit("a.service"))], [Delete("/f/units/a.service")],
         [Put("/f/units/a.service", unit("a.service", "new"))]]
    )  # fmt: skip
    kept = fold()
    kept.events(batches[0])
    kept.listing(listed(etcd, etcd.revision))
    for batch in batches[1:]:
        assert kept.events(batch) == Touched()
    kept.listing(listed(etcd, etcd.revision))
    assert kept.divergence == 0


def test_only_what_differs_is_touched_by_a_listing() -> None:
    etcd, batches = history(
        [[Put("/f/units/a.service", unit("a.service"))], [Put("/f/units/b.service", b"junk")]]
    )
    kept = fold()
    assert kept.events(batches[0]) == Touched(units={"a.service"})
    touched = kept.listing(listed(etcd, etcd.revision))
    assert touched == Touched(units={"b.service"}, everything=True)
    assert kept.world.revision_of(("units", "b.service")) == Revision(3, 3)
    assert list(kept.world.quarantined) == [("units", "b.service")]


def test_what_was_deleted_while_a_listing_was_under_way_stays_deleted() -> None:
    kept = fold()
    item = KeyValue("/f/units/a.service", unit("a.service"), 2, 2)
    kept.begin()
    kept.events(Batch(2, (Event(*item),)))
    kept.events(Batch(3, (Event("/f/units/a.service", None, 0, 3),)))
    kept.listing(Listing(2, (item,)))
    assert not kept.world.units


def test_a_newer_record_is_not_overwritten_by_an_older_listing() -> None:
    kept = fold()
    where: Ident = ("units", "a.service")
    kept.begin()
    kept.events(Batch(5, (Event("/f/units/a.service", unit("a.service", "new"), 2, 5),)))
    kept.listing(Listing(4, (KeyValue("/f/units/a.service", unit("a.service", "old"), 2, 4),)))
    assert (kept.world.units["a.service"].hash, kept.world.revision_of(where).mod) == ("new", 5)


def test_a_unit_touches_those_that_it_activates_and_those_that_it_no_longer_does() -> None:
    reader, key = fold(), KEYS.key(("units", "a.socket"))
    values = [activating("a.socket", "a.service"), activating("a.socket", "b.service"), None]
    seen = [
        reader.events(Batch(number, (Event(key, value, 1, number),))).units
        for number, value in enumerate(values, 1)
    ]
    assert seen == [
        {"a.socket", "a.service"},
        {"a.socket", "a.service", "b.service"},
        {"a.socket", "b.service"},
    ]
