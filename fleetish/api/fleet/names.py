"""fleet's rules for unit names, in its order and with its texts; pure.

What passes here may still be refused as a name that systemd would not take
(:mod:`fleetish.units.name`).
"""

from __future__ import annotations

import json
import re

from fleetish.api.fleet.schema import FleetError

#: Bytes in a name, at most, by fleet's count.
MAX_BYTES = 256

TYPES = frozenset(
    {
        "service", "socket", "busname", "target", "snapshot", "device", "mount", "automount",
        "swap", "timer", "path", "slice", "scope",
    }
)  # fmt: skip

#: Types that have templates and instances.
TEMPLATED = frozenset({"path", "service", "socket", "target", "timer"})

_STRANGE = re.compile(r"[^A-Za-z0-9:_.\\@-]")


def quoted(text: str) -> str:
    """A text in double quotes, as fleet's messages have it."""
    return json.dumps(text, ensure_ascii=False)


def _rune(char: str) -> str:
    """A character in single quotes."""
    return "'" + {"'": r"\'", '"': '"'}.get(char, quoted(char)[1:-1]) + "'"


def check_name(name: str) -> None:
    """Raises FleetError 400 with the first rule of fleet's that the name breaks."""
    problem = _problem(name)
    if problem:
        raise FleetError(400, problem)


def _problem(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    if not name:
        return "unit name cannot be empty"
    if len(name.encode(errors="replace")) > MAX_BYTES:
        return f"unit name exceeds maximum length ({MAX_BYTES})"
    if not dot:
        return 'unit name must contain "."'
    if not suffix:
        return 'unit name cannot end in "."'
    if suffix not in TYPES:
        return f"invalid unit type: {quoted(suffix)}"
    strange = _STRANGE.search(stem)
    if strange:
        return f"invalid character {_rune(strange[0])} in unit name"
    if name.startswith("@"):
        return 'unit name cannot start in "@"'
    if "@" in stem and suffix not in TEMPLATED:
        return f"cannot use {name}: a {suffix} unit has no instances"
    return ""
