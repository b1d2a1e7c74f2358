"""A systemd in memory that behaves as the real one; the same contract tests hold both.

Programs are known by their path: ``/bin/true`` exits with 0 and ``/bin/false`` with 1 at once,
everything else runs until it is stopped, or until the test says :meth:`FakeSystemd.exit`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from fleetish.agent.base import RUNNING, WITHDRAWN, Labelled, Labels, ObservedUnit
from fleetish.agent.observe import begun, labels
from fleetish.errors import OutcomeUnknown, SystemdError
from fleetish.units.bonds import ACTIVATES
from fleetish.units.file import parse
from fleetish.units.properties import PROPERTIES, Property, TransientUnit, translate
from fleetish.units.specifiers import Context

UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists"
DISCONNECTED = "org.freedesktop.DBus.Error.Disconnected"

#: What a systemd that knows the whole table has.
_KNOWN = {
    name for rows in PROPERTIES.values() for row in rows.values() for name, _ in row.properties
}

_EXITS = {"/bin/true": 0, "/bin/false": 1, "/usr/bin/true": 0, "/usr/bin/false": 1}


class FakeSystemd:
    """Keeps :class:`fleetish.agent.base.Systemd`.

    A unit refers to those that it names in Wants=, Requires= and BindsTo=, and what activates
    another to the one that Unit= or Service= says, else to that of its own name; a dead unit stays
    loaded while another refers to it. What a test may set: ``foreign`` (units of the host, by
    name), ``referred`` (names that something else refers to), ``stubborn`` (names that do not
    stop), ``pressed`` (names that a waiting connection starts again whenever they end), ``silent``
    (names whose start is done but not answered), ``lacking`` (properties that this systemd does
    not have). ``calls`` is what was asked, in order; ``kept`` and ``defined`` the texts that were
    given.
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
        self.lacking: set[str] = set()
        self.pressed: set[str] = set()
        self.kept: dict[str, str] = {}
        self.defined: dict[str, str] = {}
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
        self,
        unit: TransientUnit,
        labels: Labels | None,
        proceed: Callable[[], bool],
        beside: Sequence[Labelled] = (),
    ) -> str:
        await self._turn()
        if not proceed():
            return WITHDRAWN
        self.calls.append(("start", unit.name))
        begun_now = (Labelled(unit, labels), *beside)
        for one in begun_now:
            self._refuse_taken(one.unit.name)
        for one in begun_now:
            self._definitions[one.unit.name] = one.unit
            self._keep(begun(*one))
        result = self._begin(unit)
        if unit.name in self.silent:
            raise OutcomeUnknown("cannot tell what came of StartTransientUnit: no answer")
        return result

    def _refuse_taken(self, name: str) -> None:
        if name in self.foreign or name in self._definitions:
            raise SystemdError(
                f"cannot StartTransientUnit: Unit {name} was already loaded or has a fragment"
                " file.",
                name=UNIT_EXISTS,
            )

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
        self._moved.set()
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

    async def define(self, texts: Mapping[str, str]) -> None:
        await self._turn()
        for name, text in texts.items():
            self.calls.append(("define", name))
            self.defined[name] = text
            unit, found = _read_definition(name, text)
            self._definitions[name] = unit
            fresh = begun(unit, found)
            held = self._units.get(name, fresh)
            self._keep(replace(held, labels=found, slice=fresh.slice))

    async def known(self, kind: str) -> frozenset[str]:
        return frozenset(_KNOWN - self.lacking)

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

    def activate(self, name: str) -> None:
        """Something that activates a loaded unit does so: a connection came, its time is due."""
        self._begin(self._definitions[name])

    def adopt(self, unit: TransientUnit, labels: Labels) -> None:
        """A unit that an earlier agent started and that runs still."""
        self._definitions[unit.name] = unit
        self._keep(begun(unit, labels))
        self._begin(unit)

    def _begin(self, unit: TransientUnit) -> str:
        given = {one.name: one.value for one in unit.properties}
        if any(one not in {*self._definitions, *self.foreign} for one in _activated(unit)):
            self._unload(unit.name)
            return "failed"  # and no word of it in the unit's state
        for other in _pulled(unit):
            if other in self._definitions and not self._units[other].alive:
                self._begin(self._definitions[other])
            needed = other in _names(unit, "Requires", "BindsTo") and other in _names(unit, "After")
            if needed and other in self._units and self._units[other].active == "failed":
                return "dependency"
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
        if name in self.pressed and name in self._definitions:
            self._begin(self._definitions[name])
        elif not failed:
            self._unload(name)
        elif self._collects(name):
            del self._definitions[name]

    def _collects(self, name: str) -> bool:
        """True for a unit of which systemd keeps nothing after it failed (CollectMode=)."""
        mode = Property("CollectMode", "s", "inactive-or-failed")
        return name in self._definitions and mode in self._definitions[name].properties

    def _unload(self, name: str) -> None:
        """systemd collects a dead unit, unless another refers to it, and then those that none
        refers to any more."""
        if self._units[name].loaded or self._is_referred(name):
            return
        gone = self._definitions.pop(name, None)
        for other in _refers(gone) if gone else ():
            if other in self._definitions:
                self._unload(other)

    def _is_referred(self, name: str) -> bool:
        return name in self.referred or any(
            name in _refers(unit) for unit in self._definitions.values() if unit.name != name
        )

    def _keep(self, unit: ObservedUnit) -> None:
        self._units[unit.name] = unit
        self._tell(unit.name)

    def _change(self, name: str, **news: object) -> None:
        held, now = self._units[name], self._now()
        left = now if held.active == "active" != news.get("active", "active") else held.left
        self._keep(replace(held, since=now, left=left, **news))  # type: ignore[arg-type]

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


def _pulled(unit: TransientUnit) -> list[str]:
    return _names(unit, "Wants", "Requires", "BindsTo")


def _names(unit: TransientUnit, *properties: str) -> list[str]:
    lists = [one.value for one in unit.properties if one.name in properties]
    return [str(name) for each in lists if isinstance(each, list) for name in each]


def _activated(unit: TransientUnit) -> set[str]:
    stem, _, kind = unit.name.rpartition(".")
    if kind not in ACTIVATES:
        return set()
    named = [one.value for one in unit.properties if one.name in ("Unit", "Service")]
    return {str(named[-1]) if named else f"{stem}.{ACTIVATES[kind][2]}"}


def _refers(unit: TransientUnit) -> set[str]:
    return {*_pulled(unit), *_activated(unit)}


def _read_definition(name: str, text: str) -> tuple[TransientUnit, Labels | None]:
    """The unit that a text defines, and what it is recognised by."""
    unit = translate(parse(text, name), name, Context())
    marks = [one.value for one in unit.properties if one.name == "LogExtraFields"]
    return unit, labels([field for each in marks if isinstance(each, list) for field in each])


def _no_such() -> str:
    return "org.freedesktop.systemd1.NoSuchUnit"
