"""A systemd in memory that behaves as the real one; the same contract tests hold both.

Programs are known by their path: ``/bin/true`` exits with 0 and ``/bin/false`` with 1 at once,
everything else runs until it is stopped, or until the test says :meth:`FakeSystemd.exit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from fleetish.agent.base import RUNNING, WITHDRAWN, Labels, ObservedUnit
from fleetish.agent.observe import begun
from fleetish.errors import OutcomeUnknown, SystemdError
from fleetish.units.properties import Property, TransientUnit

UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"
DISCONNECTED = "org.freedesktop.DBus.Error.Disconnected"

_EXITS = {"/bin/true": 0, "/bin/false": 1, "/usr/bin/true": 0, "/usr/bin/false": 1}


class FakeSystemd:
    """Keeps :class:`fleetish.agent.base.Systemd`.

    What a test may set: ``foreign`` (units of the host, by name), ``referred`` (names that other
    units refer to, so that their definitions stay loaded when they are dead), ``stubborn`` (names
    that do not stop), ``silent`` (names whose start is done but not answered). ``calls`` is what
    was asked, in order.
    """

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self._now = now
        self._units: dict[str, ObservedUnit] = {}
        self._definitions: dict[str, TransientUnit] = {}
        self._dirty: set[str] = set()
        self._news = asyncio.Event()
        self._runs = 0
        self.foreign: dict[str, ObservedUnit] = {}
        self.referred: set[str] = set()
        self.stubborn: set[str] = set()
        self.silent: set[str] = set()
        self._up = asyncio.Event()
        self._up.set()
        self._moved = asyncio.Event()
        self.kept: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.properties: dict[str, dict[str, object]] = {}

    @property
    def units(self) -> Mapping[str, ObservedUnit]:
        return self._units

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def ready(self) -> None:
        await self._up.wait()

    async def changed(self) -> set[str]:
        await self._news.wait()
        self._news.clear()
        names, self._dirty = self._dirty, set()
        return names

    async def start(
        self, unit: TransientUnit, labels: Labels | None, proceed: Callable[[], bool]
    ) -> str:
        await self._turn()
        if not proceed():
            return WITHDRAWN
        self.calls.append(("start", unit.name))
        if unit.name in self.foreign or unit.name in self._definitions:
            raise SystemdError(
                f"cannot StartTransientUnit: Unit {unit.name} was already loaded or has a fragment"
                " file.",
                name=UNIT_EXISTS,
            )
        self._definitions[unit.name] = unit
        self._keep(begun(unit, labels))
        result = self._begin(unit)
        if unit.name in self.silent:
            raise OutcomeUnknown("cannot tell what came of StartTransientUnit: no answer")
        return result

    def keep(self, name: str, text: str) -> None:
        self.kept[name] = text

    async def start_again(self, name: str) -> str:
        await self._turn()
        self.calls.append(("start again", name))
        if name not in self._definitions:
            raise SystemdError(f"cannot StartUnit: Unit {name} not found.", name=_no_such())
        return self._begin(self._definitions[name])

    async def stop(self, name: str) -> str:
        await self._turn()
        self.calls.append(("stop", name))
        unit = self._units.get(name)
        if unit is None or not unit.alive:
            return "done"
        self._change(name, active="deactivating", sub="stop-sigterm")
        await self._turn()
        if name in self.stubborn:
            return RUNNING
        self._end(name, "success", "killed", 15)
        return "done"

    async def kill(self, name: str, signal: int) -> None:
        await self._turn()
        self.calls.append(("kill", name))
        self._end(name, "signal", "killed", signal)

    async def reset_failed(self, name: str) -> None:
        await self._turn()
        self.calls.append(("reset failed", name))
        if name in self._units and self._units[name].active == "failed":
            self._change(name, active="inactive", sub="dead", result="success")
            self._unload(name)

    def forget(self, name: str) -> None:
        if self._units.pop(name, None) is not None:
            self._tell(name)

    async def discard(self, names: Iterable[str]) -> None:
        await self._turn()
        for name in names:
            self.calls.append(("discard", name))
            self._definitions.pop(name, None)

    async def set_properties(self, name: str, properties: Sequence[Property]) -> None:
        await self._turn()
        self.calls.append(("set", name))
        self.properties.setdefault(name, {}).update({one.name: one.value for one in properties})

    async def inspect(self, name: str) -> ObservedUnit:
        await self._turn()
        if name in self.foreign:
            return self.foreign[name]
        if name in self._definitions and name in self._units:
            return self._units[name]
        return ObservedUnit(name, load="not-found")

    async def relist(self) -> None:
        await self._turn()

    async def version(self) -> str:
        return "252 (fake)"

    def disconnect(self) -> None:
        """The bus dies: every call fails until :meth:`reconnect`."""
        self._up.clear()

    def reconnect(self) -> None:
        """The bus is back, and everything was listed anew."""
        self._up.set()
        for name in self._units:
            self._tell(name)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, looking whenever a call was made or a unit changed."""
        while not holds():
            self._moved.clear()
            await self._moved.wait()

    def exit(self, name: str, status: int = 0) -> None:
        """Let a unit's main process exit by itself."""
        self._end(name, "success" if status == 0 else "exit-code", "exited", status)

    def adopt(self, unit: TransientUnit, labels: Labels) -> None:
        """A unit that an earlier agent started and that runs still."""
        self._definitions[unit.name] = unit
        self._keep(begun(unit, labels))
        self._begin(unit)

    def _begin(self, unit: TransientUnit) -> str:
        given = {one.name: one.value for one in unit.properties}
        self._runs += 1
        path = _program(given)
        oneshot = given.get("Type") == "oneshot"
        self._change(
            unit.name,
            active="activating" if oneshot else "active",
            sub="start" if oneshot else "running",
            invocation=f"{self._runs:032x}",
            main_pid=1000 + self._runs,
            result="success",
            exit_code="",
            exit_status=0,
        )
        if path not in _EXITS:
            return RUNNING if oneshot else "done"
        status = _EXITS[path]
        if oneshot:
            self.exit(unit.name, status)
            return "failed" if status else "done"
        asyncio.get_running_loop().call_soon(self.exit, unit.name, status)
        return "done"

    def _end(self, name: str, result: str, code: str, status: int) -> None:
        failed = result != "success"
        self._change(
            name,
            active="failed" if failed else "inactive",
            sub="failed" if failed else "dead",
            result=result,
            exit_code=code,
            exit_status=status,
            main_pid=0,
        )
        if not failed:
            self._unload(name)

    def _unload(self, name: str) -> None:
        """systemd collects a dead unit, unless another refers to it."""
        if name not in self.referred:
            self._definitions.pop(name, None)

    def _keep(self, unit: ObservedUnit) -> None:
        self._units[unit.name] = unit
        self._tell(unit.name)

    def _change(self, name: str, **news: object) -> None:
        self._keep(replace(self._units[name], since=self._now(), **news))  # type: ignore[arg-type]

    def _tell(self, name: str) -> None:
        self._dirty.add(name)
        self._news.set()
        self._moved.set()

    async def _turn(self) -> None:
        self._moved.set()
        await asyncio.sleep(0)
        if not self._up.is_set():
            raise SystemdError("cannot reach systemd: the bus is gone", name=DISCONNECTED)


def _program(given: Mapping[str, object]) -> str:
    lines = given.get("ExecStart") or given.get("ExecStartEx")
    first = lines[0] if isinstance(lines, list) and lines else [""]
    return str(first[0])


def _no_such() -> str:
    return "org.freedesktop.systemd1.NoSuchUnit"
