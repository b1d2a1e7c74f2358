"""Marathon's API over a large cluster that is only records: ``python -m bench.marathon_face``.

A thousand apps with ten tasks each on a hundred machines, in an etcd in memory; all else is what a
daemon runs. Prints the port, then for each line on standard input lets one health check fail or
succeed of as many tasks as the line says, and answers with a line when that is written.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from uuid import UUID

import msgspec

from fleetish.api.server import open_sockets
from fleetish.clock import SystemClock
from fleetish.config import Config
from fleetish.model import CheckState, Document, Leader, Record, UnitState
from fleetish.resources import MIB, Resources
from fleetish.store.base import KeyValues, Put, Txn
from fleetish.store.codec import encode
from fleetish.store.keys import Keys
from fleetish.store.live import LiveStore
from fleetish.store.memory import MAX_OPERATIONS, MemoryEtcd
from fleetish.testing.build import machine, placed
from fleetish.world import ident
from marathon_compat.apps import records
from marathon_compat.apps.app import App
from marathon_compat.apps.decode import read_app
from marathon_compat.apps.face import Face, Here
from marathon_compat.apps.ids import unit_name
from marathon_compat.apps.making import made
from marathon_compat.apps.merge import versioned
from marathon_compat.apps.role import answer
from marathon_compat.apps.translate import unit_text
from marathon_compat.apps.tree import version_id

APPS, TASKS, MACHINES = 1000, 10, 100
VERSION = "2026-01-01T00:00:00.000Z"
SINCE = 1767225600.0
ROOM = Resources(millicpus=64_000, memory=256 * 1024 * MIB)
HOUSE = tuple(f"m{number:03}" for number in range(MACHINES))


def app(number: int) -> App:
    """An app as people have them: ports, labels, variables, a health check."""
    body = {
        "id": f"/group-{number // 50:02}/app-{number:03}",
        "cmd": f"exec /srv/app-{number}/bin/serve --port $PORT0 --log /dev/stdout",
        "cpus": 0.1,
        "mem": 64,
        "instances": TASKS,
        "env": {"TIER": f"t{number % 3}", "CONFIG": f"http://config/app-{number}.json"},
        "labels": {"team": f"team-{number % 17}", "HAPROXY_GROUP": "external"},
        "portDefinitions": [{"port": 10000 + number, "name": "http", "protocol": "tcp"}],
        "healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 0}],
    }
    return versioned(None, read_app(msgspec.json.encode(body)), VERSION)


def state(unit: str, on: str, digest: str, alive: bool = True) -> UnitState:
    """A unit that runs, with one health check."""
    check = CheckState(
        alive=alive,
        failures=0 if alive else 1,
        first_success=SINCE + 2,
        last_success=SINCE + 2,
        last_failure=0.0 if alive else SINCE + 3,
        cause="" if alive else "HTTP status 500",
    )
    return UnitState(
        unit=unit,
        machine=on,
        hash=digest,
        load="loaded",
        active="active",
        sub="running",
        since=SINCE + 1,
        invocation="i",
        main_pid=7,
        launch=1,
        seen=1,
        health=(check,),
    )


def document(kind: str, name: str, body: object) -> Document:
    """A document of Marathon's."""
    return Document(kind=kind, id=name, body=msgspec.Raw(msgspec.json.encode(body)))


def cluster() -> Iterator[Record]:
    """Every record of the cluster."""
    yield from (machine(name, ROOM, address=f"10.0.0.{at}") for at, name in enumerate(HOUSE))
    yield Leader(machine=HOUSE[0], host=HOUSE[0], since=SINCE)
    for number in range(APPS):
        yield from _of_app(number, app(number))


def _of_app(number: int, one: App) -> Iterator[Record]:
    yield document(records.APP, one.id, one)
    yield document(records.VERSION, version_id(one.id, VERSION), one)
    for task in range(TASKS):
        name = unit_name(one.id, str(UUID(int=number * TASKS + task)))
        on, port = HOUSE[(number + task) % MACHINES], 31000 + number
        unit, _ = made(unit_text, one, name, SINCE)
        yield from placed(unit, on, (port,))
        yield state(name, on, unit.hash)
        instance = records.Instance(
            unit=name, app=one.id, version=VERSION, config=VERSION, staged=SINCE
        )
        yield document(records.INSTANCE, name, instance)


async def write(kv: KeyValues, keys: Keys, what: Iterable[Record]) -> None:
    """Write records as they are, as many at once as a transaction may have."""
    puts = [Put(keys.key(ident(one)), encode(one)) for one in what]
    for first in range(0, len(puts), MAX_OPERATIONS):
        await kv.txn(Txn((), tuple(puts[first : first + MAX_OPERATIONS])))


async def serve() -> None:
    """Serve until standard input ends."""
    etcd = MemoryEtcd(SystemClock())
    config = Config()
    kv, keys = etcd.client(), Keys(config.prefix)
    known = list(cluster())
    await write(kv, keys, known)
    states = [one for one in known if isinstance(one, UnitState)]
    del known
    face = Face(LiveStore(kv), kv, SystemClock(), config, Here(HOUSE[0], HOUSE[0], 8080, SINCE))
    sockets = open_sockets(["127.0.0.1:0"])
    work = [asyncio.create_task(face.run()), asyncio.create_task(answer(face, sockets))]
    print(sockets[0].getsockname()[1], flush=True)
    turn = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        some = [states[(turn + step) * 7919 % len(states)] for step in range(int(line))]
        alive = (turn // len(states)) % 2 == 1
        await write(kv, keys, (state(one.unit, one.machine, one.hash, alive) for one in some))
        turn += len(some)
        print("written", flush=True)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(serve())
