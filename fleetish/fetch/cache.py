"""Files that were downloaded before, by URI, with the version that the server named.

    DIRECTORY/UID/            only its user writes here, so nobody is given another's files
        KEY.json              which file holds the URI's content, and the version of it
        KEY-XXXX.data         the content; those used least lately go when it is too much
        KE.lock               held while such a URI is downloaded: one downloads, others wait

The server is asked each time whether the version is current. One that names no version is asked
for the whole file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from fleetish.errors import FetchFailed
from fleetish.fetch.download import Version

#: Downloads into a file, given the version that is held; None when that is current.
Download = Callable[[IO[bytes], Version | None], Version | None]


class Note(msgspec.Struct):
    """What is held of a URI: the file's name, and its version."""

    data: str
    etag: str
    modified: str


class Cache:
    """The cache of one user, of at most ``most`` bytes."""

    def __init__(self, directory: Path, most: int) -> None:
        self._directory = directory
        self._most = most

    def fill(self, uri: str, file: IO[bytes], download: Download) -> None:
        """Write the current content of a URI to a file. Raises FetchFailed or OSError."""
        key = hashlib.sha256(uri.encode()).hexdigest()
        with _locked(self._directory / f"{key[:2]}.lock"):
            held = self._held(key)
            name = f"{key}-{os.urandom(8).hex()}.data"
            fresh = self._directory / name
            try:
                with fresh.open("xb") as writer:
                    version = download(writer, held)
                if version is None:
                    self._use(key, file)
                    return
                _copy(fresh, file)
                if any(version):
                    self._keep(key, Note(name, *version))
            finally:
                if self._note(key) != name:
                    fresh.unlink(missing_ok=True)
        self._shrink()

    def _held(self, key: str) -> Version | None:
        note = self._read(key)
        there = note is not None and (self._directory / note.data).exists()
        return Version(note.etag, note.modified) if note is not None and there else None

    def _note(self, key: str) -> str:
        note = self._read(key)
        return note.data if note else ""

    def _read(self, key: str) -> Note | None:
        try:
            return msgspec.json.decode((self._directory / f"{key}.json").read_bytes(), type=Note)
        except (OSError, msgspec.DecodeError):
            return None

    def _use(self, key: str, file: IO[bytes]) -> None:
        held = self._directory / self._note(key)
        try:
            os.utime(held)
            _copy(held, file)
        except FileNotFoundError:
            raise FetchFailed("it was dropped from the cache just now; try again") from None

    def _keep(self, key: str, note: Note) -> None:
        before = self._note(key)
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as writer:
            writer.write(msgspec.json.encode(note))
        os.replace(writer.name, self._directory / f"{key}.json")
        if before:
            (self._directory / before).unlink(missing_ok=True)

    def _shrink(self) -> None:
        """Drop what was used least lately, until the rest is little enough."""
        held = [(one, one.stat()) for one in self._directory.glob("*.data")]
        total = sum(found.st_size for _, found in held)
        for path, found in sorted(held, key=lambda row: row[1].st_mtime):
            if total <= self._most:
                return
            path.unlink(missing_ok=True)
            total -= found.st_size


def cache_of(directory: Path, uid: int, most: int) -> Cache:
    """The cache of a user below a directory in which anyone may make one.

    Raises FetchFailed when what is there is not the user's own, and OSError.
    """
    own = directory / str(uid)
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o022:
        raise FetchFailed(f"{own} belongs to somebody else", hint="remove it")
    return Cache(own, most)


def _copy(source: Path, file: IO[bytes]) -> None:
    with source.open("rb") as reader:
        shutil.copyfileobj(reader, file, 1 << 18)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
