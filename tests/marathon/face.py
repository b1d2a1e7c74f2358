"""Marathon's API on a real socket, over the production store code, engine and driver; only etcd is
in memory, and machines do as they are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests

from fleetish.api.server import open_sockets
from fleetish.clock import SystemClock
from fleetish.config import Config
from marathon_compat.apps.driver import run_driver
from marathon_compat.apps.face import Face, Here
from marathon_compat.apps.role import answer
from marathon_compat.apps.translate import unit_text
from tests.api.cluster import Cluster, machine, running
from tests.api.engine import engine
from tests.marathon import described

HERE = Here(machine="m", host="m", port=8080)
#: Seconds until something that must come true is given up.
PATIENCE = 20.0


class Marathon:
    """A client of the API that compares every answer with Marathon's description of it."""

    def __init__(self, url: str, cluster: Cluster) -> None:
        self.url = url
        self.cluster = cluster
        self._session = requests.Session()

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """One request; redirects are not followed."""
        sent = {"json": body} if body is not None else {}
        found = self._session.request(
            method, self.url + path, timeout=30, allow_redirects=False, **{**sent, **more}
        )
        told = found.headers.get("Content-Type", "") == "application/json"
        if told and not more.get("stream") and method != "HEAD":
            assert described.faults(method, path, found.status_code, found.json()) == []
        return found

    def get(self, path: str, **more: Any) -> Any:
        """The JSON of a GET that must succeed."""
        found = self.ask("GET", path, **more)
        assert found.status_code == 200, (found.status_code, found.text)
        return found.json()

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """What a path answers when it comes to be as wanted; asked again after each change of the
        cluster, and each second."""
        seen = self.cluster.store.observe()
        observed = self.cluster.call(seen.__aenter__())
        end = time.monotonic() + PATIENCE
        try:
            while True:
                self.cluster.call(observed.changed(1))
                found = self.get(path)
                if holds(found):
                    return found
                assert time.monotonic() < end, found
        finally:
            self.cluster.call(seen.__aexit__(None, None, None))

    def idle(self) -> None:
        """Wait until no deployment runs."""
        self.until("/v2/deployments", lambda rows: rows == [])


async def _serve(cluster: Cluster, sockets: list[Any], config: Config) -> None:
    face = Face(cluster.store, cluster.kv, SystemClock(), config, HERE)
    async with asyncio.TaskGroup() as group:
        group.create_task(face.run())
        group.create_task(answer(face, sockets))


@contextmanager
def serving(cluster: Cluster, config: Config | None = None) -> Iterator[Marathon]:
    """Marathon's API over a cluster, on a free port of loopback."""
    sockets = open_sockets(["127.0.0.1:0"])
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    with _beside(cluster, _serve(cluster, sockets, config or Config())):
        yield Marathon(url, cluster)


@contextmanager
def _beside(cluster: Cluster, work: Any) -> Iterator[None]:
    task = asyncio.run_coroutine_threadsafe(work, cluster._loop)
    try:
        yield
    finally:
        task.cancel()


@contextmanager
def marathon(*, moving: bool = True) -> Iterator[Marathon]:
    """A cluster of two machines with Marathon's API; unless it is ``moving``, nothing is done of
    what is wanted, so deployments stay as they begin."""
    with running() as cluster, serving(cluster) as client:
        cluster.register(machine())
        cluster.register(machine("b" * 32, "node2"))
        if not moving:
            yield client
            return
        driver = run_driver(cluster.store, SystemClock(), lambda _: True, unit_text)
        with engine(cluster), _beside(cluster, driver):
            client.until("/v2/info", lambda body: body["elected"])
            yield client
