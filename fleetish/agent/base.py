"""What the agent may know of the machine's systemd and journal: values and protocols.

:mod:`fleetish.agent.systemd` keeps the :class:`Systemd` protocol over D-Bus, and
:mod:`fleetish.testing.systemd` in memory; one set of contract tests holds both.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from fleetish.units.properties import Property, TransientUnit

#: Active states in which processes of a unit may exist (systemd(1)).
ALIVE = frozenset(
    {"active", "activating", "reloading", "deactivating", "maintenance", "refreshing"}
)

#: Unit types without LogExtraFields=, known as ours only by their marker file.
UNLABELLED = frozenset({"timer", "path", "target", "automount", "slice", "scope", "device"})

#: What :meth:`Systemd.start` answers beside systemd's own job results: PID 1 has taken the job up
#: but not finished it, or ``proceed`` said no before anything was sent.
RUNNING, WITHDRAWN = "running", "withdrawn"


class Labels(NamedTuple):
    """What a unit started by fleetish carries in LogExtraFields=, to be recognised by."""

    cluster: str
    unit: str
    hash: str
    launch: int


class Marker(msgspec.Struct, frozen=True):
    """Which text and launch of a unit was started since the machine booted; ``started`` False: it
    was about to be, or its run was cut off."""

    hash: str
    launch: int
    started: bool = True


@dataclass(frozen=True, slots=True)
class ObservedUnit:
    """A unit as systemd has it. ``labels`` None: not ours. ``since`` is when its state changed last
    and ``left`` when it was active last, in seconds since the epoch.

    ``exit_code`` is one of "", exited, killed, dumped; ``exit_status`` the status or signal number.
    """

    name: str
    load: str = "loaded"
    active: str = "inactive"
    sub: str = "dead"
    since: float = 0.0
    left: float = 0.0
    result: str = ""
    exit_code: str = ""
    exit_status: int = 0
    main_pid: int = 0
    invocation: str = ""
    restarts: int = 0
    slice: str = ""
    labels: Labels | None = None

    @property
    def alive(self) -> bool:
        """True while processes of it may exist."""
        return self.active in ALIVE

    @property
    def loaded(self) -> bool:
        """True while systemd holds the name: alive, or failed and not yet reset."""
        return self.alive or self.active == "failed"


class Labelled(NamedTuple):
    """A transient unit, and what it is recognised by; None where that is its name alone."""

    unit: TransientUnit
    labels: Labels | None


class Figures(NamedTuple):
    """What a unit uses now: ``memory`` in bytes, ``cpu`` in seconds since it was started."""

    memory: int = 0
    cpu: float = 0.0


class JournalQuery(NamedTuple):
    """Which entries of a unit's journal: the last ``lines``, or all after ``cursor``."""

    unit: str
    lines: int = 10
    follow: bool = False
    cursor: str = ""
    since: str = ""


class Systemd(Protocol):
    """One systemd manager. Every call raises SystemdError when systemd says no, or OutcomeUnknown
    when it was sent and no answer came: then read the unit again (:meth:`inspect`)."""

    @property
    def units(self) -> Mapping[str, ObservedUnit]:
        """The units that were started here or found to be ours, as last heard of."""

    async def run(self) -> None:
        """Hold the connection, for ever: connect, subscribe, list; again after the bus died."""

    async def ready(self) -> None:
        """Wait until everything was listed once on a live connection."""

    async def changed(self) -> set[str]:
        """The names whose unit changed since the last call; waits for one. One reader only."""

    async def start(
        self,
        unit: TransientUnit,
        labels: Labels | None,
        proceed: Callable[[], bool],
        beside: Sequence[Labelled] = (),
    ) -> str:
        """Start a transient unit and wait until PID 1 took it up; the job's result.

        The units ``beside`` it are loaded, not started, and stay while another refers to them; none
        of their names may be taken. ``proceed`` is asked in the moment before the call is sent. The
        result is a word of JobRemoved (org.freedesktop.systemd1(5)), RUNNING or WITHDRAWN."""

    def keep(self, name: str, text: str) -> None:
        """Let a daemon-reload read ``text`` as the file of a unit that was just started."""

    async def start_again(self, name: str) -> str:
        """Start a unit that systemd still holds, as it was defined."""

    async def stop(self, name: str) -> str:
        """Stop a unit; ends when the job has, or after a while with RUNNING. A unit that is not
        there is stopped."""

    async def kill(self, name: str, signal: int) -> None:
        """Send a signal to all processes of a unit."""

    async def reset_failed(self, name: str) -> None:
        """Forget that a unit failed; nothing happens when it is not loaded."""

    def forget(self, name: str) -> None:
        """Leave a unit out of ``units``."""

    async def discard(self, names: Iterable[str]) -> None:
        """Drop the definitions of dead transient units that systemd keeps since others refer to
        them. Costs one daemon-reload, shared by all that wait for one."""

    async def define(self, texts: Mapping[str, str]) -> None:
        """Give units that others refer to another definition: a text for each name. One that runs
        goes on until it is stopped. Costs a daemon-reload as :meth:`discard` does."""

    async def known(self, kind: str) -> frozenset[str]:
        """The properties that this systemd has on units of a type, such as ``service``."""

    async def set_properties(self, name: str, properties: Sequence[Property]) -> None:
        """Set properties of a loaded unit until the next boot."""

    async def inspect(self, name: str) -> ObservedUnit:
        """Read one unit anew, whoever it belongs to; it is in ``units`` if it is ours."""

    async def relist(self) -> None:
        """Compare ``units`` with systemd's list and read anew what differs."""

    async def version(self) -> str:
        """systemd's version, as ``252.39-1~deb12u1``."""


class Journal(Protocol):
    """The machine's journal and the texts that systemctl makes of it."""

    def entries(self, query: JournalQuery) -> AsyncGenerator[bytes, None]:
        """A unit's entries as JSON objects, a line each, in order; with ``follow`` for ever."""

    async def status(self, unit: str) -> str:
        """What ``systemctl status`` prints for a unit."""
