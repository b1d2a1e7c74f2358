"""The daemon without etcd and systemd: roles that fail, settings that change, addresses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleetish import __version__, dev
from fleetish.api.server import not_among, open_sockets
from fleetish.client import Client
from fleetish.config import Config
from fleetish.daemon import brief, changed_settings, finished, unexpected
from fleetish.errors import BadConfig, Refused, StoreUnavailable, Unavailable
from fleetish.roles import endpoint_of
from fleetish.wire import Wish
from tests.contract.members import etcd_binary

SERVICE = "[Service]\nExecStart=/bin/sleep 60\n"


@pytest.mark.parametrize(
    ("listen", "endpoint"),
    [
        (("unix:/run/x.sock", ":7100"), "http://10.9.9.9:7100"),
        (("0.0.0.0:7100",), "http://10.9.9.9:7100"),
        (("127.0.0.1:7100",), "http://127.0.0.1:7100"),
        (("[fd00::1]:80",), "http://[fd00::1]:80"),
        (("unix:/run/x.sock",), ""),
    ],
)
def test_others_are_told_where_this_machines_api_listens(
    listen: tuple[str, ...], endpoint: str
) -> None:
    assert endpoint_of(Config(listen=listen), lambda: "10.9.9.9") == endpoint


def test_a_listener_that_is_none_is_refused() -> None:
    with pytest.raises(BadConfig, match="cannot listen on nowhere"):
        endpoint_of(Config(listen=("nowhere",)), lambda: "")


def test_changed_settings_are_named() -> None:
    assert changed_settings(Config(), Config(log_level="debug", machine_ttl=20)) == [
        "machine_ttl",
        "log_level",
    ]


async def fails() -> None:
    raise StoreUnavailable("cannot reach etcd")


async def never() -> None:
    await asyncio.Event().wait()


def test_a_role_that_failed_says_why_and_one_that_was_cancelled_says_nothing() -> None:
    async def story() -> tuple[str, BaseException | None]:
        failure = await finished(asyncio.create_task(fails()))
        assert failure is not None
        held = asyncio.create_task(never())
        held.cancel()
        return brief(failure), await finished(held)

    assert asyncio.run(story()) == ("cannot reach etcd", None)


def test_only_errors_that_are_not_ours_keep_their_trace() -> None:
    ours = ExceptionGroup("x", [StoreUnavailable("a"), Unavailable("b")])
    foreign = ExceptionGroup("x", [StoreUnavailable("a"), KeyError("b")])
    assert (unexpected(ours), unexpected(foreign)) == (None, foreign)
    assert brief(ours) == "a; b"


def test_dev_refuses_with_the_way_out() -> None:
    with pytest.raises(Refused, match=r"PID 1 of this machine is not systemd.*fleetish lab up"):
        dev.check(False, "/usr/bin/etcd")
    with pytest.raises(Refused, match=r"cannot find etcd.*apt-get install etcd-server"):
        dev.check(True, None)


class Serving:
    """``fleetish serve`` with the API alone, over a real etcd."""

    def __init__(self, directory: Path, url: str) -> None:
        self.config = directory / "fleetish.toml"
        self.socket = directory / "Api.sock"
        self.log = directory / "log"
        self.settings = {"etcd": [url], "roles": ["api"], "listen": [f"unix:{self.socket}"]}
        self.write()
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, **more: object) -> None:
        rows = {**self.settings, **more}
        self.config.write_text("".join(f"{key} = {json.dumps(v)}\n" for key, v in rows.items()))

    def start(self) -> Client:
        command = [sys.executable, "-m", "fleetish.cli.main", "serve", "--config"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, str(self.config)], stderr=log)
        client = Client(f"unix://{self.socket}")
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                client.version()
            except Unavailable:
                time.sleep(0.05)
            else:
                return client
        raise AssertionError(self.log.read_text())

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def says(self, text: str) -> None:
        """Wait until the log says something."""
        end = time.monotonic() + 15
        while text not in self.log.read_text():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[str]:
    etcd_binary()
    with dev.etcd(tmp_path / "etcd") as url:
        yield url


@pytest.fixture
def serving(tmp_path: Path, etcd: str) -> Iterator[Serving]:
    one = Serving(tmp_path, etcd)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        one.process.wait()


@pytest.mark.etcd
def test_the_daemon_serves_over_its_socket_and_ends_on_sigterm(serving: Serving) -> None:
    with serving.start() as fleet:
        fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
        with closing(fleet.events()) as events:
            assert next(events).kind == "hello"
            assert os.stat(serving.socket).st_mode & 0o777 == 0o660
            assert serving.stop() == 0
    with serving.start() as fleet:
        assert [unit.name for unit in fleet.units()] == ["a.service"]
        assert serving.stop() == 0


@pytest.mark.etcd
def test_sighup_reads_the_settings_again_and_survives_bad_ones(serving: Serving) -> None:
    with serving.start() as fleet:
        assert serving.process is not None
        serving.write(log_level="debug", cluster="other")
        serving.process.send_signal(signal.SIGHUP)
        serving.says("cluster has changed: restart the daemon for it to count")
        serving.says("changed: cluster, log_level")
        serving.write(nonsense=1)
        serving.process.send_signal(signal.SIGHUP)
        serving.says("cannot take in the settings")
        assert fleet.version() == __version__


@pytest.mark.etcd
def test_a_second_daemon_does_not_take_the_first_ones_socket(
    serving: Serving, tmp_path: Path
) -> None:
    with serving.start() as fleet:
        command = [sys.executable, "-m", "fleetish.cli.main", "serve", "--config"]
        done = subprocess.run(
            [*command, str(serving.config)], capture_output=True, text=True, check=False, timeout=30
        )
        assert (done.returncode, "another process answers there" in done.stderr) == (1, True)
        assert fleet.units() == ()


@pytest.mark.etcd
def test_while_etcd_is_stopped_writes_fail_and_reads_go_on_marked_stale(
    serving: Serving, etcd: str
) -> None:
    with serving.start() as fleet:
        fleet.submit([Wish(name="a.service", text=SERVICE)])
        member = _etcd_of(etcd)
        os.kill(member, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable):
                fleet.set_target(["a.service"], "loaded")
            assert [unit.name for unit in fleet.units()] == ["a.service"]
            end = time.monotonic() + 20
            while fleet.health().status != "stale":
                assert time.monotonic() < end
                time.sleep(0.1)
        finally:
            os.kill(member, signal.SIGCONT)
        fleet.set_target(["a.service"], "launched")
        assert fleet.unit("a.service").target == "launched"


def _etcd_of(url: str) -> int:
    """The process that listens at a URL, by its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if words[0] == "etcd" and f"--listen-client-urls={url}" in words:
                return int(entry.name)
    raise AssertionError(f"no etcd at {url}")


def test_a_listener_that_systemd_holds_is_not_opened_again(tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/api.sock"
    held = open_sockets([path, "0.0.0.0:0", "127.0.0.1:0"])
    try:
        every, one = (sock.getsockname()[1] for sock in held[1:])
        others = [f"unix:{tmp_path}/other.sock", f"10.0.0.1:{one}", "nowhere"]
        same = [path, f":{every}", f"127.0.0.1:{every}", f"[::1]:{every}", f"127.0.0.1:{one}"]
        assert not_among([*same, *others], held) == others
        assert not_among(others, []) == others
    finally:
        for sock in held:
            sock.close()
