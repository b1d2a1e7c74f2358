"""The role ``marathon`` in a real daemon over a real etcd."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from fleetish import dev
from fleetish.config import Config, installed_roles
from tests.contract.members import etcd_binary
from tests.test_daemon import Serving


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    etcd_binary()
    with dev.etcd(tmp_path / "etcd") as url:
        one = Serving(tmp_path, url)
        yield one
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_what_is_installed_runs_unless_settings_say_otherwise() -> None:
    assert "marathon" in installed_roles()
    assert Config().roles == installed_roles()


@pytest.mark.etcd
def test_the_role_answers_on_its_own_port_beside_the_others(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("FLEETISH_FACES", f"marathon=127.0.0.1:{port}")
    serving.write(roles=["api", "engine", "marathon"])
    with serving.start() as fleet:
        serving.says(f"Marathon's API on 127.0.0.1:{port}")
        url = f"http://127.0.0.1:{port}"
        app = {"id": "/a", "cmd": "sleep 100", "instances": 1}
        assert requests.post(f"{url}/v2/apps", json=app, timeout=10).status_code == 201
        with closing(fleet.events()) as events:
            while not (units := fleet.units()):
                next(events)
        assert units[0].name.startswith("marathon_a@")
        assert requests.get(f"{url}/v2/info", timeout=10).json()["elected"] is True
        assert serving.stop() == 0


@pytest.mark.etcd
def test_a_port_that_is_taken_stops_only_this_role(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("FLEETISH_FACES", f"marathon={where}")
        serving.write(roles=["api", "marathon"])
        with serving.start() as fleet:
            serving.says(f"marathon failed: cannot listen on {where}")
            assert fleet.units() == ()
            assert serving.stop() == 0
