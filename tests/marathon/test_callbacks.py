"""Events by POST to URLs: /v2/eventSubscriptions, and who is posted to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from fleetish.clock import SystemClock
from fleetish.world import World
from marathon_compat.apps import records
from marathon_compat.apps.app import HealthCheck
from marathon_compat.apps.callbacks import MOST, callback_urls, run_callbacks, subscribe
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.event_hub import EventHub
from marathon_compat.apps.records import Callback
from tests.marathon.event_story import Story, app, document, stored
from tests.marathon.face import Marathon, marathon

PATH = "/v2/eventSubscriptions"


class Endpoint:
    """A server that is posted to. ``refuse``: so many of the next posts it answers with 503."""

    def __init__(self) -> None:
        self.heard: Queue[dict[str, Any]] = Queue()
        self.refuse = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if endpoint.refuse:
                    endpoint.refuse -= 1
                    self.send_error(503)
                    return
                assert self.headers["Content-Type"] == "application/json"
                endpoint.heard.put(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events?all=1"

    def until(self, kind: str) -> list[str]:
        """The kinds of what was posted, up to the first of a kind."""
        found: list[str] = []
        while kind not in found:
            found.append(self.heard.get(timeout=20)["eventType"])
        return found


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    one = Endpoint()
    thread = Thread(target=one.server.serve_forever)
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        thread.join(10)
        one.server.server_close()


@pytest.fixture
def node() -> Iterator[Marathon]:
    with marathon(moving=False) as one:
        yield one


@contextmanager
def posting(node: Marathon, *, leads: bool = True) -> Iterator[None]:
    """A node of the cluster that posts events while it leads."""
    cluster = node.cluster

    async def both() -> None:
        hub = EventHub(cluster.kv, "/fleetish/v1", SystemClock())
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.run())
            group.create_task(run_callbacks(hub, cluster.store, SystemClock(), lambda _: leads))

    task = asyncio.run_coroutine_threadsafe(both(), cluster._loop)
    try:
        yield
    finally:
        task.cancel()


def test_a_url_is_added_listed_and_removed(node: Marathon) -> None:
    url = "http://192.0.2.7:8000/events"
    added = node.ask("POST", PATH, params={"callbackUrl": url})
    assert added.status_code == 200
    body = added.json()
    assert body.pop("timestamp").endswith("Z")
    assert body == {"eventType": "subscribe_event", "clientIp": "127.0.0.1", "callbackUrl": url}
    assert node.get(PATH) == {"callbackUrls": [url]}
    gone = node.ask("DELETE", PATH, params={"callbackUrl": url})
    assert (gone.status_code, gone.json()["eventType"]) == (200, "unsubscribe_event")
    assert node.get(PATH) == {"callbackUrls": []}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"callbackUrl": "ftp://192.0.2.7/"}, 422),
        ({"callbackUrl": "http://"}, 422),
        ({"callbackUrl": "http://[/"}, 422),
        ({"callbackUrl": "http://192.0.2.7/\n"}, 422),
        ({"callbackUrl": "http://192.0.2.7/" + "x" * 2000}, 422),
    ],
)
def test_what_cannot_be_posted_to_is_refused(
    node: Marathon, query: dict[str, str], status: int
) -> None:
    answer = node.ask("POST", PATH, params=query)
    assert (answer.status_code, list(answer.json())) == (status, ["message"])
    assert node.get(PATH) == {"callbackUrls": []}


def test_there_is_an_end_to_how_many_are_posted_to() -> None:
    known = [document(records.CALLBACK, f"http://192.0.2.7/{at}", Callback()) for at in range(MOST)]
    world = Story(*known).world
    assert len(callback_urls(world)) == MOST
    with pytest.raises(BadBody, match="there are 32 already"):
        subscribe(world, "http://192.0.2.8/", "", 0.0)
    assert subscribe(world, "http://192.0.2.7/1", "", 0.0) == ()


def posted_to(node: Marathon, endpoint: Endpoint) -> str:
    """Change an app again and again until that is posted; the first kind that is."""
    for at in range(1, 1000):
        version = f"2026-01-01T00:00:00.{at:03}Z"
        node.cluster.put(*stored(app(version, health_checks=(HealthCheck(path="/"),))))
        try:
            return str(endpoint.heard.get(timeout=0.2)["eventType"])
        except Empty:
            continue
    raise TimeoutError("nothing is posted")


def test_the_leaders_node_posts_what_happens(node: Marathon, endpoint: Endpoint) -> None:
    with posting(node):
        node.ask("POST", PATH, params={"callbackUrl": endpoint.url})
        assert posted_to(node, endpoint).endswith("_health_check_event")
        node.ask("DELETE", "/v2/apps/shop/web")
        assert endpoint.until("deployment_info")[-2] == "group_change_success"


def test_an_event_that_is_refused_is_posted_again(node: Marathon, endpoint: Endpoint) -> None:
    with posting(node):
        node.ask("POST", PATH, params={"callbackUrl": endpoint.url})
        posted_to(node, endpoint)
        endpoint.refuse = 1
        node.ask("DELETE", "/v2/apps/shop/web")
        assert "group_change_success" in endpoint.until("deployment_info")
        assert endpoint.refuse == 0


def test_a_node_that_does_not_lead_posts_nothing(node: Marathon, endpoint: Endpoint) -> None:
    with posting(node, leads=False), posting(node):
        node.ask("POST", PATH, params={"callbackUrl": endpoint.url})
        posted_to(node, endpoint)
        node.ask("DELETE", "/v2/apps/shop/web")
        endpoint.until("group_change_success")
        assert "group_change_success" not in endpoint.until("deployment_info")


def test_no_urls_are_known_of_an_empty_cluster() -> None:
    assert callback_urls(World()) == []
