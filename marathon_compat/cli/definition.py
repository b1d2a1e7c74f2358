"""What the command line says of an app, as the body of a request; pure but for reading files.

    web.json                       a definition in a file; ``-``: from standard input
    /web instances=3               an id, and properties
    /web env.TIER=blue             one variable; the others stay

A value is JSON where it reads as JSON, text otherwise; where only text can be meant, it is text.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from fleetish.errors import Refused

#: Properties whose value is text, and those whose parts are.
TEXT = frozenset({"id", "cmd", "user", "executor", "role", "killSelection", "version"})
TEXTS = frozenset({"env", "labels"})

#: What is answered of an app that is no part of its definition.
ANSWERED = frozenset(
    {
        *("tasks", "tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "deployments"),
        *("lastTaskFailure", "taskStats", "readinessCheckResults", "version", "versionInfo"),
    }
)

Kind = Literal["app", "apps", "group"]


class Source(NamedTuple):
    """What an argument stands for: an id, or what a file says."""

    kind: Kind
    id: str
    body: Any


def source(word: str) -> Source:
    """An argument: a file, or an id. Raises Refused for a file that holds neither an app, nor a
    list of apps, nor a group."""
    if word == "-":
        return _said(sys.stdin.buffer.read(), "standard input")
    path = Path(word)
    if path.is_file():
        return _said(path.read_bytes(), word)
    if word.endswith(".json"):
        raise Refused(f"cannot read {word}: there is no such file")
    return Source("app", word, {})


def _said(text: bytes, where: str) -> Source:
    try:
        body = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise Refused(f"cannot read {where}: it is no JSON: {error}") from None
    if isinstance(body, list) and all(isinstance(one, dict) for one in body):
        return Source("apps", "", [editable(one) for one in body])
    if not isinstance(body, dict):
        raise Refused(f"cannot read {where}: it is no app, no list of apps and no group")
    kind: Kind = "group" if {"apps", "groups"} & body.keys() else "app"
    found = body.get("id", "/" if kind == "group" else "")
    if not isinstance(found, str) or not found:
        raise Refused(f"cannot tell which app {where} means", hint='it needs an "id"')
    return Source(kind, found, editable(body))


def properties(words: Sequence[str], current: Mapping[str, Any]) -> dict[str, Any]:
    """``KEY=VALUE`` words as a body; of ``a.b=…`` the rest of ``a`` is as in ``current``.

    Raises Refused for a word without ``=``.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise Refused(f"cannot use {word!r}: write KEY=VALUE, such as instances=3")
        top, *rest = key.split(".") if key.split(".")[0] not in TEXTS else key.split(".", 1)
        now = found.get(top, current.get(top))
        found[top] = _put(now, rest, _value(top, text, partly=bool(rest)))
    return found


def _put(now: Any, path: Sequence[str], value: Any) -> Any:
    """A copy of ``now`` in which the place at ``path`` has a value."""
    if not path:
        return value
    held = now if isinstance(now, dict) else {}
    return {**held, path[0]: _put(held.get(path[0]), path[1:], value)}


def _value(top: str, text: str, *, partly: bool) -> Any:
    if top in TEXT or (partly and top in TEXTS):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text


def reaches_inside(words: Sequence[str]) -> bool:
    """True when what a property becomes depends on what it is."""
    return any("." in word.partition("=")[0] for word in words)


def editable(body: Mapping[str, Any]) -> dict[str, Any]:
    """An app or a group as it was answered, without what cannot be said of one. A version that
    stands alone is one to go back to."""
    if body.keys() <= {"id", "version"}:
        return dict(body)
    return {key: value for key, value in body.items() if key not in ANSWERED}
