"""How the client's requests travel: over TCP or a Unix socket, and why they did not arrive."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests

#: Seconds to connect.
CONNECT = 2.0


def url_of(endpoint: str) -> str:
    """The endpoint for requests; a socket's path goes into the host part, in hexadecimal since
    hosts lose their case."""
    if endpoint.startswith("unix:"):
        path = "/" + endpoint.removeprefix("unix:").lstrip("/")
        return f"http+unix://{path.encode().hex()}"
    return endpoint


def lines_of(response: requests.Response) -> Iterator[bytes]:
    """Lines as they arrive: a small chunk would otherwise wait for a large one to fill."""
    rest = b""
    while True:
        part = response.raw.read1() if hasattr(response.raw, "read1") else response.raw.read(1)
        if not part:
            if rest:
                yield rest
            return
        *lines, rest = (rest + part).split(b"\n")
        yield from lines


def never_sent(error: Exception) -> bool:
    """True when no byte of the request can have reached anybody: the connection was not made."""
    import requests
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return isinstance(cause, NewConnectionError)


def again_if_closed(ask: Callable[[], requests.Response]) -> requests.Response:
    """The answer to a question that may be asked twice: the connection that was kept from the last
    one may be closed from afar in the moment in which it is used again."""
    import requests

    try:
        return ask()
    except requests.exceptions.ConnectionError as error:
        if reason_of(error) != _CLOSED:
            raise
        return ask()


def reason_of(error: Exception) -> str:
    """The last words of a chain of foreign errors."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return "it does not answer"
    text = str(error)
    for known, said in _REASONS:
        if known in text:
            return said
    return text


_CLOSED = "it closed the connection"
_REASONS = (
    ("Connection refused", "connection refused"),
    ("No such file or directory", "there is no such socket"),
    ("Permission denied", "permission denied"),
    ("Name or service not known", "no such host"),
    ("No route to host", "no route to host"),
    ("closed connection", _CLOSED),
    ("Connection aborted", _CLOSED),
)


class Tls(NamedTuple):
    """Files in PEM for https endpoints: who is trusted (else the system's authorities), and who
    this client is."""

    ca: str = ""
    cert: str = ""
    key: str = ""


def session(tls: Tls) -> requests.Session:
    """A session that speaks to Unix sockets too, and to nobody in between."""
    import requests

    opened = requests.Session()
    opened.trust_env = False
    opened.verify = tls.ca or True
    opened.cert = (tls.cert, tls.key or tls.cert) if tls.cert else None
    opened.mount("http+unix://", _unix_adapter())
    return opened


def _unix_adapter() -> Any:
    """An adapter of requests whose connections go to the socket that the URL's host names."""
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.exceptions import NewConnectionError

    class UnixConnection(HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(CONNECT)
            try:
                self.sock.connect(bytes.fromhex(self.host).decode())
            except OSError as error:
                self.sock.close()
                raise NewConnectionError(self, str(error)) from None
            self.sock.settimeout(self.timeout if isinstance(self.timeout, float) else None)

    class UnixPool(HTTPConnectionPool):
        ConnectionCls = UnixConnection

    class UnixAdapter(HTTPAdapter):
        def __init__(self) -> None:
            super().__init__()
            self._pools: dict[str, UnixPool] = {}

        def get_connection_with_tls_context(
            self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
        ) -> HTTPConnectionPool:
            host = urlsplit(request.url).netloc
            return self._pools.setdefault(host, UnixPool(host))

        def close(self) -> None:
            super().close()
            for pool in self._pools.values():
                pool.close()

    return UnixAdapter()
