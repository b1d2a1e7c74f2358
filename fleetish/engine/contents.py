"""Which stored texts nobody refers to any more; pure.

1. A text is referred to by units, by assignments (a machine may still have to read it), and by any
   document that holds its hash.
2. Nothing is dropped that was not without a reader in the last sweep too, and was not written
   since: who submits a text under its hash has the time between two sweeps to do so.
3. Whoever refers to a text writes it in the same step. So a text that the world is too old to know
   all readers of has a newer revision than the world, and one that finds a reader after this look
   has a newer revision than the drop compares.
4. A record that cannot be read may refer to anything: while there is one, nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from fleetish.changes import DropContent
from fleetish.store.base import StoredText
from fleetish.world import World

_REFERRING = ("units", "assigned", "docs")


class Swept(NamedTuple):
    """What a look at some texts gave: ``drops``, and ``unread``: by hash the revision of each text
    that nobody refers to."""

    drops: tuple[DropContent, ...]
    unread: Mapping[str, int]


def sweep(world: World, texts: Iterable[StoredText], before: Mapping[str, int]) -> Swept:
    """Look at some texts; ``before`` is what the last sweep over all of them found unread."""
    if any(where[0] in _REFERRING for where in world.quarantined):
        return Swept((), {})
    held = _held(world)
    alone = [one for one in texts if one.mod <= world.revision and one.hash not in held]
    alone = [one for one in alone if not _in_documents(world, one.hash)]
    drops = tuple(
        DropContent(one.hash, one.mod, "nothing refers to it")
        for one in alone
        if before.get(one.hash) == one.mod
    )
    return Swept(drops, {one.hash: one.mod for one in alone})


def _held(world: World) -> Collection[str]:
    """The hashes that units and assignments name."""
    told = (held.hash for there in world.assigned.values() for held in there.values())
    return {unit.hash for unit in world.units.values()}.union(told)


def _in_documents(world: World, digest: str) -> bool:
    """True when some document holds the hash, whatever it is about."""
    raw = digest.encode()
    return any(raw in bytes(document.body) for document in world.documents.values())
