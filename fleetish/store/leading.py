"""The engine's leadership as others see it: to do something beside the leader, and to end it.

The leader key alone is watched, so this costs etcd next to nothing however many machines do it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from fleetish.clock import Clock
from fleetish.errors import Unavailable
from fleetish.model import Leader
from fleetish.store.base import Compacted, KeyValue, KeyValues
from fleetish.store.codec import Quarantined, decode
from fleetish.store.keys import Keys

log = logging.getLogger(__name__)

#: Seconds between attempts while the store does not answer.
AGAIN = 0.5


async def beside_leader(
    kv: KeyValues, prefix: str, machine: str, clock: Clock, work: Callable[[], Awaitable[None]]
) -> None:
    """Run ``work`` whenever the leading engine is that of ``machine``, and cancel it when it no
    longer is or nobody can tell; for ever. A hint that saves work, no guard. Raises what it does.
    """
    key = Keys(prefix).key(("leader",))
    while True:
        try:
            listing = await kv.list(key)
            leads = any(_is_of(item, key, machine) for item in listing.items)
            await _until_changed(kv, key, listing.revision, work if leads else None)
        except Compacted:
            continue
        except Unavailable as error:
            log.debug("cannot tell who leads: %s", error)
            await clock.sleep(AGAIN)


def _is_of(item: KeyValue, key: str, machine: str) -> bool:
    read = decode(("leader",), item.value) if item.key == key else None
    if read is None or isinstance(read, Quarantined):
        return False
    return isinstance(read.record, Leader) and read.record.machine == machine


async def _until_changed(
    kv: KeyValues, key: str, revision: int, work: Callable[[], Awaitable[None]] | None
) -> None:
    """Run ``work``, if there is any, until a key is written or deleted after a revision."""
    changed = asyncio.ensure_future(_changed(kv, key, revision))
    tasks = {changed} | ({asyncio.ensure_future(work())} if work else set())
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _changed(kv: KeyValues, key: str, revision: int) -> None:
    async with aclosing(kv.watch(key, revision + 1)) as batches:
        async for batch in batches:
            if any(event.key == key for event in batch.events):
                return


async def depose(kv: KeyValues, prefix: str) -> bool:
    """Revoke the leader's lease: its key goes, whoever stands by is elected, and the former leader
    stands for election again. False when nobody leads. Raises StoreUnavailable."""
    held = await kv.get(Keys(prefix).key(("leader",)))
    if held is None or not held.lease:
        return False
    await kv.revoke(held.lease)
    return True
