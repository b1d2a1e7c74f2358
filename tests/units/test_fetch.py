from __future__ import annotations

import pytest

from fleetish.errors import BadOption
from fleetish.units.fetch import Fetch, read, read_all, shown
from fleetish.units.file import parse
from fleetish.units.xfleet import requirements

SUM = "a" * 64


@pytest.mark.parametrize(
    ("text", "expected", "where"),
    [
        ("http://h/x.tgz", Fetch("http://h/x.tgz"), "x.tgz"),
        ("http://h/a%20b?c=d", Fetch("http://h/a%20b?c=d"), "a b"),
        ("http://h/x executable cache", Fetch("http://h/x", executable=True, cache=True), "x"),
        ("http://h/x dest=a/b", Fetch("http://h/x", dest="a/b"), "a/b"),
        ("http://h/x dest=a/", Fetch("http://h/x", dest="a/"), "a/x"),
        ("http://h/?id=3 dest=x", Fetch("http://h/?id=3", dest="x"), "x"),
        (f"https://u:p@h:81/x sha256={SUM}", Fetch("https://u:p@h:81/x", sha256=SUM), "x"),
        ("http://[::1]:80/x", Fetch("http://[::1]:80/x"), "x"),
        ("file:///srv/x", Fetch("file:///srv/x"), "x"),
    ],
)
def test_a_file_is_named_by_its_uri_or_by_dest(text: str, expected: Fetch, where: str) -> None:
    assert read(text) == expected == read(str(expected))
    assert "/".join(expected.parts) == where


@pytest.mark.parametrize(
    ("text", "kind", "directory"),
    [
        ("http://h/x.tar.gz extract", "tar", ""),
        ("http://h/X.TBZ2 extract dest=lib/", "tar", "lib"),
        ("http://h/x.zip extract dest=lib/y", "zip", ""),
        ("http://h/get?x dest=x.txz extract", "tar", ""),
        ("http://h/x.gz extract", "gz", ""),
        ("http://h/x.tar.gz", "", ""),
        ("http://h/x.tar.gz extract executable", "", ""),
        ("http://h/.zip extract", "", ""),
        ("http://h/x.txt extract", "", ""),
    ],
)
def test_an_archive_is_known_by_its_name(text: str, kind: str, directory: str) -> None:
    found = read(text)
    assert (found.archive, "/".join(found.directory)) == (kind, directory)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        ("ftp://h/x", "is not http://, https:// or file://"),
        ("gopher://h/x", "is not http://, https:// or file://"),
        ("unix:/run/docker.sock", "is not http://, https:// or file://"),
        ("x.tar.gz", "is not http://, https:// or file://"),
        ("http:///x", "names no host"),
        ("http://h:0/x", "names no host"),
        ("http://h:99999/x", "is no URI"),
        ("http://[::1/x", "is no URI"),
        ("http://known.example:80@169.254.169.254/x", "hides it behind another before @"),
        ("http://known.example@other/x", "hides it behind another before @"),
        ("http://h\\@other/x", "no spaces, backslashes or control characters"),
        ("http://h/\x01", "no spaces, backslashes or control characters"),
        ("http://h/" + "x" * 4096, "4096 characters at most"),
        ("http://h/", "names no file: add dest=PATH"),
        ("http://h/%2e%2e", "names no file: add dest=PATH"),
        ("http://h/a%2Fb", "names no file: add dest=PATH"),
        ("http://h/%00", "names no file: add dest=PATH"),
        ("file://other/x", "a file URI is file:///absolute/path"),
        ("file:///srv/../etc/shadow", "without .."),
        ("http://h/x dest=/etc/passwd", "no path below the unit's directory"),
        ("http://h/x dest=a/../../b", "no path below the unit's directory"),
        ("http://h/x dest=a//b", "no path below the unit's directory"),
        ("http://h/x dest=" + "x" * 256, "no path below the unit's directory"),
        ("http://h/x dest=", "none of extract, executable, cache, dest=PATH"),
        ("http://h/x unpack", "none of extract, executable, cache, dest=PATH"),
        ("http://h/x extract extract", "extract stands there twice"),
        ("http://h/x sha256=abc", "64 hexadecimal digits"),
    ],
)
def test_what_cannot_be_fetched_is_refused_with_a_reason(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(text)


def test_there_is_a_bound() -> None:
    assert len(read_all([f"http://h/{n}" for n in range(100)])) == 100
    with pytest.raises(ValueError, match="100 files at most"):
        read_all([f"http://h/{n}" for n in range(101)])


def test_what_is_shown_of_a_uri_holds_no_secret() -> None:
    assert shown("https://u:hush@h:81/x?token=hush") == "https://h:81/x?…"
    assert shown("http://[x:hush@") == "a URI that cannot be read"


def test_fetching_implies_a_sandbox_and_needs_a_service() -> None:
    text = "[X-Fleet]\nFetch=http://h/%p.tgz extract\n"
    found = requirements(parse(text), "web@1.service")
    assert (found.sandbox, [str(one) for one in found.fetch]) == (
        True,
        ["http://h/web.tgz extract"],
    )
    with pytest.raises(BadOption, match="only a service has a sandbox"):
        requirements(parse(text), "web.socket")
    with pytest.raises(BadOption, match="cannot be used with RootImage="):
        requirements(parse(f"[Service]\nRootImage=/x\n{text}"), "web.service")
