"""etcd that speaks only TLS and asks for a client's certificate."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from fleetish.errors import StoreUnavailable
from fleetish.store.base import Put, Txn
from fleetish.store.etcd import open_store
from tests.contract.members import Members

pytestmark = pytest.mark.etcd


def certificate(directory: Path, name: str, issuer: str = "") -> None:
    """A key and a certificate for 127.0.0.1, signed by ``issuer`` or by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", f"/CN={name}",
               "-keyout", f"{name}.key", "-out", f"{name}.pem",
               "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    if issuer:
        command += ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
                    "-addext", "basicConstraints=critical,CA:FALSE"]  # fmt: skip
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


class TlsMembers(Members):
    """One member behind TLS; it takes only clients whose certificate its authority signed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, 1)
        self.urls = [url.replace("http:", "https:") for url in self.urls]

    def _command(self, at: int) -> list[str]:
        files = {"cert-file": "server.pem", "key-file": "server.key", "trusted-ca-file": "ca.pem"}
        options = [f"--{name}={self.directory / file}" for name, file in files.items()]
        return [*super()._command(at), "--client-cert-auth", *options]


def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    assert shutil.which("openssl"), "this test needs openssl"
    certificate(tmp_path, "ca")
    certificate(tmp_path, "server", "ca")
    certificate(tmp_path, "client", "ca")
    certificate(tmp_path, "stranger")

    async def body() -> None:
        members = TlsMembers(tmp_path)
        ca, cert, key = (str(tmp_path / name) for name in ("ca.pem", "client.pem", "client.key"))
        wrong, wrong_key = (str(tmp_path / f"stranger.{end}") for end in ("pem", "key"))
        try:
            members.start(0)
            kv = open_store(members.urls, ca=ca, cert=cert, key=key)
            for _ in range(5):
                try:
                    await kv.version()
                    break
                except StoreUnavailable:
                    continue
            await kv.txn(Txn((), (Put("/t/a", b"1"),)))
            found = await kv.get("/t/a")
            assert found is not None
            assert found.value == b"1"
            await kv.close()
            for files in ((ca, "", ""), (ca, wrong, wrong_key), (wrong, cert, key)):
                stranger = open_store(members.urls, ca=files[0], cert=files[1], key=files[2])
                with pytest.raises(StoreUnavailable):
                    await stranger.get("/t/a")
                await stranger.close()
        finally:
            await members.end()

    asyncio.run(body())
