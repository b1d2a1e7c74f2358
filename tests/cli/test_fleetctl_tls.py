"""fleetctl and https: who is trusted, and who the client is."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from tests.api.cluster import A, Cluster
from tests.cli.conftest import Run
from tests.contract.test_etcd_tls import certificate


@pytest.fixture
def https(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """The API behind TLS; it takes only clients whose certificate its authority signed."""
    for name, issuer in (("ca", ""), ("server", "ca"), ("client", "ca"), ("stranger", "")):
        certificate(tmp_path, name, issuer)

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = requests.get(cluster.url + self.path, timeout=10)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_both_sides_are_verified(https: str, fleetctl: Run) -> None:
    mine = ("--cert-file=client.pem", "--key-file=client.key")
    listing = ("list-machines", "--no-legend", "--full")
    good = fleetctl("--ca-file=ca.pem", *mine, *listing, FLEETCTL_ENDPOINT=https)
    assert good == (0, f"{A}\t10.0.0.1\thost=node1\n", "")
    old_names = {"FLEETCTL_ENDPOINT": https, "FLEETCTL_CA_FILE": "ca.pem"}
    spelled = ("--etcd-certfile=client.pem", "--etcd-keyfile", "client.key")
    assert fleetctl(*listing, *spelled, **old_names).code == 0
    for words in (mine, ("--ca-file=stranger.pem", *mine), ("--ca-file=ca.pem",)):
        refused = fleetctl(*words, *listing, FLEETCTL_ENDPOINT=https)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.startswith(f"cannot reach the API at {https}")
