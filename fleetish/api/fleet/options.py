"""Unit files as lists of options, encoded once for everybody who asks.

Units that were made from one template share a text, and a list of ten thousand units is asked for
page by page: what is kept is the JSON, by the text's hash.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import msgspec

from fleetish.api.fleet.schema import NO_OPTIONS
from fleetish.store.base import Store
from fleetish.units.file import UnitFile, read

#: Bytes of JSON that are kept.
KEPT = 32 * 1024 * 1024


class Options:
    """The options of stored texts, by hash."""

    def __init__(self, store: Store, kept: int = KEPT) -> None:
        self._store = store
        self._room = kept
        self._kept: OrderedDict[str, msgspec.Raw] = OrderedDict()
        self._size = 0

    async def of(self, hashes: Iterable[str]) -> Mapping[str, msgspec.Raw]:
        """The options under some hashes; none for a text that was dropped meanwhile."""
        wanted = set(hashes)
        found = {digest: self._kept[digest] for digest in wanted & self._kept.keys()}
        for digest in found:
            self._kept.move_to_end(digest)
        missing = sorted(wanted - found.keys())
        texts = await self._store.texts(missing) if missing else {}
        for digest in missing:
            found[digest] = encoded(texts[digest]) if digest in texts else NO_OPTIONS
            self._keep(digest, found[digest])
        return found

    def learn(self, digest: str, text: str) -> None:
        """Take note of a text that was just written, and will be asked for."""
        self._keep(digest, encoded(text))

    def _keep(self, digest: str, raw: msgspec.Raw) -> None:
        if digest in self._kept or raw is NO_OPTIONS:
            return
        self._kept[digest] = raw
        self._size += len(raw)
        while self._size > self._room:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest)


def encoded(text: str) -> msgspec.Raw:
    """A unit file's options as JSON; lines that cannot be read are left out."""
    return msgspec.Raw(
        msgspec.json.encode(
            [
                {"section": section, "name": name, "value": value}
                for section, name, value in _lenient(text).options()
            ]
        )
    )


def _lenient(text: str) -> UnitFile:
    return read(text, "unit", lambda _: None)
