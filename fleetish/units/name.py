"""Unit names as systemd has them: parse, templates and instances, escaping, slices.

    web@blue.service  =  prefix "web", instance "blue", suffix "service"
    web@.service      =  prefix "web", instance "",     suffix "service"   (a template)
    web.service       =  prefix "web", instance None,   suffix "service"

The rules are those of systemd.unit(5) and systemd-escape(1); the ``systemd-escape`` command is the
oracle of the tests.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from fleetish.errors import BadName

#: The unit types that systemd 252 knows, in its own order.
TYPES = (
    "service",
    "mount",
    "swap",
    "socket",
    "target",
    "device",
    "automount",
    "timer",
    "path",
    "slice",
    "scope",
)

#: The types whose suffix fleetctl leaves alone; any other name gets ``.service`` appended.
CLIENT_TYPES = frozenset({"service", "socket", "timer", "path", "device", "mount", "automount"})

#: Bytes in a unit name, at most (systemd's UNIT_NAME_MAX less its NUL).
MAX_BYTES = 255

#: The slice below which every unit of this cluster runs.
ROOT_SLICE = "fleetish"

_NAME = re.compile(
    r"(?P<prefix>[A-Za-z0-9:_.\\-]+)(?:@(?P<instance>[A-Za-z0-9:_.\\@-]*))?\.(?P<suffix>[a-z]+)",
    re.ASCII,
)
_BODY = re.compile(r"[A-Za-z0-9:_.\\@-]*", re.ASCII)
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.")
_HEX = re.compile(rb"\\x([0-9a-fA-F]{2})")


class UnitName(NamedTuple):
    """A valid unit name in its parts; ``instance`` is None for a plain unit, "" for a template."""

    prefix: str
    instance: str | None
    suffix: str

    @property
    def full(self) -> str:
        """The whole name, as systemd shows it."""
        return f"{self.stem}.{self.suffix}"

    @property
    def stem(self) -> str:
        """The name without its type suffix: systemd's %N, fleet's %N."""
        return self.prefix if self.instance is None else f"{self.prefix}@{self.instance}"

    @property
    def is_template(self) -> bool:
        """True for ``web@.service``: a template, which cannot itself be started."""
        return self.instance == ""

    @property
    def is_instance(self) -> bool:
        """True for ``web@blue.service``: made from a template."""
        return bool(self.instance)

    @property
    def template(self) -> str:
        """The name of the template that an instance or template belongs to; "" for a plain unit."""
        return "" if self.instance is None else f"{self.prefix}@.{self.suffix}"

    def __str__(self) -> str:
        return self.full


@lru_cache(maxsize=16384)
def parse_name(text: str) -> UnitName:
    """The parts of a unit name.

    Raises BadName, saying which rule of systemd.unit(5) the name breaks.
    """
    found = _NAME.fullmatch(text)
    if found is None or found["suffix"] not in TYPES or len(text) > MAX_BYTES:
        raise BadName(f"cannot use {_shown(text)} as a unit name: {_why_not(text)}")
    return UnitName(found["prefix"], found["instance"], found["suffix"])


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _why_not(text: str) -> str:
    stem, dot, suffix = text.rpartition(".")
    if not text:
        return "it is empty"
    if len(text.encode(errors="replace")) > MAX_BYTES:
        return f"it is longer than {MAX_BYTES} bytes"
    if not dot:
        return "it has no type suffix such as .service"
    if suffix not in TYPES:
        return f"systemd has no unit type {_shown(suffix)}"
    if not stem or stem.startswith("@"):
        return "it has no name before the @" if stem else "it has no name before the suffix"
    end = _BODY.match(stem)
    return f"the character {stem[end.end() if end else 0]!r} is not allowed"


def is_valid(text: str) -> bool:
    """True when systemd would take the text as the name of a unit, template or instance."""
    try:
        parse_name(text)
    except BadName:
        return False
    return True


def with_suffix(name: str, types: Collection[str] = TYPES) -> str:
    """The name with ``.service`` appended unless it ends in one of the unit types."""
    return name if name.rpartition(".")[2] in types and "." in name else f"{name}.service"


def instantiate(template: str, instance: str) -> str:
    """``web@.service`` and ``blue`` give ``web@blue.service``; the instance is taken as it is.

    Raises BadName when the first is no template or the result is no valid name.
    """
    parts = parse_name(template)
    if not parts.is_template:
        raise BadName(
            f"cannot make an instance of {template}: it is not a template",
            hint="a template is named like web@.service",
        )
    if not instance:
        raise BadName(f"cannot make an instance of {template}: the instance is empty")
    return parse_name(f"{parts.prefix}@{instance}.{parts.suffix}").full


def escape(text: str) -> str:
    """Any text as a part of a unit name: ``/`` becomes ``-``, the rest ``\\xXX`` where needed."""
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(_escape_byte(byte, first=at == 0) for at, byte in enumerate(raw))


def _escape_byte(byte: int, *, first: bool) -> str:
    if byte == 0x2F:
        return "-"
    if byte in _PLAIN and not (first and byte == 0x2E):
        return chr(byte)
    return f"\\x{byte:02x}"


def unescape(text: str) -> str:
    """What ``escape`` was given. Raises BadName on an escape that is not ``\\xXX``."""
    raw = text.encode("utf-8", "surrogateescape").replace(b"-", b"/")
    # Every backslash must begin a hexadecimal escape, and none may stand for NUL.
    plain = _HEX.sub(b"", raw)
    if b"\\" in plain or rb"\x00" in raw:
        raise BadName(
            f"cannot unescape {_shown(text)}: a backslash must begin an escape like \\x2d"
        )
    whole = _HEX.sub(lambda found: bytes((int(found[1], 16),)), raw)
    return whole.decode("utf-8", "surrogateescape")


def escape_path(path: str) -> str:
    """A path as a part of a unit name, as ``systemd-escape --path`` does; ``/`` becomes ``-``.

    Raises BadName on a path with ``..``.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadName(f"cannot escape the path {_shown(path)}: it has a .. component")
    return escape("/".join(parts)) if parts else "-"


def unescape_path(text: str) -> str:
    """The absolute path that ``escape_path`` was given, simplified.

    Raises BadName on a text that no path gives.
    """
    if text == "-":
        return "/"
    path = unescape(text)
    if not path or any(part in ("", ".", "..") for part in path.split("/")):
        raise BadName(f"cannot unescape {_shown(text)}: it stands for no simple path")
    return f"/{path}"


def slice_for(name: str) -> str:
    """The slice that the unit runs in: one for each plain unit, one for all of a template.

    ``web@blue.service`` gives ``fleetish-web.slice``. A ``-`` in the prefix is escaped, or systemd
    would nest the slices; a prefix that would make the name too long is cut and gets a digest.
    """
    return _slice_of(parse_name(name).prefix)


@lru_cache(maxsize=16384)
def _slice_of(prefix: str) -> str:
    own = escape(prefix)
    room = MAX_BYTES - len(f"{ROOT_SLICE}-.slice")
    if len(own) > room:
        digest = hashlib.sha1(prefix.encode(), usedforsecurity=False).hexdigest()
        own = f"{own[: room - 41]}_{digest}"
    return f"{ROOT_SLICE}-{own}.slice"
