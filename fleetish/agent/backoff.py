"""Counting a unit's failures on this machine, and when it may be tried again; pure.

1. A failure is an entry into ``failed``; the same entry is never counted twice, also when the agent
   was restarted in between (the published state says what was counted).
2. The count belongs to a text and a launch: a start that somebody asks for begins at 0.
3. A run that outlasted the longest back-off (at least a minute) makes the next failure the first.
4. After failure n the next start waits ``backoff * 2**(n-1)`` seconds, ``backoff_max`` at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleetish.agent.base import ObservedUnit
from fleetish.model import Assignment, UnitState
from fleetish.units.xfleet import Requirements

#: Seconds that a run must last, at least, to be called a success.
STEADY = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How the attempts to run one unit went. Times are monotonic seconds.

    ``wish`` is the (text hash, launch) that all this is about; ``error`` why it could not be
    handed to systemd, with the ``load`` state to report; ``generation`` the assignment's then.
    """

    wish: tuple[str, int] = ("", 0)
    failures: int = 0
    counted: str = ""
    started: float = 0.0
    retry_at: float = 0.0
    error: str = ""
    load: str = "loaded"
    generation: int = 0

    def blocks(self, assignment: Assignment) -> bool:
        """True while what could not be started is still the same assignment."""
        return bool(self.error) and self.generation == assignment.generation

    def blocked(self, assignment: Assignment, error: str, load: str, retry_at: float) -> Progress:
        """This assignment cannot be started before ``retry_at``, and why."""
        return replace(
            self, error=error, load=load, retry_at=retry_at, generation=assignment.generation
        )

    def begun(self, now: float) -> Progress:
        """The unit was handed to systemd."""
        return replace(self, started=now, error="", load="loaded", generation=0)


def recall(state: UnitState) -> Progress:
    """What a state published earlier tells of the attempts."""
    counted = _entry(state.invocation, state.since) if state.active == "failed" else ""
    return Progress((state.hash, state.launch), state.failures, counted)


def note(progress: Progress, unit: ObservedUnit | None, wish: Assignment, now: float) -> Progress:
    """Count a new failure of the unit, if there is one."""
    if progress.wish != (wish.hash, wish.launch):
        progress = Progress((wish.hash, wish.launch))
    if unit is None or unit.active != "failed" or unit.labels is None:
        return progress
    entry = _entry(unit.invocation, unit.since)
    other = (unit.labels.hash, unit.labels.launch) != progress.wish
    if other or entry == progress.counted:
        return progress
    asked = wish.requirements
    steady = progress.started > 0 and now - progress.started > max(STEADY, asked.backoff_max_s)
    failures = 1 if steady else progress.failures + 1
    return replace(
        progress, failures=failures, counted=entry, retry_at=now + delay(failures, asked)
    )


def delay(failures: int, asked: Requirements) -> float:
    """Seconds to wait after the given number of failures (1 or more)."""
    doubled: float = asked.backoff_s * 2.0 ** min(failures - 1, 60)
    return min(doubled, asked.backoff_max_s)


def _entry(invocation: str, since: float) -> str:
    return f"{invocation} {since:.6f}"
