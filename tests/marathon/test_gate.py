"""Who may ask a face, from where, and how much at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fleetish.config import Config
from fleetish.errors import BadConfig
from marathon_compat.gate import ANYBODY, terms
from tests.api.cluster import running
from tests.marathon.face import Marathon, serving

SITE = "https://ui.example"


@contextmanager
def guarded(**settings: Any) -> Iterator[Marathon]:
    with running() as cluster, serving(cluster, Config(**settings)) as client:
        yield client


def test_without_settings_anybody_may_ask() -> None:
    assert terms(Config()) == ANYBODY
    with guarded() as client:
        found = client.ask("GET", "/v2/apps", headers={"Origin": SITE})
        assert found.status_code == 200
        assert not any(name.startswith("access-control") for name in found.headers)


def test_who_does_not_know_the_password_is_told_whom_to_be(tmp_path: Path) -> None:
    known = tmp_path / "credentials"
    known.write_text("ops:p\u00e4ss:word\n")
    with guarded(faces_credentials_file=str(known)) as client:
        for path in ("/v2/apps", "/ping", "/v2/events"):
            refused = client.ask("GET", path, auth=("ops", "wrong"))
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == 'Basic realm="Mesosphere"'
            assert refused.headers["X-Frame-Options"] == "DENY"
        right = (b"ops", "p\u00e4ss:word".encode())
        assert client.ask("GET", "/v2/apps", auth=right).status_code == 200


@pytest.mark.parametrize("text", ["no colon", None])
def test_credentials_that_cannot_be_read_are_a_bad_setting(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "credentials").write_text(text)
    with pytest.raises(BadConfig, match="credentials"):
        terms(Config(faces_credentials_file=str(tmp_path / "credentials")))


def test_pages_of_the_sites_named_may_read(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("a:b")
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-Y"}
    settings = {"faces_origins": (SITE,), "faces_credentials_file": str(tmp_path / "credentials")}
    with guarded(**settings) as client:
        before = client.ask("OPTIONS", "/v2/apps", headers={"Origin": SITE, **asks})
        assert before.status_code == 200
        assert {
            name: text for name, text in before.headers.items() if name.startswith("access-control")
        } == {
            "access-control-allow-origin": SITE,
            "access-control-allow-methods": "GET, HEAD, OPTIONS",
            "access-control-max-age": "86400",
            "access-control-allow-headers": "X-Y",
        }
        then = client.ask("GET", "/v2/apps", headers={"Origin": SITE}, auth=("a", "b"))
        assert then.headers["Access-Control-Allow-Origin"] == SITE
        assert then.headers["Vary"] == "Origin"
        other = client.ask("GET", "/v2/apps", headers={"Origin": "https://x"}, auth=("a", "b"))
        assert "Access-Control-Allow-Origin" not in other.headers


def test_one_request_too_many_is_sent_away_and_streams_do_not_count() -> None:
    with guarded(faces_requests=1) as client, _begun(client) as unfinished:
        refused = client.ask("GET", "/v2/apps")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        unfinished.close()
        while client.ask("GET", "/ping").status_code == 503:
            pass
        stream = {"headers": {"Accept": "text/event-stream"}, "stream": True}
        with client.ask("GET", "/v2/events", **stream) as events:
            assert events.status_code == 200
            assert client.ask("GET", "/v2/apps").status_code == 200


@contextmanager
def _begun(client: Marathon) -> Iterator[socket.socket]:
    """A request whose body never comes, which the server has taken."""
    where = urlsplit(client.url)
    head = "POST /v2/apps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((where.hostname, where.port), 10) as connection:
        connection.sendall(f"{head}Content-Length: 10\r\n\r\n".encode())
        while client.ask("GET", "/ping").status_code != 503:
            pass
        yield connection
