"""Splitting a value into words as systemd does: white space, quotes, backslashes.

Three ways to treat a backslash, one for each kind of directive:

    Escapes.C      C-style: ``\\n``, ``\\x20``, ``\\u00e4`` …; an unknown one stays as it is
    Escapes.DROP   the next character is taken as it is, the backslash goes
    Escapes.KEEP   a backslash is nothing special (unit names hold ``\\x2d``)

A text that does not end its quotes raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto

_SPACE = " \t\n\r"
_SPACES = re.compile(r"[ \t\n\r]+")
_MARKS = frozenset("\"'\\")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtvs\\\"'])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)
_SIMPLE = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "s": " ",
    "\\": "\\",
    '"': '"',
    "'": "'",
}


_NULS = frozenset({r"\x00", r"\000", r"\u0000", r"\U00000000"})


#: Bytes of an argument or a variable, at most (MAX_ARG_STRLEN of execve(2), less its NUL).
LONGEST = 131_071


class Escapes(Enum):
    """What a backslash means between words."""

    C = auto()
    DROP = auto()
    KEEP = auto()


# Nothing follows the repeated groups, so none of these can backtrack for long. No possessive
# quantifiers: on groups they match too much before Python 3.11.5 (gh-106052).
_RAW = {
    True: re.compile(
        r"""(?:[^ \t\n\r"'\\]+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|\\\Z)+""", re.S
    ),
    False: re.compile(r"""(?:[^ \t\n\r"']+|"[^"]*"|'[^']*')+"""),
}
_PIECE = {
    True: re.compile(r"""((?:[^"'\\]|\\.|\\\Z)+)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'""", re.S),
    False: re.compile(r"""([^"']+)|"([^"]*)"|'([^']*)'"""),
}
_BETWEEN_COLONS = re.compile(
    r"""(?:[^"'\\:]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*(?::|\Z)""", re.S
)


def passable(word: str) -> str:
    """The word, if it can be an argument or a variable of a program: longer ones fail each start
    with E2BIG. Raises ValueError."""
    if len(word) > LONGEST // 4 and (size := len(word.encode("utf-8", "replace"))) > LONGEST:
        raise ValueError(f"a word of {size} bytes; the kernel passes {LONGEST} to a program")
    return word


def bare_words(text: str) -> list[str]:
    """The words of a value in which systemd knows neither quotes nor escapes."""
    return [word for word in _SPACES.split(text) if word]


def split(text: str, escapes: Escapes = Escapes.DROP) -> list[str]:
    """The words of a value, quotes and escapes resolved."""
    if escapes is Escapes.DROP and text.endswith("\\"):
        raise ValueError("a backslash at its end stands before nothing")
    if text.isascii() and not _MARKS.intersection(text):
        return text.split()
    return [unquote(raw, escapes) for raw in raw_words(text, escapes)]


def raw_words(text: str, escapes: Escapes) -> Iterator[str]:
    """The words as they are written, quotes and escapes still in place."""
    pattern = _RAW[escapes is not Escapes.KEEP]
    at = 0
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at == len(text):
            return
        found = pattern.match(text, at)
        end = found.end() if found else at
        if found is None or (end < len(text) and text[end] not in _SPACE):
            raise ValueError("a quote is not closed")
        yield found[0]
        at = end


def unquote(raw: str, escapes: Escapes) -> str:
    """One written word without its quotes and with its escapes resolved."""
    if not _MARKS.intersection(raw):
        return raw
    resolve = _RESOLVE[escapes]
    pieces = _PIECE[escapes is not Escapes.KEEP].finditer(raw)
    joined = "".join(
        resolve(next(part for part in piece.groups() if part is not None)) for piece in pieces
    )
    return _as_text(joined)


def colon_words(text: str) -> list[list[str]]:
    """Words whose parts are joined by colons; quotes and a backslash keep a colon from parting."""
    return [_parts(raw) for raw in raw_words(text, Escapes.DROP)]


def _parts(raw: str) -> list[str]:
    found, at, more = [], 0, True
    while more:
        piece = _BETWEEN_COLONS.match(raw, at)
        part = piece[0] if piece else raw[at:]
        more = part.endswith(":")
        found.append(unquote(part.removesuffix(":"), Escapes.DROP))
        at += len(part)
    return found


def check_escapes(text: str) -> None:
    """Raise ValueError when a backslash begins no C-style escape."""
    if "\\" in text and "\\" in _ESCAPE.sub("", text):
        raise ValueError("a backslash in it begins no escape such as \\n or \\x20")


def unescape_bytes(text: str, *, nul: bool = False) -> bytes:
    """C-style escapes resolved in a whole value that has no quotes and may be no text; ``nul``:
    they may stand for NUL. Raises ValueError on an unknown one."""
    if "\\" not in text:
        return text.encode()
    check_escapes(text)
    resolve = _resolve_any if nul else _resolve_one
    return _ESCAPE.sub(resolve, text).encode("utf-8", "surrogateescape")


def _resolve_any(found: re.Match[str]) -> str:
    return "\0" if found[0] in _NULS else _resolve_one(found)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_resolve_one, text) if "\\" in text else text


def _resolve_one(found: re.Match[str]) -> str:
    simple, hexadecimal, octal, short, long = found.groups()
    if simple:
        return _SIMPLE[simple]
    code = int(octal, 8) if octal else int(hexadecimal or short or long, 16)
    if code == 0:
        raise ValueError("an escape stands for the NUL character")
    if hexadecimal or octal:
        if code > 0xFF:
            raise ValueError(f"the escape {found[0]} is no byte")
        # A byte above ASCII is half a character: kept as a surrogate until the word is whole.
        return chr(code) if code < 0x80 else chr(0xDC00 + code)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"the escape {found[0]} is no character")
    return chr(code)


def _as_text(joined: str) -> str:
    if joined.isascii():
        return joined
    try:
        return joined.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("its escapes do not make UTF-8 text") from None


def _drop(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.S) if "\\" in text else text


_RESOLVE: dict[Escapes, Callable[[str], str]] = {
    Escapes.C: _unescape,
    Escapes.DROP: _drop,
    Escapes.KEEP: str,
}
