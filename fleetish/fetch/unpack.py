"""Archives into a fresh directory that nobody else writes to; all of one, or an error.

Which members are taken, :mod:`fleetish.fetch.members` says. Symlinks are made last, so that
nothing is ever written through one.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from fleetish.errors import FetchFailed
from fleetish.fetch.members import Kind, Member, Tree, permissions, place

#: Members of one archive, and bytes of a header that only describes the next one, at most.
ENTRIES, HEADER = 200_000, 1 << 20

_CHUNK = 1 << 18

#: What the readers raise on archives that are broken, cut off, encrypted or made to confuse them.
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    LookupError,
    RuntimeError,
)


#: How a compressed tar begins, and what reads it. tarfile's own readers break on broken ones.
COMPRESSED: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
)


class Reader(Protocol):
    """What content is read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


#: A member, and how its content is opened.
Content = tuple[Member, Callable[[], IO[bytes] | None]]


class Budget:
    """How many bytes may still be written."""

    def __init__(self, size: int) -> None:
        self.size = self.left = size

    def take(self, number: int) -> None:
        """Use some of it. Raises FetchFailed when there is not as much."""
        self.left -= number
        if self.left < 0:
            raise FetchFailed(
                f"it is larger than {self.size} bytes", hint="the setting fetch_size allows more"
            )


def unpack(kind: str, source: Path, name: str, into: Path, budget: Budget) -> None:
    """Unpack a "tar", "zip" or "gz" named ``name`` into an empty directory. Raises FetchFailed."""
    try:
        UNPACKERS[kind](source, name, into, budget)
    except BROKEN as error:
        what = str(error) or type(error).__name__
        raise FetchFailed(f"it cannot be unpacked: {what[:300]}") from None


def _gz(source: Path, name: str, into: Path, budget: Budget) -> None:
    with gzip.open(source) as reader:
        _write(into / name[: -len(".gz")], reader, 0o644, budget)


def _tar(source: Path, _: str, into: Path, budget: Budget) -> None:
    with source.open("rb") as file:
        head = file.read(8)
    reads = next((opener for magic, opener in COMPRESSED if head.startswith(magic)), open)
    with (
        reads(source, "rb") as plain,
        tarfile.open(fileobj=plain, mode="r|", tarinfo=_Guarded) as archive,
    ):
        _unpack(_tar_members(archive), into, budget)


def _tar_members(archive: tarfile.TarFile) -> Iterator[Content]:
    while (info := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # kept for going back, to no use here
        yield _from_tar(info), partial(archive.extractfile, info)


class _Guarded(tarfile.TarInfo):
    """A header that cannot make the reader load more than ``HEADER`` bytes of description."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # The one step between a header and what it makes tarfile read, in all versions of 3.11.
        described = self.type in (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if self.size < 0 or (described and self.size > HEADER):
            raise FetchFailed("one of its headers is too large")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return found


def _from_tar(info: tarfile.TarInfo) -> Member:
    kinds = (
        (info.isreg(), Kind.FILE),
        (info.isdir(), Kind.DIRECTORY),
        (info.issym(), Kind.SYMLINK),
        (info.islnk(), Kind.HARD_LINK),
    )
    kind = next((kind for holds, kind in kinds if holds), None)
    if kind is None:
        raise FetchFailed(f"its member {info.name[:200]!r} is a device or something else")
    return Member(info.name, kind, info.mode, info.size, info.linkname)


def _zip(source: Path, _: str, into: Path, budget: Budget) -> None:
    with zipfile.ZipFile(source) as archive:
        every = archive.infolist()
        _unpack(((_from_zip(archive, i), partial(archive.open, i)) for i in every), into, budget)


def _from_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    """A member by the permissions that zip(1) notes on Unix; elsewhere there are none."""
    mode = info.external_attr >> 16
    if info.is_dir():
        return Member(info.filename, Kind.DIRECTORY)
    if stat.S_ISLNK(mode):
        with archive.open(info) as reader:
            target = os.fsdecode(reader.read(1 << 13))
        return Member(info.filename, Kind.SYMLINK, target=target)
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise FetchFailed(f"its member {info.filename[:200]!r} is a device or something else")
    return Member(info.filename, Kind.FILE, stat.S_IMODE(mode) or 0o644, info.file_size)


def _unpack(members: Iterator[Content], into: Path, budget: Budget) -> None:
    tree = Tree()
    links: dict[Path, str] = {}
    for number, (member, content) in enumerate(members):
        if number >= ENTRIES:
            raise FetchFailed(f"it has more than {ENTRIES} members")
        where, parents = tree.add(member)
        for above in parents:
            into.joinpath(*above).mkdir(exist_ok=True)
        target = into.joinpath(*where)
        links.pop(target, None)
        if member.kind is Kind.SYMLINK:
            links[target] = member.target
        else:
            _make((member, content), target, into, budget)
    for link, text in links.items():
        link.unlink(missing_ok=True)
        link.symlink_to(text)


def _make(one: Content, target: Path, into: Path, budget: Budget) -> None:
    member, content = one
    if member.kind is Kind.DIRECTORY:
        target.mkdir(exist_ok=True)
        return
    if member.kind is Kind.HARD_LINK:
        first = into.joinpath(*place(member.target))
        if first != target:
            target.unlink(missing_ok=True)
            os.link(first, target, follow_symlinks=False)
        return
    if member.size > budget.left:
        budget.take(member.size)
    target.unlink(missing_ok=True)
    reader = content()
    assert reader is not None, member
    with reader:
        _write(target, reader, member.mode, budget)


def _write(target: Path, reader: Reader, mode: int, budget: Budget) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(target, flags, 0o600), "wb") as writer:
        while chunk := reader.read(_CHUNK):
            budget.take(len(chunk))
            writer.write(chunk)
        os.fchmod(writer.fileno(), permissions(mode))


UNPACKERS: dict[str, Callable[[Path, str, Path, Budget], None]] = {
    "tar": _tar,
    "zip": _zip,
    "gz": _gz,
}
