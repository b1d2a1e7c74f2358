"""Good archives are unpacked, and of bad ones nothing leaves the directory that they are given."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetish.errors import FetchFailed
from fleetish.fetch import unpack as unpacking
from fleetish.fetch.unpack import Budget, unpack
from tests.fetch.archives import Row, file, folder, hard, link, tar, zipped

MIB = 1 << 20


@pytest.fixture
def into(tmp_path: Path) -> Iterator[Path]:
    """An empty directory; beside it nothing is ever touched."""
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "secret").write_text("safe")
    target = tmp_path / "a" / "b" / "content"
    target.mkdir(parents=True)
    yield target
    assert sorted(one.name for one in tmp_path.iterdir() if one.is_dir()) == ["a", "beside"]
    assert [*map(str, (tmp_path / "a").iterdir())] == [str(target.parent)]
    assert [*target.parent.iterdir()] == [target]
    assert [one.name for one in beside.iterdir()] == ["secret"]
    assert (beside / "secret").read_text() == "safe"


def found(top: Path) -> dict[str, str]:
    """What is in a directory: the permissions and content of files, the targets of links."""
    told = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            told[name] = f"-> {os.readlink(path)}"
        elif path.is_dir():
            told[name] = "/"
        else:
            told[name] = f"{stat.S_IMODE(path.stat().st_mode):o} {path.read_text()}"
    return told


GOOD = (
    folder("./", mode=0o700),
    file("./run", "one", mode=0o755),
    file("lib//a/./deep", "two", mode=0o666),
    folder("lib", mode=0o2777),
    link("lib/up", "../run"),
    link("current", "lib"),
    link("dangling", "lib/nothing"),
    hard("same", "run"),
)
UNPACKED = {
    "current": "-> lib",
    "dangling": "-> lib/nothing",
    "lib": "/",
    "lib/a": "/",
    "lib/a/deep": "644 two",
    "lib/up": "-> ../run",
    "run": "755 one",
    "same": "755 one",
}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_a_tar_is_unpacked_however_it_is_compressed(
    tmp_path: Path, into: Path, mode: str, form: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tarfile.TarFile, "format", form)
    unpack("tar", tar(tmp_path / "x", *GOOD, mode=mode), "x.tar", into, Budget(MIB))
    assert found(into) == UNPACKED


def test_a_zip_is_unpacked_with_its_permissions_and_links(tmp_path: Path, into: Path) -> None:
    rows = (
        file("run", "one", mode=0o100755),
        file("lib/", mode=0o40755),
        file("lib/a", "two", mode=0),
        file("lib/up", "../run", mode=0o120777),
    )
    unpack("zip", zipped(tmp_path / "x", *rows), "x.zip", into, Budget(MIB))
    assert found(into) == {
        "lib": "/",
        "lib/a": "644 two",
        "lib/up": "-> ../run",
        "run": "755 one",
    }


def test_a_compressed_file_loses_its_ending(tmp_path: Path, into: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(b"text"))
    unpack("gz", tmp_path / "x", "notes.txt.GZ", into, Budget(MIB))
    assert found(into) == {"notes.txt": "644 text"}


def test_of_two_members_of_one_name_the_later_counts(tmp_path: Path, into: Path) -> None:
    rows = (file("a", "1"), hard("b", "a"), file("a", "2"), link("c", "a"), file("c", "3"))
    unpack("tar", tar(tmp_path / "x", *rows), "x.tar", into, Budget(MIB))
    assert found(into) == {"a": "644 2", "b": "644 1", "c": "644 3"}


BAD: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("leads out of the archive", (file("../../beside/x"),)),
    ("leads out of the archive", (file("a/../../../beside/x"),)),
    ("has an absolute name", (file("/tmp/x"),)),
    ("may lead out", (link("a", "/etc"), file("a/passwd"))),
    ("may lead out", (link("a", ".."), file("a/x"))),
    ("may lead out", (link("d/a", "../.."),)),
    ("may lead out", (link("a", "b/../../x"),)),
    ("may lead out", (folder("a/b/c"), link("a/b/c/up", "../../.."), link("x", "a/b/c/up/.."))),
    ("leads through a symlink", (folder("d"), link("a", "d"), file("a/x"))),
    ("is a directory and a symlink", (file("a/x"), link("a", "d"))),
    ("is a symlink and a directory", (link("a", "d"), folder("a"))),
    ("leads through a file", (file("a"), file("a/x"))),
    ("leads out of the archive", (hard("a", "../../../../beside/secret"),)),
    ("has an absolute name", (hard("a", "/etc/passwd"),)),
    ("is a link to what is no file before it", (link("s", "d"), hard("a", "s"))),
    ("is a link to what is no file before it", (hard("a", "later"), file("later"))),
    ("set-user-ID", (file("a", mode=0o4755),)),
    ("set-user-ID", (file("a", mode=0o2755),)),
    ("is a device", (("a", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),)),
    ("is a device", (("a", {"type": tarfile.BLKTYPE}),)),
    ("is a device", (("a", {"type": tarfile.FIFOTYPE}),)),
    ("has a name that no file should have", (file("/".join(["d"] * 101)),)),
    ("File name too long", (file("x" * 256),)),
    ("has no name", (file("./."),)),
)


@pytest.mark.parametrize(("problem", "rows"), BAD, ids=[row[0].replace(" ", "-") for row in BAD])
def test_a_tar_with_a_member_that_may_do_harm_is_refused(
    tmp_path: Path, into: Path, problem: str, rows: tuple[Row, ...]
) -> None:
    source = tar(tmp_path / "x", file("good"), *rows)
    with pytest.raises(FetchFailed, match=problem):
        unpack("tar", source, "x.tar", into, Budget(MIB))


@pytest.mark.parametrize(
    ("problem", "rows"),
    [
        ("leads out of the archive", (file("../../beside/x"),)),
        ("has an absolute name", (file("/tmp/x"),)),
        ("may lead out", (file("a", "/etc", mode=0o120777), file("a/passwd"))),
        ("may lead out", (file("a", "x" * 5000, mode=0o120777),)),
        ("leads through a symlink", (file("a", "d", mode=0o120777), file("a/x"))),
        ("is a device", (file("a", mode=0o20644),)),
        ("set-user-ID", (file("a", mode=0o104755),)),
    ],
)
def test_a_zip_with_a_member_that_may_do_harm_is_refused(
    tmp_path: Path, into: Path, problem: str, rows: tuple[Row, ...]
) -> None:
    source = zipped(tmp_path / "x", file("good"), *rows)
    with pytest.raises(FetchFailed, match=problem):
        unpack("zip", source, "x.zip", into, Budget(MIB))


@pytest.mark.parametrize("kind", ["gz", "tar", "zip"])
def test_a_bomb_is_cut_off_where_the_limit_is(tmp_path: Path, into: Path, kind: str) -> None:
    zeros, source = "\0" * (20 * MIB), tmp_path / "x"
    if kind == "gz":
        source.write_bytes(gzip.compress(zeros.encode()))
    elif kind == "tar":
        tar(source, file("a", zeros), mode="w:gz")
    else:
        zipped(source, file("a", zeros))
    assert source.stat().st_size < MIB
    with pytest.raises(FetchFailed, match=f"larger than {MIB} bytes"):
        unpack(kind, source, "x.gz", into, Budget(MIB))
    assert sum(one.stat().st_size for one in into.rglob("*")) <= MIB


def test_a_sparse_file_counts_with_its_whole_size(tmp_path: Path, into: Path) -> None:
    header = tarfile.TarInfo("sparse")
    header.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "sparse",
        "GNU.sparse.size": str(1 << 40),
        "GNU.sparse.map": "0,1",
    }
    header.size = 1
    with tarfile.open(tmp_path / "x", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header, io.BytesIO(b"x"))
    with pytest.raises(FetchFailed, match=f"larger than {MIB} bytes"):
        unpack("tar", tmp_path / "x", "x.tar", into, Budget(MIB))


def test_members_are_counted(tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "ENTRIES", 10)
    source = tar(tmp_path / "x", *(file(str(n), "") for n in range(11)))
    with pytest.raises(FetchFailed, match="more than 10 members"):
        unpack("tar", source, "x.tar", into, Budget(MIB))


def test_a_header_does_not_make_the_reader_load_what_it_likes(tmp_path: Path, into: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 34
    (tmp_path / "x").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10240)
    with pytest.raises(FetchFailed, match="one of its headers is too large"):
        unpack("tar", tmp_path / "x", "x.tar", into, Budget(MIB))


def test_an_encrypted_zip_is_refused(tmp_path: Path, into: Path) -> None:
    source = zipped(tmp_path / "x", file("a"))
    content = bytearray(source.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    source.write_bytes(content)
    with pytest.raises(FetchFailed, match="encrypted"):
        unpack("zip", source, "x.zip", into, Budget(MIB))


@pytest.mark.parametrize("kind", ["tar", "zip", "gz"])
@pytest.mark.parametrize("content", [b"no archive at all", b"\x1f\x8b", b"PK\x05\x06"])
def test_what_is_no_archive_is_refused(
    tmp_path: Path, into: Path, kind: str, content: bytes
) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FetchFailed, match="it cannot be unpacked"):
        unpack(kind, tmp_path / "x", "x.gz", into, Budget(MIB))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "": bytes,
}


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(("tar", "tar.gz", "tar.xz", "tar.bz2", "zip")), st.integers(0, 2**32))
def test_a_broken_archive_gives_an_error_of_ours_or_less_than_there_was(
    tmp_path: Path, into: Path, kind: str, seed: int
) -> None:
    """Some bytes are changed or cut off; nothing else is raised, and nothing leaves its place."""
    chance = random.Random(seed)
    source = tmp_path / "x"
    if kind == "zip":
        zipped(source, file("run", "one"), file("lib/a", "two" * 99))
    else:
        tar(source, *GOOD)
    content = bytearray(source.read_bytes())
    packed = PACKERS[kind.partition(".")[2]]
    if chance.random() < 0.5:
        content = bytearray(packed(bytes(content)))
        packed = bytes
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    source.write_bytes(packed(bytes(content[: chance.choice((None, len(content) // 2))])))
    target = into / str(seed)
    target.mkdir(exist_ok=True)
    with suppress(FetchFailed):
        unpack(kind[:3], source, "x", target, Budget(MIB))
    for path in target.rglob("*"):
        assert path.resolve().is_relative_to(target)


def test_a_zip_is_no_zip_that_python_cannot_read(tmp_path: Path, into: Path) -> None:
    source = zipped(tmp_path / "x", file("a"))
    content = bytearray(source.read_bytes())
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(mark) + at] = 97  # a method that nobody has
    source.write_bytes(content)
    assert zipfile.is_zipfile(source)
    with pytest.raises(FetchFailed, match="it cannot be unpacked"):
        unpack("zip", source, "x.zip", into, Budget(MIB))
