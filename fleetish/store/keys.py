"""Where a record lies in etcd: a place in the world to a key and back.

    /fleetish/v1 / assigned / <machine> / <unit>
    └─ prefix ─┘ └───────── Ident ────────────┘

Unit names and machine ids cannot hold a slash. The ids of documents can hold anything, so they are
percent-encoded (RFC 3986) and read back.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from fleetish.world import Ident

#: Words of an ident by its first word. ``content`` is stored but not part of a world.
SHAPES = {
    "leader": 1,
    "machines": 2,
    "metadata": 2,
    "units": 2,
    "content": 2,
    "placement": 2,
    "assigned": 3,
    "states": 3,
    "docs": 3,
    "schema": 1,
}

#: What a world is made of, as key prefixes below the cluster's own.
LISTED = (
    "assigned/",
    "docs/",
    "leader",
    "machines/",
    "metadata/",
    "placement/",
    "states/",
    "units/",
)


class Keys:
    """The keys of one cluster; ``prefix`` begins with ``/`` and does not end with it."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.root = f"{prefix}/"
        self._cut = len(self.root)

    def key(self, where: Ident) -> str:
        """The key of a place."""
        if where[0] == "docs":
            return f"{self.root}docs/{quote(where[1], safe='')}/{quote(where[2], safe='')}"
        return self.root + "/".join(where)

    def ident(self, key: str) -> Ident | None:
        """The place of a key; None for one that is not this cluster's or not of a known kind."""
        if not key.startswith(self.root):
            return None
        words = tuple(key[self._cut :].split("/"))
        if SHAPES.get(words[0]) != len(words):
            return None
        if words[0] == "docs":
            return _document(words)
        return words

    def of_world(self) -> tuple[str, ...]:
        """The prefixes to list for a whole world: all but the unit files' texts."""
        return tuple(self.root + kind for kind in LISTED)

    def of_machine(self, machine: str) -> tuple[str, ...]:
        """The prefixes that one machine's agent needs: its assignments, states and overlay."""
        return (
            f"{self.root}assigned/{machine}/",
            f"{self.root}states/{machine}/",
            f"{self.root}metadata/{machine}",
        )


def _document(words: Ident) -> Ident | None:
    """A document's place; None where another spelling than ours would be read as the same."""
    kind, name = (unquote(word, errors="surrogateescape") for word in words[1:])
    try:
        ours = (quote(kind, safe=""), quote(name, safe="")) == words[1:]
    except UnicodeEncodeError:
        return None
    return ("docs", kind, name) if ours else None
