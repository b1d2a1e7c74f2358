"""The units of one systemd over D-Bus, as :class:`fleetish.agent.base.Systemd` wants them.

1. At most 64 jobs are in flight (:mod:`fleetish.agent.jobs`), as are calls.
2. The signals' contents keep ``units`` current; PID 1 is asked once a unit.
3. During a daemon-reload units vanish and return: nothing is believed until it is over.
4. When the bus dies: connect again, Subscribe, list everything, read every unit of ours anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dbus_fast import Variant

from fleetish.agent import observe
from fleetish.agent.base import UNLABELLED, WITHDRAWN, Labelled, Labels, ObservedUnit
from fleetish.agent.jobs import PATIENCE, Jobs, settled
from fleetish.agent.systemd.connection import (
    DISCONNECTED,
    INTROSPECTABLE,
    MANAGER,
    PROPERTIES,
    ROOT,
    Connection,
)
from fleetish.agent.systemd.reload import Reload
from fleetish.agent.transient import TransientFiles
from fleetish.agent.watched import Watched
from fleetish.clock import Clock
from fleetish.errors import OutcomeUnknown, SystemdError
from fleetish.units.properties import Property, TransientUnit

log = logging.getLogger(__name__)

NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"

#: A name that no unit has, to ask for what all units of a type have.
NOBODY = "fleetish-nobody"

#: Seconds that stop() follows a job; a unit may take longer, its state tells.
STOP_TIMEOUT = 30.0


class SystemdBus:
    """systemd on a message bus; keeps :class:`fleetish.agent.base.Systemd`.

    ``address`` None is the system bus. ``runtime`` is where that manager keeps transient units.
    """

    def __init__(
        self,
        cluster: str,
        clock: Clock,
        *,
        address: str | None = None,
        runtime: Path = Path("/run/systemd"),
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._files = TransientFiles(runtime / "transient")
        self._bus = Connection(address, self._heard)
        self._reload = Reload(lambda: self._bus.manager("Reload", "", []))
        self._known: dict[str, frozenset[str]] = {}
        self._watched = Watched()
        self._foreign: set[str] = set()
        self._ready = asyncio.Event()
        self._reloading = False
        self._jobs = Jobs()

    @property
    def units(self) -> Mapping[str, ObservedUnit]:
        """The units that were started here or found to be ours."""
        return self._watched.units

    async def run(self) -> None:
        """Hold the connection, for ever."""
        pause = 0.05
        while True:
            try:
                await self._hold()
                pause = 0.05
            except (SystemdError, OutcomeUnknown) as error:
                log.warning("%s", error)
            self._ready.clear()
            self._jobs.lost()
            await self._clock.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def ready(self) -> None:
        """Wait until everything was listed once on a live connection."""
        await self._ready.wait()

    async def changed(self) -> set[str]:
        """The names whose unit changed since the last call; waits for one."""
        return await self._watched.changed()

    async def start(
        self,
        unit: TransientUnit,
        labels: Labels | None,
        proceed: Callable[[], bool],
        beside: Sequence[Labelled] = (),
    ) -> str:
        """Start a transient unit and wait until PID 1 took it up."""
        others = [[one.unit.name, _variants(one.unit.properties)] for one in beside]
        body = [unit.name, "replace", _variants(unit.properties), others]
        async with self._jobs.place(unit.name) as job:
            if not proceed():
                return WITHDRAWN
            begun = (Labelled(unit, labels), *beside)
            before = {one.unit.name: self.units.get(one.unit.name) for one in begun}
            for one in begun:
                self._watched.put(observe.begun(*one))
            try:
                reply = await self._bus.manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body)
            except SystemdError:
                for name, held in before.items():
                    self._watched.drop(name) if held is None else self._watched.put(held)
                raise
            job.named(reply[0])
            return await settled(job.taken_up, PATIENCE)

    def keep(self, name: str, text: str) -> None:
        """Let a daemon-reload read ``text`` as the file of a unit that was just started."""
        self._files.keep(name, text)

    async def start_again(self, name: str) -> str:
        """Start a unit that systemd still holds, as it was defined."""
        async with self._jobs.place(name) as job:
            job.named((await self._bus.manager("StartUnit", "ss", [name, "replace"]))[0])
            return await settled(job.taken_up, PATIENCE)

    async def stop(self, name: str) -> str:
        """Stop a unit and follow the job to its end, for half a minute at most."""
        async with self._jobs.place(name) as job:
            try:
                reply = await self._bus.manager("StopUnit", "ss", [name, "replace"])
            except SystemdError as error:
                if error.name == NO_SUCH_UNIT:
                    return "done"
                raise
            job.named(reply[0])
            await settled(job.taken_up, PATIENCE)
        try:
            return await settled(job.done, STOP_TIMEOUT)
        finally:
            self._jobs.drop(name, job)

    async def kill(self, name: str, signal: int) -> None:
        """Send a signal to all processes of a unit."""
        await self._bus.manager("KillUnit", "ssi", [name, "all", signal])

    async def reset_failed(self, name: str) -> None:
        """Forget that a unit failed."""
        try:
            await self._bus.manager("ResetFailedUnit", "s", [name])
        except SystemdError as error:
            if error.name != NO_SUCH_UNIT:
                raise

    async def discard(self, names: Iterable[str]) -> None:
        """Drop definitions that systemd keeps; one daemon-reload."""
        for name in names:
            self._files.drop(name)
        await self._reload()

    async def define(self, texts: Mapping[str, str]) -> None:
        """Give units another definition; one daemon-reload."""
        for name, text in texts.items():
            self._files.put(name, text)
        await self._reload()
        for name in texts:
            await self.inspect(name)

    async def known(self, kind: str) -> frozenset[str]:
        """The properties of units of a type, as PID 1 lists them; asked once a connection."""
        if kind not in self._known:
            path = observe.bus_path(f"{NOBODY}.{kind}")
            reply = await self._bus.call(path, INTROSPECTABLE, "Introspect", "", [])
            self._known[kind] = observe.property_names(reply[0])
        return self._known[kind]

    async def set_properties(self, name: str, properties: Sequence[Property]) -> None:
        """Set properties of a unit until the next boot."""
        body = [name, True, _variants(properties)]
        await self._bus.manager("SetUnitProperties", "sba(sv)", body)

    async def version(self) -> str:
        """systemd's version."""
        reply = await self._bus.call(ROOT, PROPERTIES, "Get", "ss", [MANAGER, "Version"])
        return str(reply[0].value)

    async def inspect(self, name: str) -> ObservedUnit:
        """Read one unit anew; it is kept in ``units`` if it is ours."""
        path = observe.bus_path(name)
        reply = await self._bus.call(path, PROPERTIES, "GetAll", "s", [""])
        plain = {key: variant.value for key, variant in reply[0].items()}
        unit = observe.from_properties(name, plain, self._cluster)
        transient = name.rpartition(".")[2] in UNLABELLED and bool(plain.get("Transient"))
        if unit.labels is not None or (transient and unit.load == "loaded"):
            self._watched.put(unit)
        elif name in self.units:
            # Gone and perhaps forgotten, labels and all: what it was is what we knew of it.
            self._watched.drop(name) if unit.loaded else self._watched.dead(name)
        return unit

    async def relist(self) -> None:
        """Compare ``units`` with systemd's list and read anew what differs."""
        await self._list(anew=False)

    def forget(self, name: str) -> None:
        """Leave a unit out of ``units``."""
        self._watched.drop(name)

    async def _hold(self) -> None:
        async with self._bus.opened() as gone:
            self._reloading = False
            await self._list(anew=True)
            self._ready.set()
            while not gone.done():
                stale = asyncio.ensure_future(self._bus.stale.wait())
                try:
                    await asyncio.wait((gone, stale), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    stale.cancel()
                if not gone.done():
                    self._bus.stale.clear()
                    await self._bus.resolve()
                    await self._list(anew=True)
        raise SystemdError("cannot hear systemd: the message bus is gone", name=DISCONNECTED)

    async def _list(self, *, anew: bool) -> None:
        """Bring ``units`` in step with systemd; ``anew``: signals may have been missed."""
        if anew:
            self._known.clear()  # perhaps another version of systemd
        reply = await self._bus.manager("ListUnits", "", [])
        listed = {row[0]: (row[3], row[4]) for row in reply[0]}
        self._foreign &= listed.keys()
        for name, unit in list(self.units.items()):
            if name not in listed and unit.loaded:
                self._watched.dead(name)
        wanted = [name for name in self._candidates(listed) if anew or self._differs(name, listed)]
        for at in range(0, len(wanted), 16):
            # Not a TaskGroup: in Python 3.11 one that fails leaves this task marked as cancelled.
            looks = (self._look(name) for name in wanted[at : at + 16])
            for found in await asyncio.gather(*looks, return_exceptions=True):
                if isinstance(found, BaseException):
                    raise found

    def _candidates(self, listed: Mapping[str, tuple[str, str]]) -> Iterable[str]:
        return sorted((self._files.names() | self.units.keys()) & listed.keys())

    def _differs(self, name: str, listed: Mapping[str, tuple[str, str]]) -> bool:
        unit = self.units.get(name)
        if unit is None:
            return name not in self._foreign
        return (unit.active, unit.sub) != listed[name]

    async def _look(self, name: str) -> None:
        with contextlib.suppress(SystemdError):  # it may have gone in the meantime
            if (await self.inspect(name)).labels is None:
                self._foreign.add(name)

    def _heard(self, member: str, path: str, body: list[Any]) -> None:
        """Take in a signal of systemd."""
        if member == "PropertiesChanged":
            self._heard_properties(path, body[1])
        elif member == "JobRemoved":
            self._jobs.removed(body[2], body[1], body[3])
        elif member == "Reloading":
            self._reloading = body[0]
            if not self._reloading:
                self._bus.stale.set()

    def _heard_properties(self, path: str, changed: Mapping[str, Variant]) -> None:
        if self._reloading or not self._watched.follows(path):
            return
        unit = self._watched.fold(path, {key: variant.value for key, variant in changed.items()})
        if unit is not None and unit.active in ("activating", "deactivating"):
            self._jobs.moving(unit.name)


def _variants(properties: Iterable[Property]) -> list[list[object]]:
    return [[one.name, Variant(one.signature, one.value)] for one in properties]
