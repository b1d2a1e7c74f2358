"""Exec lines: ``ExecStart=`` and its kin, with prefixes, quoting and ``;`` (systemd.service(5)).

    -@/bin/sh sh -c "echo hi" ; /bin/true

is two commands: ``/bin/sh`` with argv ``sh -c "echo hi"`` whose failure is ignored, and
``/bin/true``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fleetish.units.words import Escapes, passable, raw_words, unquote

#: systemd's names for what a prefix stands for, in the order in which it lists them.
FLAGS = {
    "-": "ignore-failure",
    "+": "privileged",
    "!": "no-setuid",
    "!!": "ambient",
    ":": "no-env-expand",
}
_PREFIX = re.compile(r"[-@:+!]*")
_SPECIAL = re.compile(r"[\x00-\x1f\x7f\"'\\]")
_PRIVILEGE = re.compile(r"\+|!!?")


class Command(NamedTuple):
    """One command: the program, all its arguments with argv[0], and systemd's flags for it."""

    path: str
    argv: tuple[str, ...]
    flags: tuple[str, ...]


def commands(text: str, expand: Callable[[str], str] = str) -> list[Command]:
    """The commands of an Exec line; specifiers are expanded by ``expand``, word by word.

    Raises ValueError on a line that systemd would not take.
    """
    return [_command(words, expand) for words in _groups(text)]


def _groups(text: str) -> Iterator[list[str]]:
    """The words of each command: a bare ``;`` ends one, ``\\;`` is the argument ``;``."""
    words: list[str] = []
    for raw in raw_words(text, Escapes.C):
        if raw == ";" and words:
            yield words
            words = []
        else:
            words.append(";" if raw == r"\;" and words else unquote(raw, Escapes.C))
    if words:
        yield words


def _command(words: list[str], expand: Callable[[str], str]) -> Command:
    prefix, program = _split_prefix(words[0])
    path = expand(program)
    _check_path(path)
    rest = tuple(passable(expand(word)) for word in words[1:])
    if "@" in prefix:
        if not rest:
            raise ValueError("the prefix @ needs an argument for argv[0]")
        return Command(simplify(path), rest, _flags(prefix))
    return Command(simplify(path), (path, *rest), _flags(prefix))


def _split_prefix(word: str) -> tuple[str, str]:
    """The prefixes and the program. Each prefix counts once; of + ! !! only one may stand."""
    prefix = _PREFIX.match(word)
    assert prefix is not None  # it matches the empty text too
    found = prefix[0]
    privileges = _PRIVILEGE.findall(found)
    if len(privileges) > 1 or any(found.count(mark) > 1 for mark in "-@:"):
        raise ValueError(f"its prefixes {found!r} exclude each other")
    return found, word[len(found) :]


def _flags(prefix: str) -> tuple[str, ...]:
    privilege = _PRIVILEGE.search(prefix)
    marks = {mark for mark in "-:" if mark in prefix} | ({privilege[0]} if privilege else set())
    return tuple(flag for mark, flag in FLAGS.items() if mark in marks)


def simplify(path: str) -> str:
    """The path without doubled and trailing slashes and ``.`` components, as systemd keeps it."""
    if "//" not in path and "/." not in path and not path.endswith("/"):
        return path
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def _check_path(path: str) -> None:
    if not path:
        raise ValueError("it names no program")
    if _SPECIAL.search(path):
        raise ValueError(f"{path!r} has a quote, a backslash or a control character in it")
    if path.endswith("/"):
        raise ValueError(f"{path!r} is a directory")
    if ("/" in path and not path.startswith("/")) or path in (".", ".."):
        raise ValueError(f"{path!r} is neither an absolute path nor the plain name of a program")
