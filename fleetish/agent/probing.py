"""Health and readiness of the units of this machine: what to ask when, and what follows; pure.

    a run of a unit (an invocation) ─▶ Run ─▶ due / after ─▶ when to ask
                     an answer      ─▶ noted ─▶ Run, another only when there is something to write

1. A unit is probed while it is active. A run belongs to an invocation: the next one begins anew.
2. Failures before the first success do not count within the grace of a check.
3. What is written changes when a check turns good or bad, and while it fails with each failure, up
   to one more than make the unit unhealthy. Further answers of the same kind change nothing. Of an
   advisory check each answer counts that differs from the one before, from the first on.
4. Readiness is asked for until the first good answer.
5. Probes of many units that were started together are spread: each unit has a phase of its own.
6. An agent that was restarted goes on with what it published of the same invocation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from signal import SIGABRT, SIGKILL
from typing import NamedTuple
from zlib import crc32

import msgspec

from fleetish.agent.base import ObservedUnit
from fleetish.health import PROBED
from fleetish.model import Assignment, CheckState, UnitState
from fleetish.units.health import HealthCheck, OnUnhealthy, Probe

#: The number by which the readiness check of a unit goes; health checks count from 0.
READINESS = -1

#: The part of an interval, and the seconds, over which first probes are spread, at most.
SPREAD, SPREAD_SECONDS = 0.1, 1.0

#: Characters of a cause that are kept.
MOST_CAUSE = 200


class Answer(NamedTuple):
    """What came of a probe. ``good`` None: nothing that says anything. ``code``: a status, as
    :class:`fleetish.model.CheckState` has it."""

    good: bool | None
    cause: str = ""
    code: int = 0


class Place(NamedTuple):
    """Where a probe asks."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a unit, and what its checks have shown. ``began`` in monotonic seconds."""

    wish: Assignment
    invocation: str
    began: float
    health: tuple[CheckState, ...] = ()
    ready: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """The checks that are to be asked for."""
        asked = self.wish.requirements
        wanted = (READINESS,) if asked.readiness and not self.ready else ()
        return (*range(len(asked.health)), *wanted)

    def probe(self, number: int) -> Probe:
        """A check of the run by its number."""
        asked = self.wish.requirements
        if number == READINESS:
            assert asked.readiness is not None
            return asked.readiness
        return asked.health[number]

    def told(self, state: UnitState) -> UnitState:
        """The state, with what the checks have shown if it is one of this run."""
        if state.invocation != self.invocation or state.active not in PROBED:
            return state
        return msgspec.structs.replace(state, health=self.health, ready=self.ready)


def goes_on(run: Run, unit: ObservedUnit | None) -> bool:
    """True while the run is probed: until it ends or another begins, whatever is wished."""
    return unit is not None and unit.active in PROBED and unit.invocation == run.invocation


def begun(
    wish: Assignment, unit: ObservedUnit | None, before: UnitState | None, now: float, date: float
) -> Run | None:
    """The run of a unit that is to be probed, or None. ``before`` is what was published last;
    ``now`` in monotonic seconds, ``date`` since the epoch."""
    asked = wish.requirements
    if not (asked.health or asked.readiness) or unit is None or not unit.invocation:
        return None
    if unit.active not in PROBED or unit.labels is None or unit.labels.hash != wish.hash:
        return None
    run = Run(wish, unit.invocation, now - max(0.0, date - unit.since))
    fresh = replace(run, health=(CheckState(),) * len(asked.health))
    if before is None or before.invocation != unit.invocation:
        return fresh
    if (before.hash, len(before.health)) != (wish.hash, len(asked.health)):
        return fresh
    return replace(run, health=before.health, ready=before.ready)


def due(run: Run, number: int, now: float) -> float:
    """When a check is asked for first (monotonic seconds)."""
    probe = run.probe(number)
    phase = crc32(f"{run.wish.unit} {number}".encode()) / 2**32
    if number != READINESS and run.health[number] != CheckState():
        return now + phase * probe.interval
    first = probe.first if isinstance(probe, HealthCheck) else 0.0
    return max(now, run.began + first) + phase * min(SPREAD * probe.interval, SPREAD_SECONDS)


def after(probe: Probe, asked: float, now: float) -> float:
    """When to ask again, after a question of ``asked``: one at a time, however long it takes."""
    return max(now, asked + probe.interval)


def place(run: Run, number: int, machine: str) -> Place | None:
    """Where to ask, on a machine with this address; None when it has not granted such a port."""
    probe, granted = run.probe(number), run.wish.ports
    if not probe.port and probe.index >= len(granted):
        return None
    other = not machine or (probe.ipv6 and ":" not in machine)
    local = "::1" if probe.ipv6 else "127.0.0.1"
    host = local if probe.loopback or other else machine
    return Place(host, probe.port or granted[probe.index])


def noted(run: Run, number: int, answer: Answer, now: float, date: float) -> Run:
    """The run after an answer; the same object when there is nothing new to write."""
    if number == READINESS:
        return replace(run, ready=True) if answer.good and not run.ready else run
    check, held = run.wish.requirements.health[number], run.health[number]
    early = not held.first_success and now < run.began + check.grace
    found = (
        _told(held, answer, date) if check.advisory else _noted(check, held, answer, date, early)
    )
    if found is held:
        return run
    return replace(run, health=(*run.health[:number], found, *run.health[number + 1 :]))


def _told(held: CheckState, answer: Answer, date: float) -> CheckState:
    """The state of an advisory check after an answer."""
    good, cause, code = answer
    if good is None or (good, code) == (held.alive, held.code):
        return held
    when = {"last_success": date} if good else {"last_failure": date}
    return msgspec.structs.replace(held, alive=good, code=code, cause=_printable(cause), **when)


def _noted(
    check: HealthCheck, held: CheckState, answer: Answer, date: float, early: bool
) -> CheckState:
    if answer.good is None or (answer.good and held.alive):
        return held
    if answer.good:
        first = held.first_success or date
        return msgspec.structs.replace(
            held, alive=True, failures=0, first_success=first, last_success=date
        )
    if early or held.failures > check.failures:
        return held
    said = _printable(answer.cause)
    return msgspec.structs.replace(
        held, alive=False, failures=held.failures + 1, last_failure=date, cause=said
    )


def _printable(cause: str) -> str:
    return "".join(char if char.isprintable() else " " for char in cause[:MOST_CAUSE])


def strike(run: Run, number: int, answer: Answer) -> int:
    """The signal that an answer, once noted, earns the unit; 0 for none: as systemd's watchdog
    does, SIGABRT first, and SIGKILL for what outlives that."""
    asked = run.wish.requirements
    if number == READINESS or answer.good is not False:
        return 0
    check, failures = asked.health[number], run.health[number].failures
    if asked.on_unhealthy is OnUnhealthy.NONE or not 0 < check.failures <= failures:
        return 0
    return SIGABRT if failures == check.failures else SIGKILL
