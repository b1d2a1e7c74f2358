"""Rules of text: what may stand in it, how long it may be, what names look like.

No control characters: what reaches systemd as text could become a directive of its own, and what
reaches HAProxy or a log a line of its own. Only what is handed to a program as it is (commands,
arguments, values of variables) may hold line ends and tabs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from marathon_compat.apps.app import App
from marathon_compat.apps.errors import Wrong

#: Bytes in one argument or ``NAME=value``, at most: Linux' MAX_ARG_STRLEN, with its NUL.
MAX_ARGUMENT = 128 * 1024 - 1
#: Bytes in all variables of an app, in all of its labels, and in its definition, at most.
MAX_ENV = 256 * 1024
MAX_LABELS = 64 * 1024
MAX_APP = 512 * 1024

#: Variables that systemd itself gives a service, or that make every program load what they name.
OWN_VARIABLES = frozenset({
    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
    "MAINPID", "MANAGERPID", "INVOCATION_ID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY",
    "LD_PRELOAD", "LD_AUDIT",
})  # fmt: skip

_ENV_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,253}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?|0|[1-9][0-9]{0,9}")
#: Not user ids, but what stands for "none" in 16 and in 32 bits (systemd: uid_is_valid).
_NO_USERS = ("65535", "4294967295")
_MAX_UID = 2**32 - 1

#: How control characters look in JSON: all are escaped but DEL.
_ESCAPED_CONTROL = re.compile(rb"\\(?:[bfnrt]|u00)|\x7f")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FREE = re.compile(
    r"/cmd|/args\(\d+\)|/env/[^/]*|/healthChecks\(\d+\)/command/value|/check/exec/.*"
)

_BAD_ENV_NAME = (
    "must contain only alphanumeric chars or underscore, and must not begin with a number"
)


def characters(app: App) -> Wrong:
    """No control characters where they could become lines of another's file."""
    encoded = msgspec.json.encode(app)
    if len(encoded) > MAX_APP:
        yield "", f"is {len(encoded)} bytes long, expected {MAX_APP} or less"
    if not _ESCAPED_CONTROL.search(encoded):
        return
    for path, text in _strings(msgspec.json.decode(encoded), ""):
        allowed = _CONTROL_BUT_LINES if _FREE.fullmatch(path) else _CONTROL
        if found := allowed.search(text):
            yield _CONTROL.sub("?", path), f"holds the control character {found[0]!r}"


def _strings(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if _CONTROL.search(key):
                yield path, key
            yield from _strings(item, f"{path}/{_CONTROL.sub('?', key)}")
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from _strings(item, f"{path}({at})")


def sizes(app: App) -> Wrong:
    """What Linux can hand to a program, and what an app may say of itself."""
    for path, text in (("/cmd", app.cmd or ""), *_numbered("/args", app.args or ())):
        if len(text.encode()) > MAX_ARGUMENT:
            yield path, f"must be at most {MAX_ARGUMENT} bytes long"
    total = 0
    for name, value in app.env.items():
        size = len(name.encode()) + len(value.encode()) + 1 if isinstance(value, str) else 0
        total += size
        if size > MAX_ARGUMENT - 1:
            yield f"/env/{name[:80]}", f"must be at most {MAX_ARGUMENT} bytes long"
    if total > MAX_ENV:
        yield "/env", f"is {total} bytes long, expected {MAX_ENV} or less"
    labels = sum(len(name.encode()) + len(value.encode()) for name, value in app.labels.items())
    if labels > MAX_LABELS:
        yield "/labels", f"is {labels} bytes long, expected {MAX_LABELS} or less"


def _numbered(path: str, rows: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    return ((f"{path}({at})", text) for at, text in enumerate(rows))


def names(app: App) -> Wrong:
    """Names of variables, and of the user."""
    for name in app.env:
        if not _ENV_NAME.fullmatch(name):
            yield f"/env/{_CONTROL.sub('?', name)[:80]}", _BAD_ENV_NAME
        elif name in OWN_VARIABLES:
            yield f"/env/{name}", "is not for an app to set; let its command set it if it must be"
    user = app.user
    if user is None:
        return
    number = int(user) if user.isascii() and user.isdigit() else 0
    if not _USER.fullmatch(user) or user in _NO_USERS or number > _MAX_UID:
        yield "/user", "must be the name or number of a user"
