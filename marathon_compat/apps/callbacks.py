"""Events by POST to URLs, as Marathon up to 1.4 had it: /v2/eventSubscriptions.

    GET                          {"callbackUrls": […]}
    POST, DELETE ?callbackUrl=…  the event that tells of it

1. A callback is a document; the node whose engine leads posts to all of them. Who takes that over
   begins with what happens then.
2. Each URL is posted to by itself and in order. An answer below 500 counts as taken; else the same
   event is tried again, after 1, 2, 4 … 60 s.
3. A URL that is behind by more than is kept goes on with what is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fleetish.api.wishes import Asked
from fleetish.changes import Change
from fleetish.clock import Clock
from fleetish.errors import FleetishError
from fleetish.store.base import Store
from fleetish.world import World
from marathon_compat.apps import events, replies
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.event_hub import EventHub
from marathon_compat.apps.records import CALLBACK, Callback
from marathon_compat.apps.tree import drop, put

log = logging.getLogger(__name__)

#: URLs that may be posted to, and characters of one.
MOST, LONGEST = 32, 2000
#: Seconds: to connect, for the answer; between attempts, at first and at most.
CONNECT, ANSWER = 3.0, 5.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
#: URLs that are posted to at the same time.
THREADS = 8
#: Seconds between looks at who leads.
LOOK = 5.0


def callback_urls(world: World) -> list[str]:
    """The URLs that events are posted to."""
    return sorted(name for kind, name in world.documents if kind == CALLBACK)


def subscribe(world: World, url: str, client: str, now: float) -> tuple[Change, ...]:
    """What adds a URL; nothing when it is there. Raises BadBody 422."""
    if (CALLBACK, url) in world.documents:
        return ()
    _check(url)
    if len(callback_urls(world)) >= MOST:
        raise BadBody(422, f"cannot add a callback: there are {MOST} already. Remove one first")
    return (put(CALLBACK, url, Callback(client=client, since=now), "events asked for"),)


def unsubscribe(world: World, url: str) -> tuple[Change, ...]:
    """What removes a URL; nothing when it is not there."""
    if (CALLBACK, url) not in world.documents:
        return ()
    return (drop(CALLBACK, url, "events not wanted any more"),)


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > LONGEST or not url.isprintable():
        raise BadBody(422, f"cannot post events to {url[:80]!r}: it is no http or https URL")


async def subscriptions(request: Request) -> Response:
    """The three methods of /v2/eventSubscriptions."""
    try:
        return replies.json(await _answer(request))
    except FleetishError as error:
        return replies.fault(error)


async def _answer(request: Request) -> bytes | dict[str, object]:
    ledger = request.app.state.ledger
    if request.method in ("GET", "HEAD"):
        return {"callbackUrls": callback_urls(await ledger.world())}
    url = request.query_params.get("callbackUrl", "")
    if not url:
        raise BadBody(400, "cannot tell which URL is meant: say ?callbackUrl=http://…")
    client, now = request.client.host if request.client else "", ledger.clock.now()
    adds = request.method == "POST"

    def plan(world: World) -> Asked:
        return Asked(subscribe(world, url, client, now) if adds else unsubscribe(world, url), ())

    await ledger.write(plan)
    verb = "subscribe" if adds else "unsubscribe"
    return events.data(events.subscription(verb, client, url, now), now)


async def run_callbacks(
    hub: EventHub, store: Store, clock: Clock, leads: Callable[[World], bool]
) -> None:
    """Post events while this node leads; for ever."""
    posting: dict[str, asyncio.Task[None]] = {}
    with _threads() as threads:
        async with store.observe() as observed, asyncio.TaskGroup() as group:
            while True:
                await observed.changed(LOOK)
                world = observed.world
                wanted = set(callback_urls(world)) if leads(world) else set()
                for url in wanted - posting.keys():
                    work = Post(hub, clock, url, threads).run()
                    posting[url] = group.create_task(work, name=f"events to {url}")
                for url in posting.keys() - wanted:
                    posting.pop(url).cancel()


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Threads of our own, so that a slow URL holds up nobody else; not waited for at the end."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="events")
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


class Post:
    """Posts events to one URL."""

    def __init__(self, hub: EventHub, clock: Clock, url: str, threads: ThreadPoolExecutor) -> None:
        self._hub = hub
        self._clock = clock
        self._url = url
        self._threads = threads
        self._session = requests.Session()

    async def run(self) -> None:
        """Post what happens from now on; for ever."""
        with self._session:
            while True:
                try:
                    await self._go_on()
                except FleetishError as error:
                    log.info("events for %s wait: %s", self._url, error)
                await self._clock.sleep(FIRST_WAIT)

    async def _go_on(self) -> None:
        with self._hub.reading(await self._hub.open()) as reader:
            async for told in reader.taken(1):
                for one in told:
                    await self._deliver(one.data)
        log.warning("events were left out for %s: it is too slow, or etcd was away", self._url)

    async def _deliver(self, data: bytes) -> None:
        """Post one event until it is taken."""
        wait = FIRST_WAIT
        loop = asyncio.get_running_loop()
        while not await loop.run_in_executor(self._threads, self._post, data):
            await self._clock.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def _post(self, data: bytes) -> bool:
        """True when the event was taken. What is answered besides is not read."""
        try:
            with self._session.post(
                self._url,
                data=data,
                headers={"Content-Type": "application/json"},
                timeout=(CONNECT, ANSWER),
                allow_redirects=False,
                stream=True,
            ) as answer:
                return answer.status_code < 500
        except (requests.RequestException, ValueError) as error:
            log.info("cannot post an event to %s: %s", self._url, error)
            return False


ROUTES = (
    Route("/v2/eventSubscriptions", subscriptions, methods=["GET", "POST", "DELETE"]),
    Route("/v2/eventSubscriptions/", subscriptions, methods=["GET", "POST", "DELETE"]),
)
