"""Records to bytes and back: JSON with a schema version in front, ``{"v":1,…}``.

1. What cannot be read is a value, :class:`Quarantined` with the reason, never an exception.
2. A record whose version is newer than ours is not guessed at: quarantined.
3. Fields that we do not know (a newer peer wrote them) are kept and written back with the record.
   Only fields of the record itself; what is inside a known field is ours to rewrite.
4. Reading is cheap: what re-encodes to the same bytes has no unknown fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from fleetish.model import (
    Assignment,
    Content,
    Document,
    Leader,
    Machine,
    Overlay,
    Placement,
    Record,
    Unit,
    UnitState,
)
from fleetish.world import Ident, ident

VERSION = 1
_HEAD = b'{"v":%d' % VERSION

KINDS: Mapping[str, type[Record]] = {
    "leader": Leader,
    "machines": Machine,
    "metadata": Overlay,
    "units": Unit,
    "content": Content,
    "placement": Placement,
    "assigned": Assignment,
    "states": UnitState,
    "docs": Document,
}

_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(record) for kind, record in KINDS.items()
}
_KNOWN = {
    kind: frozenset(field.encode_name for field in msgspec.structs.fields(record)) | {"v"}
    for kind, record in KINDS.items()
}
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()


class _Versioned(msgspec.Struct):
    v: int


_VERSION = msgspec.json.Decoder(_Versioned)


class Decoded(NamedTuple):
    """A record, and the fields of its value that this version does not know, as JSON by name."""

    record: Record
    unknown: Mapping[str, bytes] | None = None


class Quarantined(NamedTuple):
    """A value that could not be read, and why."""

    reason: str


def encode(record: Record, unknown: Mapping[str, bytes] | None = None) -> bytes:
    """A record as it is stored, with fields of its previous value that we do not know."""
    body = _ENCODER.encode(record)
    more = b"" if body == b"{}" else b"," + body[1:-1]
    for name, value in (unknown or {}).items():
        more += b"," + _ENCODER.encode(name) + b":" + value
    return _HEAD + more + b"}"


def decode(where: Ident, raw: bytes) -> Decoded | Quarantined:
    """Read what is stored at a place."""
    kind = where[0]
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return Quarantined(f"no record is known of the kind {kind}")
    try:
        if not raw.startswith(_HEAD) or raw[len(_HEAD) : len(_HEAD) + 1] not in b",}":
            wrong = _other_version(raw)
            if wrong:
                return Quarantined(wrong)
        record: Record = decoder.decode(raw)
        if encode(record) == raw:
            return _in_place(where, Decoded(record))
        return _in_place(where, Decoded(record, _unknown(kind, raw)))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        return Quarantined(f"it cannot be read: {error}")


def _other_version(raw: bytes) -> str:
    """Why a value that does not begin as ours cannot be taken; empty when it can."""
    version = _VERSION.decode(raw).v
    if version > VERSION:
        return f"its schema version {version} is newer than {VERSION}; upgrade fleetish here"
    return "" if version == VERSION else f"its schema version {version} is not known"


def _unknown(kind: str, raw: bytes) -> Mapping[str, bytes] | None:
    known = _KNOWN[kind]
    fields = _FIELDS.decode(raw)
    return {name: bytes(value) for name, value in fields.items() if name not in known} or None


def _in_place(where: Ident, decoded: Decoded) -> Decoded | Quarantined:
    """What was read, unless it says that it belongs elsewhere."""
    if isinstance(decoded.record, Content):
        theirs: Ident = ("content", decoded.record.hash)
    else:
        theirs = ident(decoded.record)
    if theirs != where:
        return Quarantined(f"it says that it belongs to {'/'.join(theirs)}")
    return decoded
