"""Connections to etcd's members: one channel for each member and purpose, and which is used now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio
from aetcd import rpc

from fleetish.store.figures import Figures

_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.enable_retries", 0),
)


class Credentials(NamedTuple):
    """How to be let in: files with certificates and a key (PEM), a user and a password."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password: str = ""


class Member:
    """One etcd member for one purpose; ``met``: it has answered since it was last left."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.url = url
        self.met = False
        scheme, _, target = url.rpartition("://")
        if scheme == "https":
            self.channel = grpc.aio.secure_channel(target, _tls(credentials), options=_OPTIONS)
        else:
            self.channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self.kv = rpc.KVStub(self.channel)
        self.lease = rpc.LeaseStub(self.channel)
        self.watch = rpc.WatchStub(self.channel)
        self.auth = rpc.AuthStub(self.channel)
        self.maintenance = rpc.MaintenanceStub(self.channel)


def _tls(credentials: Credentials) -> Any:
    ca, key, cert = (
        Path(name).read_bytes() if name else None
        for name in (credentials.ca, credentials.key, credentials.cert)
    )
    return grpc.ssl_channel_credentials(ca, key, cert)


class Route:
    """The members for one purpose, and which of them is used."""

    def __init__(self, urls: Sequence[str], credentials: Credentials, figures: Figures) -> None:
        self._urls = urls
        self._credentials = credentials
        self._figures = figures
        self._members: dict[int, Member] = {}
        self._at = 0

    def member(self) -> Member:
        """The member to use now."""
        if self._at not in self._members:
            self._members[self._at] = Member(self._urls[self._at], self._credentials)
        return self._members[self._at]

    def leave(self, member: Member) -> None:
        """Use the next one, unless somebody has left this one already."""
        member.met = False
        if member is self.member():
            self._at = (self._at + 1) % len(self._urls)
            self._figures.reconnects += 1

    async def close(self) -> None:
        """Close every channel."""
        for member in self._members.values():
            await member.channel.close(None)
