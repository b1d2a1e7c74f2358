"""Patterns for unit names with the meaning of Go's path.Match, as fleet's options have them.

``*`` stands for any characters but ``/``, ``?`` for one of them, ``[a-z]`` and ``[^a-z]`` for one
of a class, and ``\\`` takes the next character as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from fleetish.errors import BadOption

_ANY = "\ue000"  # a character that no unit name has
_SPECIAL = re.compile(r"[*?\[\\]")
_CHAR = r"(?:\\(?P<{0}e>.)|(?P<{0}c>[^\\\-\]]))"
_RANGE = re.compile(_CHAR.format("l") + "(?:-" + _CHAR.format("h") + ")?", re.DOTALL)


def matches(pattern: str, name: str) -> bool:
    """True when the whole name fits the pattern. Raises BadOption on a malformed pattern."""
    return _matcher(pattern)(name)


def is_glob(word: str) -> bool:
    """True for a word that may mean several names. A lone backslash is part of a unit's name."""
    return any(char in word for char in "*?[")


def covers(pattern: str, word: str) -> bool:
    """True when every name that ``word`` means, a name or a pattern, fits ``pattern`` too.

    Of two patterns False when that is not plain to see, as with classes and escapes. Raises
    BadOption on a malformed pattern.
    """
    if not is_glob(word) or pattern == word:
        return pattern == word or matches(pattern, word)
    if any(char in pattern + word for char in "[\\"):
        return False
    # Only a star stands for all that a star means; a question mark for what one more means.
    return matches(pattern.replace("?", f"[^{_ANY}]"), word.replace("*", _ANY))


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> Callable[[str], bool]:
    if not _SPECIAL.search(pattern):
        return pattern.__eq__
    found = re.compile(_translate(pattern), re.DOTALL).fullmatch
    return lambda name: found(name) is not None


def _translate(pattern: str) -> str:
    """The pattern as a regular expression that cannot backtrack for long.

    Each piece after a ``*`` is matched where it first fits and then fixed (an atomic group), for a
    piece has one length; only the last piece must reach the end.
    """
    pieces = [""]
    at = 0
    while at < len(pattern):
        if pattern[at] == "*":
            pieces.append("")
            at += 1
        else:
            text, at = _one(pattern, at)
            pieces[-1] += text
    first, *rest = pieces
    if not rest:
        return first
    inner = "".join(f"(?>[^/]*?{piece})" for piece in rest[:-1] if piece)
    return f"{first}{inner}[^/]*{rest[-1]}"


def _one(pattern: str, at: int) -> tuple[str, int]:
    """The expression for the one character described at a place, and the place after it."""
    char = pattern[at]
    if char == "?":
        return "[^/]", at + 1
    if char == "[":
        return _class(pattern, at + 1)
    if char == "\\":
        at += 1
        if at == len(pattern):
            raise BadOption(f"cannot use the pattern {pattern!r}: a backslash ends it")
    return re.escape(pattern[at]), at + 1


def _class(pattern: str, at: int) -> tuple[str, int]:
    negated = pattern.startswith("^", at)
    at += negated
    rows: list[str] = []
    while not pattern.startswith("]", at) or not rows:
        found = _RANGE.match(pattern, at)
        if found is None:
            raise BadOption(f"cannot use the pattern {pattern!r}: its [ ] is malformed")
        low = found["le"] or found["lc"]
        high = found["he"] or found["hc"] or low
        if low <= high:  # Go takes a reversed range too; it matches nothing
            rows.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            rows.append("")
        at = found.end()
    inner = "".join(rows)
    if not inner:
        return (r"[\s\S]" if negated else r"(?!)"), at + 1
    return f"[{'^' if negated else ''}{inner}]", at + 1
