"""Fetching from a real server into a real directory, by the functions and by the command."""

from __future__ import annotations

import gzip
import hashlib
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from fleetish.errors import FetchFailed
from fleetish.fetch import download
from fleetish.fetch.cache import Cache, cache_of
from fleetish.fetch.download import Policy
from fleetish.fetch.run import fetch_all
from fleetish.units.fetch import read
from tests.fetch.archives import file, folder, link, tar
from tests.fetch.server import Request, Server, serving

MIB = 1 << 20


@pytest.fixture(autouse=True)
def of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the machine trusts counts."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def box(tmp_path: Path) -> Path:
    found = tmp_path / "box"
    found.mkdir()
    return found


ANYTHING = Policy(MIB)


def run(box: Path, *items: str, policy: Policy = ANYTHING, cache: Cache | None = None) -> list[str]:
    """Fetch items; what was said of them."""
    said: list[str] = []
    fetch_all([read(item) for item in items], box, policy, cache, said.append)
    return said


def why(box: Path, item: str, policy: Policy = ANYTHING) -> str:
    """Why an item cannot be fetched; nothing of it is left."""
    before = sorted(os.listdir(box))
    with pytest.raises(FetchFailed) as found:
        run(box, item, policy=policy)
    assert sorted(os.listdir(box)) == before
    return found.value.message


def packed(tmp_path: Path, *rows: tuple[str, dict[str, object]]) -> bytes:
    return gzip.compress(tar(tmp_path / "packed", *rows).read_bytes())


def test_files_go_where_they_are_wanted(server: Server, box: Path) -> None:
    one = server.gives("/one", b"1")
    two = server.gives("/two", b"2")
    said = run(box, one, f"{two} executable dest=bin/run", f"{two}?key=hush dest=sub/")
    assert said == [f"fetched {one}", f"fetched {two}", f"fetched {two}?…"]
    found = {
        str(path.relative_to(box)): (f"{path.stat().st_mode & 0o777:o}", path.read_bytes())
        for path in box.rglob("*")
        if path.is_file()
    }
    assert found == {"one": ("644", b"1"), "bin/run": ("755", b"2"), "sub/two": ("644", b"2")}


def test_an_archive_is_unpacked_and_merged_into_what_is_there(
    server: Server, box: Path, tmp_path: Path
) -> None:
    uri = server.gives("/a.tgz", packed(tmp_path, folder("lib"), file("lib/a", "new")))
    (box / "lib").mkdir()
    (box / "lib/a").write_text("old")
    (box / "lib/b").write_text("own")
    assert run(box, f"{uri} extract") == [f"unpacked {uri}"]
    assert run(box, f"{uri} extract dest=sub/", f"{uri} extract") != []
    held = {str(p.relative_to(box)): p.read_text() for p in box.rglob("*") if p.is_file()}
    assert held == {"lib/a": "new", "lib/b": "own", "sub/lib/a": "new"}


def test_what_is_fetched_never_goes_through_a_link_that_is_there(
    server: Server, box: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (box / "lib").symlink_to(tmp_path / "out")
    one = server.gives("/one", b"1")
    archive = server.gives("/a.tgz", packed(tmp_path, file("lib/a", "new")))
    assert "lib in its sandbox is no directory" in why(box, f"{one} dest=lib/one")
    run(box, f"{archive} extract")
    assert (os.listdir(tmp_path / "out"), (box / "lib").is_symlink()) == ([], False)


def test_a_link_and_a_directory_take_each_others_place(
    server: Server, box: Path, tmp_path: Path
) -> None:
    first = server.gives("/1.tgz", packed(tmp_path, folder("v1"), link("now", "v1")))
    second = server.gives(
        "/2.tgz", packed(tmp_path, folder("now"), file("now/x"), link("v1", "now"))
    )
    for _ in range(2):
        run(box, f"{first} extract", f"{second} extract")
        assert (box / "v1").is_symlink()
        assert (box / "now" / "x").is_file()


def test_a_bad_archive_leaves_nothing(server: Server, box: Path, tmp_path: Path) -> None:
    uri = server.gives("/a.tgz", packed(tmp_path, file("good"), file("../bad")))
    assert why(box, f"{uri} extract") == (
        f"cannot fetch {uri}: its member '../bad' leads out of the archive"
    )


def test_what_an_earlier_run_did_not_finish_is_removed(server: Server, box: Path) -> None:
    (box / ".fetching-dead").mkdir()
    run(box, server.gives("/one", b"1"))
    assert os.listdir(box) == ["one"]


def test_a_sum_is_checked(server: Server, box: Path) -> None:
    uri, good = server.gives("/one", b"1"), hashlib.sha256(b"1").hexdigest()
    run(box, f"{uri} sha256={good}")
    os.unlink(box / "one")
    told = why(box, f"{uri} sha256={'0' * 64}")
    assert told == f"cannot fetch {uri}: its SHA-256 is {good}, not {'0' * 64}"


def test_content_is_taken_as_it_is_on_the_wire(server: Server, box: Path) -> None:
    body = gzip.compress(b"text")
    run(box, server.gives("/a.gz", body, Content_Encoding="gzip"))
    assert (box / "a.gz").read_bytes() == body
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


def test_a_redirect_is_followed_but_not_for_ever(server: Server, box: Path) -> None:
    server.gives("/one", b"1")
    server.answers["/a"] = lambda request: request.answer(302, Location="/one")
    server.answers["/loop"] = lambda request: request.answer(302, Location="/loop")
    run(box, server.uri("/a"))
    assert (box / "a").read_bytes() == b"1"
    assert why(box, server.uri("/loop")).endswith("it redirects more than 5 times")
    assert len(server.asked) == 2 + 6


def test_a_redirect_leads_to_no_file_of_the_machine(server: Server, box: Path) -> None:
    server.answers["/a"] = lambda request: request.answer(302, Location="file:///etc/passwd")
    assert "the answer broke off or makes no sense" in why(box, server.uri("/a"))


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 500])
def test_any_other_answer_is_a_failure(server: Server, box: Path, status: int) -> None:
    server.answers["/a"] = lambda request: request.answer(status)
    told = why(box, f"{server.uri('/a')}?token=hush")
    assert f"{server.uri('/a')}?…: the server answers {status} " in told
    assert "hush" not in told


def test_too_much_is_not_taken(server: Server, box: Path) -> None:
    def endless(request: Request) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        chunk = b"%x\r\n%s\r\n" % (1 << 16, b"x" * (1 << 16))
        try:
            while True:
                request.wfile.write(chunk)
        except OSError:
            request.close_connection = True

    server.answers["/endless"] = endless
    server.gives("/announced", b"", Content_Length=str(1 << 40))
    for path in ("/endless", "/announced"):
        assert why(box, server.uri(path)).endswith(f"it is larger than {MIB} bytes")


def test_an_answer_that_breaks_off_is_no_file(server: Server, box: Path) -> None:
    def cut(request: Request) -> None:
        request.answer(200, b"half", Content_Length="8")
        request.close_connection = True

    server.answers["/a"] = cut
    assert "the answer broke off" in why(box, server.uri("/a"))


def test_a_server_that_says_nothing_is_given_up(
    server: Server, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def silent(request: Request) -> None:
        over.wait(20)

    server.answers["/a"] = silent
    monkeypatch.setattr(download, "SILENCE", 0.2)
    assert "the server said nothing for 0.2 seconds" in why(box, server.uri("/a"))
    over.set()


def test_where_nobody_listens_the_system_says_why(server: Server, box: Path) -> None:
    uri = server.uri("/a?token=hush")
    server.shutdown()
    server.server_close()
    assert why(box, uri).endswith("cannot connect: Connection refused")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"])
def test_closed_networks_are_asked_nothing_whatever_they_are_called(
    server: Server, box: Path, host: str
) -> None:
    closed = Policy(MIB, tuple(map(ip_network, ("127.0.0.0/8", "::1/128"))))
    server.gives("/a", b"secret")
    port = server.server_address[1]
    told = why(box, f"http://{host}:{port}/a", closed)
    assert "is in a network that nothing is fetched from" in told or host == "localhost"
    assert server.asked == []


def test_files_of_the_machine_are_read_below_the_roots_only(box: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    for folder_ in (root, out):
        folder_.mkdir()
        (folder_ / "x").write_text(folder_.name)
    (root / "way").symlink_to(out / "x")
    os.mkfifo(root / "fifo")
    policy = Policy(MIB, (), (root,))
    run(box, f"file://{root}/x", policy=policy)
    assert (box / "x").read_text() == "root"
    refused = "this machine's settings do not allow it"
    for path in (out / "x", root / "way", root / "fifo", root):
        told = why(box, f"file://{path} dest=y", policy)
        assert refused in told or "Is a directory" in told
    assert "No such file" in why(box, f"file://{root}/nothing", policy)
    assert refused in why(box, "file:///etc/passwd")


def test_the_cache_asks_whether_its_version_is_current(
    server: Server, box: Path, tmp_path: Path
) -> None:
    versions = {"now": "1"}

    def answer(request: Request) -> None:
        etag = f'"{versions["now"]}"'
        if request.headers["If-None-Match"] == etag:
            request.answer(304)
        else:
            request.answer(200, versions["now"].encode(), ETag=etag)

    server.answers["/a"] = answer
    cache = cache_of(tmp_path, os.getuid(), MIB)
    for version in ("1", "1", "2", "2"):
        versions["now"] = version
        run(box, f"{server.uri('/a')} cache", cache=cache)
        assert (box / "a").read_text() == version
    asked = [request.headers["If-None-Match"] for request in server.asked]
    assert asked == [None, '"1"', '"1"', '"2"']
    assert len([*tmp_path.glob(f"{os.getuid()}/*.data")]) == 1


def test_without_a_version_nothing_is_cached(server: Server, box: Path, tmp_path: Path) -> None:
    cache = cache_of(tmp_path, os.getuid(), MIB)
    for body in (b"1", b"2"):
        run(box, f"{server.gives('/a', body)} cache", cache=cache)
        assert (box / "a").read_bytes() == body
    assert [*tmp_path.glob("*/*.data")] == []


def test_the_cache_drops_what_was_used_least_lately(
    server: Server, box: Path, tmp_path: Path
) -> None:
    cache = cache_of(tmp_path, os.getuid(), 250)
    for at, name in enumerate(("/a", "/b", "/c")):
        uri = server.gives(name, name.encode() * 50, ETag='"1"')
        run(box, f"{uri} cache", cache=cache)
        for held in tmp_path.glob("*/*.data"):
            if held.stat().st_mtime > 1000:
                os.utime(held, (at, at))
    kept = {path.read_bytes()[:2] for path in tmp_path.glob("*/*.data")}
    assert kept == {b"/b", b"/c"}


def test_a_cache_survives_files_that_are_gone_or_broken(
    server: Server, box: Path, tmp_path: Path
) -> None:
    cache = cache_of(tmp_path, os.getuid(), MIB)
    item = f"{server.gives('/a', b'1', ETag='x')} cache"
    for pattern in ("*/*.data", "*/*.json"):
        run(box, item, cache=cache)
        for path in tmp_path.glob(pattern):
            path.unlink() if pattern.endswith("data") else path.write_text("{")
        run(box, item, cache=cache)
        assert (box / "a").read_bytes() == b"1"


def test_a_cache_that_somebody_else_can_write_to_is_not_used(tmp_path: Path) -> None:
    own = tmp_path / str(os.getuid())
    own.mkdir()
    own.chmod(0o777)
    with pytest.raises(FetchFailed, match="belongs to somebody else"):
        cache_of(tmp_path, os.getuid(), MIB)
    own.rmdir()
    own.symlink_to("/etc")
    with pytest.raises(FetchFailed, match="belongs to somebody else"):
        cache_of(tmp_path, os.getuid(), MIB)


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that nobody vouches for."""
    command = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test -keyout key -out cert"
    name = ("-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run(
        ["openssl", *command.split(), *name], cwd=folder, check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context


def test_a_certificate_must_hold(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(certificate(tmp_path)) as server:
        uri = server.gives("/a", b"1")
        assert "the server's certificate does not hold: self" in why(box, uri)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        run(box, uri)
        assert (box / "a").read_bytes() == b"1"


def test_a_redirect_does_not_leave_tls(
    server: Server, box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = server.gives("/a", b"1")
    with serving(certificate(tmp_path)) as secure:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        secure.answers["/a"] = lambda request: request.answer(302, Location=plain)
        assert why(box, secure.uri("/a")).endswith("it redirects from https to http")
    assert server.asked == []


def command(box: Path, *args: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-I", "-m", "fleetish.cli.main", "fetch", f"--into={box}"]
    return subprocess.run([*program, *args], capture_output=True, text=True, cwd=box)


def test_the_command_fetches_and_says_so(server: Server, box: Path, tmp_path: Path) -> None:
    # Not imported from where one stands: a sandbox may hold a file of any name.
    (box / "requests.py").write_text("raise SystemExit('imported')\n")
    uri = server.gives("/a", b"1", ETag="x")
    found = command(box, f"--cache={tmp_path}", f"{uri} cache")
    assert (found.returncode, found.stdout, found.stderr) == (0, f"fetched {uri}\n", "")


def test_the_command_goes_on_without_a_cache(server: Server, box: Path) -> None:
    uri = server.gives("/a", b"1")
    found = command(box, "--cache=/proc/nothing", f"{uri} cache")
    assert (found.returncode, found.stdout) == (0, f"fetched {uri}\n")
    assert found.stderr.startswith("fetching without a cache: ")


def test_the_command_leaves_word_of_a_failure_until_it_succeeds(server: Server, box: Path) -> None:
    server.answers["/a"] = lambda request: request.answer(404)
    report, args = box / ".failed", ("--report=.failed", f"{server.uri('/a')}?token=hush")
    found = command(box, *args)
    told = "Failed to fetch all URIs for container: cannot fetch "
    assert found.stderr == f"{told}{server.uri('/a')}?…: the server answers 404 Not Found\n"
    assert (found.returncode, report.read_text()) == (1, found.stderr[:-1])
    server.gives("/a", b"1")
    assert (command(box, *args).returncode, report.exists()) == (0, False)


def test_the_command_ends_in_time_whatever_the_server_does(server: Server, box: Path) -> None:
    def drip(request: Request) -> None:
        over = threading.Event()
        try:
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
                request.wfile.write(bytes((byte,)))
                over.wait(0.05)
        except OSError:
            request.close_connection = True

    server.answers["/a"] = drip
    found = command(box, "--seconds=1.5", server.uri("/a"))
    assert (found.returncode, "it took longer than 1.5 seconds" in found.stderr) == (1, True)
    assert os.listdir(box) == []


def test_what_tar_packs_is_unpacked_as_it_was(server: Server, box: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / ("n" * 120)).mkdir(parents=True)
    (tree / "deep" / ("n" * 120) / ("ü" * 60)).write_text("long")
    (tree / "link").symlink_to("deep")
    os.link(tree / "deep" / ("n" * 120) / ("ü" * 60), tree / "hard")
    packing = subprocess.run(["tar", "-cJf", "-", "-C", tree, "."], check=True, capture_output=True)
    uri = server.gives("/t.tar.xz", packing.stdout)
    run(box, f"{uri} extract")
    subprocess.run(["diff", "-r", "--no-dereference", tree, box], check=True)
