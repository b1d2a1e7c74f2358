"""The role ``marathon`` of the daemon: the API on a port of its own, and the driver beside it.

Every node answers; the driver of that node works, and posts events, whose engine leads.
"""

from __future__ import annotations

import asyncio
import logging
import socket

from fleetish.api.server import open_sockets, serve, split_address
from fleetish.config import Config
from fleetish.engine.leader import EngineSettings, candidate
from fleetish.errors import BadConfig
from fleetish.roles import Services
from fleetish.store.leading import beside_leader
from marathon_compat.apps.callbacks import run_callbacks
from marathon_compat.apps.driver import run_driver
from marathon_compat.apps.face import Face, Here
from marathon_compat.apps.server import create_app
from marathon_compat.apps.translate import unit_text
from marathon_compat.gate import terms

log = logging.getLogger(__name__)

#: Milliseconds after which a client that does not take what it is sent is given up.
NOT_TAKEN_MS = 60_000


async def run(config: Config, services: Services) -> None:
    """Run the role, for ever. Raises BadConfig when its port cannot be had."""
    where = config.faces["marathon"]
    face = Face(services.store, services.kv, services.clock, config, here(config, services))
    async with asyncio.TaskGroup() as group:
        group.create_task(face.run(), name="marathon's view")
        group.create_task(lead(face, services), name="marathon's driver")
        if where:
            sockets = open_sockets([where])
            log.info("Marathon's API on %s", where)
            group.create_task(answer(face, sockets), name="marathon's server")


async def lead(face: Face, services: Services) -> None:
    """Drive deployments and post events while this machine's engine leads; for ever."""
    store, kv, clock = services.store, services.kv, services.clock

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run_driver(store, clock, face.leads, unit_text))
            group.create_task(run_callbacks(face.events, store, clock, face.leads))

    await beside_leader(kv, face.config.prefix, face.here.machine, clock, work)


async def answer(face: Face, sockets: list[socket.socket]) -> None:
    """Answer requests on some sockets, for ever. What is sent and not taken for a minute ends its
    connection (tcp(7), TCP_USER_TIMEOUT; those accepted inherit it): a stream that is given up
    because nobody reads it would else hold on to its socket."""
    for sock in sockets:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, NOT_TAKEN_MS)
    await serve(create_app(face, terms=terms(face.config)), sockets, face.close)


def here(config: Config, services: Services) -> Here:
    """This node, by the name under which its engine would lead. Raises BadConfig."""
    now = services.clock.now()
    known = candidate(EngineSettings(prefix=config.prefix), now)
    try:
        port = split_address(config.faces["marathon"] or ":0")[1]
    except ValueError as error:
        raise BadConfig(f"cannot listen on {config.faces['marathon']}: {error}") from None
    return Here(machine=known.machine, host=known.host, port=port, started=now)
