"""``Fetch=URI [extract] [executable] [cache] [dest=PATH] [sha256=HEX]``: files that a unit needs.

    Fetch=https://example.com/app-1.2.tar.gz extract cache
    Fetch=https://example.com/run executable dest=bin/run

PATH lies below the unit's sandbox; without it the file gets the last name in the URI's path. One
that ends with ``/`` is a directory: the file, or what it is unpacked to, goes there. An archive is
known by the end of its name; ``extract`` of anything else just leaves the file, as the Mesos
fetcher does, and ``executable`` wins over ``extract``.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

#: Files that one unit may fetch, and characters of a URI, at most.
MOST, LONGEST = 100, 4096

SCHEMES = ("http", "https", "file")

#: Ends of names by which archives are known, and what they are.
ARCHIVES = {
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".tar.bz2": "tar",
    ".tbz2": "tar",
    ".tar.xz": "tar",
    ".txz": "tar",
    ".zip": "zip",
    ".gz": "gz",
}

_FLAGS = ("extract", "executable", "cache")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\ud800-\udfff\\]")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_NAME_BYTES = 255


class Fetch(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file to fetch. ``dest`` is a path below the sandbox, or "".

    Raises ValueError for a URI or path that cannot be used.
    """

    uri: str
    extract: bool = False
    executable: bool = False
    cache: bool = False
    dest: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        _check_uri(self.uri)
        _check_path(self.dest)
        if self.sha256 and not _DIGEST.fullmatch(self.sha256):
            raise ValueError("sha256= takes 64 hexadecimal digits")
        if not self.parts:
            raise ValueError(f"{shown(self.uri)} names no file: add dest=PATH")

    def __str__(self) -> str:
        flags = [flag for flag in _FLAGS if getattr(self, flag)]
        named = [f"{key}={text}" for key in ("dest", "sha256") if (text := getattr(self, key))]
        return " ".join([self.uri, *flags, *named])

    @property
    def parts(self) -> tuple[str, ...]:
        """Where the file goes, as path components below the sandbox; () when it has no name."""
        given = tuple(self.dest.rstrip("/").split("/")) if self.dest else ()
        if given and not self.dest.endswith("/"):
            return given
        name = name_of(self.uri)
        return (*given, name) if name else ()

    @property
    def archive(self) -> str:
        """What is to be unpacked: "tar", "zip" or "gz"; "" for a file that stays as it is."""
        if self.executable or not self.extract:
            return ""
        return next((k for n in (self.parts[-1], name_of(self.uri)) if (k := kind(n))), "")

    @property
    def directory(self) -> tuple[str, ...]:
        """Where an archive is unpacked: what ``dest`` names as a directory, else the sandbox."""
        return self.parts[:-1] if self.dest.endswith("/") else ()


def read(text: str) -> Fetch:
    """One file to fetch, as it is written. Raises ValueError saying what is wrong."""
    uri, *options = text.split() or [""]
    given: dict[str, str] = {}
    for word in options:
        key, equals, value = word.partition("=")
        known = ("dest", "sha256") if equals else _FLAGS
        if key not in known or (equals and not value):
            flags = ", ".join(_FLAGS)
            raise ValueError(f"{word!r} is none of {flags}, dest=PATH, sha256=HEX")
        if key in given:
            raise ValueError(f"{key} stands there twice")
        given[key] = value
    return Fetch(
        uri,
        extract="extract" in given,
        executable="executable" in given,
        cache="cache" in given,
        dest=given.get("dest", ""),
        sha256=given.get("sha256", "").lower(),
    )


def read_all(rows: list[str]) -> tuple[Fetch, ...]:
    """The files that a unit fetches, in order, each once. Raises ValueError."""
    found = tuple(dict.fromkeys(read(row) for row in rows))
    if len(found) > MOST:
        raise ValueError(f"a unit may fetch {MOST} files at most")
    return found


def kind(name: str) -> str:
    """What a file of this name is unpacked as; "" when it is no archive."""
    ends = [end for end in ARCHIVES if name.lower().endswith(end) and len(name) > len(end)]
    return ARCHIVES[max(ends, key=len)] if ends else ""


def name_of(uri: str) -> str:
    """The last name in a URI's path, without query; "" where there is none that a file may have."""
    name = unquote(urlsplit(uri).path.rpartition("/")[2], errors="surrogateescape")
    return name if _is_name(name) else ""


def shown(uri: str) -> str:
    """The URI as it may be logged: without a password, and without its query."""
    try:
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "a URI that cannot be read"
    return f"{parts.scheme}://{host}{parts.path}" + ("?…" if parts.query else "")


def _check_uri(uri: str) -> None:
    if not uri:
        raise ValueError("it is empty")
    if len(uri) > LONGEST:
        raise ValueError(f"a URI may have {LONGEST} characters at most")
    if _UNSAFE.search(uri):
        raise ValueError("a URI has no spaces, backslashes or control characters: write %20 …")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{shown(uri)} is no URI: {error}") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"{shown(uri)} is not http://, https:// or file://")
    if parts.scheme == "file":
        _check_file(parts)
    elif not parts.hostname or port == 0 or _is_disguised(parts):
        raise ValueError(f"{shown(uri)} names no host, or hides it behind another before @")


def _is_disguised(parts: SplitResult) -> bool:
    """True for ``http://known.example:80@other/``: what reads like the host is a user's name."""
    password = parts.password or ""
    return "." in (parts.username or "") and (not password or password.isdigit())


def _check_file(parts: SplitResult) -> None:
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or parts.query:
        raise ValueError("a file URI is file:///absolute/path")
    if not path.startswith("/") or "\x00" in path or ".." in path.split("/"):
        raise ValueError("a file URI is file:///absolute/path, without ..")


def _check_path(dest: str) -> None:
    if dest and not all(_is_name(part) for part in dest.removesuffix("/").split("/")):
        raise ValueError(f"dest={dest} is no path below the unit's directory")


def _is_name(name: str) -> bool:
    """True for one component of a path that leads neither up nor out."""
    plain = name not in ("", ".", "..") and "/" not in name
    if not plain or any(ord(char) < 32 or ord(char) == 127 for char in name):
        return False
    return len(name.encode("utf-8", "surrogateescape")) <= _NAME_BYTES
