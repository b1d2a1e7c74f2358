"""One URI into one open file: over HTTP, or from a directory that the settings allow.

1. Only the bytes are taken, no Content-Encoding is undone: a .tar.gz stays one.
2. Certificates are checked against the machine's own authorities (ssl(3)), not a bundle of ours.
3. Where a connection really went is looked at before anything is asked, so neither a name that
   means another address by now nor a redirect leads to a network that is closed.
4. No error repeats a URI's password or query.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from fleetish import __version__
from fleetish.errors import FetchFailed
from fleetish.fetch.unpack import Budget

#: Redirects that are followed, and seconds without an answer or without data, at most.
REDIRECTS, SILENCE = 5, 30.0

_CHUNK = 1 << 18

Networks = tuple[IPv4Network | IPv6Network, ...]


class Policy(NamedTuple):
    """What may be fetched: no more than ``size`` bytes, nothing from the networks ``closed``, and
    files of this machine only below ``roots``."""

    size: int
    closed: Networks = ()
    roots: tuple[Path, ...] = ()


class Version(NamedTuple):
    """By what a server tells versions of a file apart (RFC 9110, section 8.8); "" for nothing."""

    etag: str = ""
    modified: str = ""


#: That the version which is held already is the current one.
UNCHANGED = None


def get(uri: str, policy: Policy, file: IO[bytes], held: Version | None = None) -> Version | None:
    """Write the content of a URI to a file; which version it is. With ``held``, UNCHANGED and
    nothing is written when that is current. Raises FetchFailed."""
    if urlsplit(uri).scheme == "file":
        _local(uri, policy, file)
        return Version()
    return _remote(uri, policy, file, held)


def _local(uri: str, policy: Policy, file: IO[bytes]) -> None:
    """Copy a file of this machine. Raises FetchFailed."""
    path = unquote(urlsplit(uri).path, errors="surrogateescape")
    try:
        # Not to be held up by a FIFO; what was opened is judged, not what the name means later.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as reader:
            if not _is_allowed(reader.fileno(), policy.roots):
                raise FetchFailed(
                    "this machine's settings do not allow it",
                    hint="the setting fetch_file_roots names directories",
                )
            _copy(iter(lambda: reader.read(_CHUNK), b""), file, policy.size)
    except OSError as error:
        raise FetchFailed(f"cannot read it: {error.strerror}") from None


def _is_allowed(descriptor: int, roots: tuple[Path, ...]) -> bool:
    real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    below = any(real.is_relative_to(root.resolve()) for root in roots)
    return below and stat.S_ISREG(os.fstat(descriptor).st_mode)


def _remote(uri: str, policy: Policy, file: IO[bytes], held: Version | None) -> Version | None:
    try:
        with (
            _Session(policy.closed) as session,
            session.get(uri, headers=_asking(held), stream=True, timeout=SILENCE) as answer,
        ):
            if answer.status_code == 304 and held is not None:
                return UNCHANGED
            if answer.status_code != 200:
                raise FetchFailed(f"the server answers {answer.status_code} {answer.reason}")
            announced = answer.headers.get("Content-Length", "")
            if announced.isdigit():
                Budget(policy.size).take(int(announced))
            _copy(answer.raw.stream(_CHUNK, decode_content=False), file, policy.size)
            found = answer.headers
            return Version(found.get("ETag", ""), found.get("Last-Modified", ""))
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise FetchFailed(_told(error)) from None


def _asking(held: Version | None) -> dict[str, str]:
    etag, modified = held or Version()
    conditions = {"If-None-Match": etag, "If-Modified-Since": "" if etag else modified}
    return {key: text for key, text in conditions.items() if text}


def _copy(chunks: Iterator[bytes], file: IO[bytes], size: int) -> None:
    budget = Budget(size)
    for chunk in chunks:
        budget.take(len(chunk))
        file.write(chunk)


class _Session(requests.Session):
    """Follows few redirects, and none from https to http."""

    def __init__(self, closed: Networks) -> None:
        super().__init__()
        self.max_redirects = REDIRECTS
        self.headers.update(
            {"User-Agent": f"fleetish/{__version__}", "Accept-Encoding": "identity"}
        )
        if not any(os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")):
            self.verify = _authorities()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(closed))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer leads, or None. Raises FetchFailed when it leads out of TLS."""
        target = super().get_redirect_target(resp)
        secure = (resp.url or "").startswith("https:")
        if target and secure and target.lower().startswith("http:"):
            resp.close()
            raise FetchFailed("it redirects from https to http")
        return target


def _authorities() -> str | bool:
    """The certificates that this machine trusts; requests' own where it has none."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


class _Adapter(HTTPAdapter):
    """Connections that look at where they went."""

    def __init__(self, closed: Networks) -> None:
        self._closed = closed
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        closed = self._closed

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                _look(self, closed)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                _look(self, closed)

        pools = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": Plain}),
            "https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": Secure}),
        }
        self.poolmanager.pool_classes_by_scheme = pools


def _look(connection: HTTPConnection, closed: Networks) -> None:
    """Close a connection that went to a closed network. Raises FetchFailed."""
    if connection.proxy is not None:
        return  # the proxy knows where it goes
    address = ip_address(connection.sock.getpeername()[0].partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in network for network in closed):
        connection.close()
        raise FetchFailed(
            f"{address} is in a network that nothing is fetched from",
            hint="the setting fetch_closed lists them",
        )


def _told(error: Exception) -> str:
    """What went wrong, in words that repeat no part of the URI."""
    if isinstance(error, requests.TooManyRedirects):
        return f"it redirects more than {REDIRECTS} times"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the server's certificate does not hold: {_cause(error, ssl.SSLError)}"
    if isinstance(error, requests.Timeout):
        return f"the server said nothing for {SILENCE:g} seconds"
    if isinstance(error, requests.ConnectionError):
        return f"cannot connect: {_cause(error, OSError)}"
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return f"cannot write it: {error.strerror}"
    return f"the answer broke off or makes no sense ({type(error).__name__})"


def _cause(error: BaseException, kind: type[OSError]) -> str:
    """The reason that lies innermost, as the system put it."""
    found, seen = "no answer", set()
    todo: list[Any] = [error]
    while todo:
        one = todo.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        if (
            isinstance(one, kind)
            and one.strerror
            and not isinstance(one, requests.RequestException)
        ):
            found = getattr(one, "verify_message", "") or one.strerror
        todo += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
    return found
