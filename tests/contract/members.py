"""Real etcd members for tests: on loopback, with their data below one directory."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import grpc.aio
import pytest
from aetcd import rpc


def etcd_binary() -> str:
    """Where etcd is; without it the test is skipped, but under CI it fails."""
    found = shutil.which("etcd")
    if found is None and not os.environ.get("CI"):
        pytest.skip("etcd is not installed")
    assert found, "etcd is not installed, and under CI nothing is skipped"
    return found


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Members:
    """A cluster of etcd members, each of which can be killed, stopped and started again."""

    def __init__(self, directory: Path, count: int) -> None:
        self.directory = directory
        self.binary = etcd_binary()
        ports = free_ports(2 * count)
        self.urls = [f"http://127.0.0.1:{port}" for port in ports[:count]]
        self._peers = [f"http://127.0.0.1:{port}" for port in ports[count:]]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, at: int) -> None:
        """Start a member, new or with the data that it had."""
        with (self.directory / f"m{at}.log").open("ab") as log:
            self._processes[at] = subprocess.Popen(self._command(at), stdout=log, stderr=log)

    def _command(self, at: int) -> list[str]:
        cluster = ",".join(f"m{index}={peer}" for index, peer in enumerate(self._peers))
        options = {
            "name": f"m{at}",
            "data-dir": self.directory / f"m{at}",
            "listen-client-urls": self.urls[at],
            "advertise-client-urls": self.urls[at],
            "listen-peer-urls": self._peers[at],
            "initial-advertise-peer-urls": self._peers[at],
            "initial-cluster": cluster,
            "unsafe-no-fsync": "true",
            "log-level": "error",
        }
        if "unsafe-no-fsync" not in self._known_options():
            del options["unsafe-no-fsync"]
        return [self.binary, *(f"--{name}={value}" for name, value in options.items())]

    def _known_options(self) -> str:
        return subprocess.run([self.binary, "--help"], capture_output=True, text=True).stderr

    def signal(self, at: int, number: signal.Signals) -> None:
        """Send a member a signal: SIGKILL, SIGSTOP or SIGCONT."""
        self._processes[at].send_signal(number)
        if number == signal.SIGKILL:
            self._processes[at].wait()

    async def ready(self) -> None:
        """Wait until every running member answers a linearizable read."""
        for at in self._processes:
            await self._answer(at)

    async def _answer(self, at: int) -> None:
        async with grpc.aio.insecure_channel(self.urls[at].removeprefix("http://")) as channel:
            await rpc.KVStub(channel).Range(
                rpc.RangeRequest(key=b"ready"), timeout=20, wait_for_ready=True
            )

    async def leader(self) -> int:
        """Which member leads."""
        for at in range(len(self.urls)):
            async with grpc.aio.insecure_channel(self.urls[at].removeprefix("http://")) as channel:
                request = rpc.StatusRequest()
                status = await rpc.MaintenanceStub(channel).Status(request, timeout=5)
            if status.leader == status.header.member_id:
                return at
        raise AssertionError("no member leads")

    async def end(self) -> None:
        """End every member that was started here, and remove its data: 128 MiB each at least."""
        for at, process in self._processes.items():
            process.send_signal(signal.SIGCONT)
            process.kill()
            await asyncio.to_thread(process.wait)
            await asyncio.to_thread(shutil.rmtree, self.directory / f"m{at}", ignore_errors=True)
