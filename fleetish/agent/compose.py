"""From an assignment and its text to the transient unit that systemd is given; pure.

What the file says comes from :func:`fleetish.units.properties.translate`. Added here:

    Slice=            the slice of the app or template; a file may name another fleetish-….slice
    Environment=      PORT, PORTS, PORT0 … (the granted ports), FLEETISH_MACHINE, and those that
                      [X-Fleet] has made of such; the file's own win
    CPUWeight=        100 for each core of CPUs=, where the file sets none
    MemoryMax=        Memory=, where the file sets none
    LogExtraFields=   what the unit is recognised by
    BindsTo= After=   the guard, for class exclusive; and a stop timeout that fits the lease
    Wants= Requires=  the units that say WantedBy= or RequiredBy= this one
    StateDirectory= … a sandbox and what is fetched into it (:mod:`fleetish.agent.sandbox`)

The same is made as text (:mod:`fleetish.agent.keep`), for the next daemon-reload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fleetish.agent import guard, observe, sandbox
from fleetish.agent.base import UNLABELLED, Labels
from fleetish.agent.keep import kept
from fleetish.agent.slices import Caps, caps, weight
from fleetish.model import Assignment
from fleetish.units.file import UnitFile, parse
from fleetish.units.properties import Property, TransientUnit, slice_of, translate
from fleetish.units.specifiers import Context
from fleetish.units.variables import facts, filled
from fleetish.units.xfleet import Class

#: Parsed files to keep; one for each text, however many units are made of it.
KEPT = 256


class Composed(NamedTuple):
    """A unit ready to start, the slice it goes to, and what it brings to that slice.

    ``text`` is what a daemon-reload shall read as the unit's file; ``file`` its own one.
    """

    unit: TransientUnit
    labels: Labels
    slice: str
    caps: Caps
    text: str
    file: UnitFile


#: The units that a unit is to want and to require, beside what its file says.
Sidekicks = tuple[tuple[str, ...], tuple[str, ...]]


class Composer:
    """Composes units for one machine; remembers parsed texts by their hash. ``fetch`` is how
    ``fleetish fetch`` is run here."""

    def __init__(
        self,
        context: Context,
        cluster: str,
        machine_ttl: float,
        fetch: tuple[str, ...] = ("fleetish", "fetch"),
    ) -> None:
        self._context = context
        self._cluster = cluster
        self._ttl = machine_ttl
        self._fetch = fetch
        self._files: dict[str, UnitFile] = {}

    def compose(self, wish: Assignment, text: str, sidekicks: Sidekicks = ((), ())) -> Composed:
        """The unit of an assignment. Raises BadUnit or BadConfig, when it cannot run here."""
        file = self._parsed(wish, text)
        unit = translate(file, wish.unit, self._context)
        labels = Labels(self._cluster, wish.unit, wish.hash, wish.launch)
        pulled, bound = _pulled(sidekicks), self._bound(wish, unit)
        if wish.unit.rpartition(".")[2] in UNLABELLED:  # no processes, so no cgroup of their own
            unit = TransientUnit(wish.unit, (*unit.properties, *pulled))
            return Composed(unit, labels, "", Caps(0), kept(file, wish.unit, pulled), file)
        homely, told = sandbox.directory(wish, unit, self._context)
        first = sandbox.fetching(wish, unit, self._context, self._fetch)
        own = (*_additions(wish, unit), *pulled, *bound, *homely)
        where = slice_of(unit)
        given = tuple(one for one in unit.properties if one.name != "Slice")
        added = (
            Property("Slice", "s", where),
            *own,
            *_environment(wish, _variables(given), told),
            Property("LogExtraFields", "aay", observe.extra_fields(labels)),
        )
        properties = (*first, *given, *added)
        brings = caps(wish.requirements.resources.millicpus, properties)
        text = kept(file, wish.unit, added, first)
        unit = TransientUnit(wish.unit, properties)
        return Composed(unit, labels, where, brings, text, file)

    def _bound(self, wish: Assignment, unit: TransientUnit) -> tuple[Property, ...]:
        if wish.requirements.klass is not Class.EXCLUSIVE:
            return ()
        return guard.bound(unit, guard.limits(self._ttl))

    def _parsed(self, wish: Assignment, text: str) -> UnitFile:
        found = self._files.get(wish.hash)
        if found is None:
            if len(self._files) >= KEPT:
                self._files.clear()
            found = self._files[wish.hash] = parse(text, wish.unit)
        return found


def _pulled(sidekicks: Sidekicks) -> tuple[Property, ...]:
    """Dependencies on the units whose [Install] section names this one: what ``systemctl enable``
    makes links for."""
    named = zip(("Wants", "Requires"), sidekicks, strict=True)
    return tuple(Property(name, "as", list(units)) for name, units in named if units)


def _variables(given: tuple[Property, ...]) -> frozenset[str]:
    """The environment variables that the file itself sets."""
    return frozenset(
        str(word).partition("=")[0]
        for one in given
        if one.name == "Environment" and isinstance(one.value, Sequence)
        for word in one.value
    )


def _environment(
    wish: Assignment, taken: frozenset[str], more: Mapping[str, str]
) -> tuple[Property, ...]:
    """What a unit is told of its place, but for variables that its file sets."""
    known = facts(wish.ports, wish.launch, wish.machine)
    ports = {name: known[name] for name in known if name.startswith("PORT")}
    made = dict(filled(variable, known) for variable in wish.requirements.environment)
    told = {"FLEETISH_MACHINE": wish.machine, **more, **ports, **made}
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
