"""From an assignment and its text to the transient unit that systemd is given; pure.

What the file says comes from :func:`fleetish.units.properties.translate`. Added here:

    Slice=            the slice of the app or template; a file may name another fleetish-….slice
    Environment=      PORT, PORT0, PORT1 … (the granted ports), FLEETISH_MACHINE; the file's wins
    CPUWeight=        100 for each core of CPUs=, where the file sets none
    MemoryMax=        Memory=, where the file sets none
    LogExtraFields=   what the unit is recognised by
    BindsTo= After=   the guard, for class exclusive; and a stop timeout that fits the lease

The same is made as text (:mod:`fleetish.agent.keep`), for the next daemon-reload.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fleetish.agent import guard, observe
from fleetish.agent.base import UNLABELLED, Labels
from fleetish.agent.keep import kept
from fleetish.agent.slices import Caps, caps, weight
from fleetish.errors import BadUnit
from fleetish.model import Assignment
from fleetish.units.file import UnitFile, parse
from fleetish.units.name import ROOT_SLICE, slice_for
from fleetish.units.properties import Property, TransientUnit, translate
from fleetish.units.specifiers import Context
from fleetish.units.xfleet import Class

#: Parsed files to keep; one for each text, however many units are made of it.
KEPT = 256


class Composed(NamedTuple):
    """A unit ready to start, the slice it goes to, and what it brings to that slice.

    ``text`` is what a daemon-reload shall read as the unit's file; empty: what systemd wrote.
    """

    unit: TransientUnit
    labels: Labels
    slice: str
    caps: Caps
    text: str = ""


class Composer:
    """Composes units for one machine; remembers parsed texts by their hash."""

    def __init__(self, context: Context, cluster: str, machine_ttl: float) -> None:
        self._context = context
        self._cluster = cluster
        self._ttl = machine_ttl
        self._files: dict[str, UnitFile] = {}

    def compose(self, wish: Assignment, text: str) -> Composed:
        """The unit of an assignment. Raises BadUnit or BadConfig, when it cannot run here."""
        file = self._parsed(wish, text)
        unit = translate(file, wish.unit, self._context)
        labels = Labels(self._cluster, wish.unit, wish.hash, wish.launch)
        if wish.unit.rpartition(".")[2] in UNLABELLED:  # no processes, so no cgroup of their own
            return Composed(unit, labels, "", Caps(0))
        own = _additions(wish, unit)
        if wish.requirements.klass is Class.EXCLUSIVE:
            own = (*own, *guard.bound(unit, guard.limits(self._ttl)))
        where = _slice(unit)
        given = tuple(one for one in unit.properties if one.name != "Slice")
        added = (
            Property("Slice", "s", where),
            *own,
            *_environment(wish, _variables(given)),
            Property("LogExtraFields", "aay", observe.extra_fields(labels)),
        )
        properties = (*given, *added)
        brings = caps(wish.requirements.resources.millicpus, properties)
        text = kept(file, wish.unit, added)
        return Composed(TransientUnit(wish.unit, properties), labels, where, brings, text)

    def _parsed(self, wish: Assignment, text: str) -> UnitFile:
        found = self._files.get(wish.hash)
        if found is None:
            if len(self._files) >= KEPT:
                self._files.clear()
            found = self._files[wish.hash] = parse(text, wish.unit)
        return found


def _slice(unit: TransientUnit) -> str:
    asked = next((one.value for one in unit.properties if one.name == "Slice"), None)
    if asked is None:
        return slice_for(unit.name)
    if not str(asked).startswith(f"{ROOT_SLICE}-"):
        raise BadUnit(
            f"cannot run {unit.name} in {asked}: units of a cluster stay in {ROOT_SLICE}.slice",
            directive="Slice",
            hint=f"name a slice {ROOT_SLICE}-….slice, or leave Slice= out",
        )
    return str(asked)


def _variables(given: tuple[Property, ...]) -> frozenset[str]:
    """The environment variables that the file itself sets."""
    return frozenset(
        str(word).partition("=")[0]
        for one in given
        if one.name == "Environment" and isinstance(one.value, Sequence)
        for word in one.value
    )


def _environment(wish: Assignment, taken: frozenset[str]) -> tuple[Property, ...]:
    """What a unit is told of its place, but for variables that its file sets."""
    ports = {f"PORT{at}": port for at, port in enumerate(wish.ports)}
    first = {"PORT": wish.ports[0]} if wish.ports else {}
    told: dict[str, object] = {"FLEETISH_MACHINE": wish.machine, **first, **ports}
    words = [f"{name}={value}" for name, value in told.items() if name not in taken]
    return (Property("Environment", "as", words),) if words else ()


def _additions(wish: Assignment, unit: TransientUnit) -> tuple[Property, ...]:
    given = {one.name for one in unit.properties}
    asked = wish.requirements.resources
    wanted = (
        ("CPUWeight", "t", weight(asked.millicpus), asked.millicpus > 0),
        ("MemoryMax", "t", asked.memory, asked.memory > 0 and "MemoryMaxScale" not in given),
    )
    return tuple(
        Property(name, signature, value)
        for name, signature, value, holds in wanted
        if holds and name not in given
    )
