"""fleet's API with many units: the whole list, page by page, as fleetctl asks for it.

Every unit has a text of its own, so nothing is shared between two rows. The first listing is by a
daemon that has just been started and has read none of the texts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import requests

from bench.results import Figure, against
from fleetish.client import Client
from fleetish.lab.cluster import Lab
from fleetish.wire import Wish

UNITS = 10_000
AT_ONCE = 250
AIM_S = 2.0
PATIENCE_S = 30.0
TEXT = """[Unit]
Description=benchmark {0}
[Service]
ExecStart=/usr/bin/sleep {0}
MemoryMax=64M
[X-Fleet]
MachineMetadata=rack=r1
"""


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Seconds for all pages of GET /fleet/v1/units, first and again."""
    with Lab("bench-fleet", machines=1, report=say) as lab, Client(lab.endpoint) as client:
        for first in range(0, UNITS, AT_ONCE):
            client.submit([_wish(number) for number in range(first, first + AT_ONCE)])
        say(f"{UNITS:,} units submitted")
        lab.exec("node1", ["systemctl", "restart", "fleetish"], check=True)
        with requests.Session() as session:
            url = f"{lab.endpoint}/fleet/v1"
            _answers(session, url)
            return [
                _figure(when, _paged(session, url))
                for when in ("by a daemon that has just been started", "again")
            ]


def _wish(number: int) -> Wish:
    return Wish(name=f"list-{number:05}.service", text=TEXT.format(number))


def _answers(session: requests.Session, url: str) -> None:
    """Wait until the daemon is registered and answers."""
    deadline = time.monotonic() + PATIENCE_S
    while session.get(f"{url}/machines", timeout=10).status_code != 200:
        if time.monotonic() > deadline:
            raise TimeoutError("the daemon does not answer")
        time.sleep(0.1)


def _paged(session: requests.Session, url: str) -> float:
    """Seconds from the first request to the last page. Raises ValueError when a unit is missing."""
    begin, count = time.perf_counter(), 0
    query: dict[str, str] = {}
    while True:
        page = session.get(f"{url}/units", params=query, timeout=10).json()
        count += len(page["units"])
        if "nextPageToken" not in page:
            break
        query = {"nextPageToken": page["nextPageToken"]}
    if count != UNITS:
        raise ValueError(f"{count} units were listed, not {UNITS}")
    return time.perf_counter() - begin


def _figure(when: str, seconds: float) -> Figure:
    what = f"GET /fleet/v1/units, {UNITS:,} units paged through, {when}"
    return against(Figure(what, seconds, "s", aim=f"≤ {AIM_S:g} s"), AIM_S)
