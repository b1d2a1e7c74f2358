"""What an agent may do to a unit, as values with reasons, their order, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass

from fleetish.agent.base import Marker
from fleetish.model import Assignment

#: Seconds until something is tried again that failed for no fault of the unit, and until something
#: is that others must change first, such as a name that belongs to somebody else on this host.
SOON, LATER = 1.0, 30.0

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Start:
    """Start a unit that is not there; ``failed``: what is left of its last run is reset first."""

    unit: str
    assignment: Assignment
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop a unit, then start it by its assignment."""

    unit: str
    assignment: Assignment
    reason: str


@dataclass(frozen=True, slots=True)
class Define:
    """Give a unit that waits for others to bring it up the definition of its assignment."""

    unit: str
    assignment: Assignment
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a unit of ours."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take over a unit that runs as wished: note down what its labels say."""

    unit: str
    marker: Marker
    reason: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the traces of a unit that is no longer ours to run; ``failed``: in systemd too;
    ``kept``: systemd may still have its definition, since others bring it up."""

    unit: str
    reason: str
    failed: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until ``until`` (monotonic seconds; infinity: until something changes)."""

    unit: str
    until: float
    reason: str


Step = Start | Restart | Define | Stop | Adopt | Forget | Wait

#: What ends goes before what begins.
ORDER: dict[type, int] = {
    Forget: 0,
    Stop: 1,
    Adopt: 2,
    Define: 3,
    Restart: 4,
    Start: 5,
    Wait: 6,
}

#: Unit types that activate others: they go first, so that these are not activated while they are
#: stopped, and are known when they are started.
_FIRST = frozenset({"socket", "timer", "path", "automount"})


def rank(step: Step) -> tuple[int, bool, str]:
    """The place of a step among others: by its kind, then what activates others, then by name."""
    return ORDER[type(step)], step.unit.rpartition(".")[2] not in _FIRST, step.unit


@dataclass(frozen=True, slots=True)
class Done:
    """The step was taken; systemd tells the rest. ``started``: the unit was handed to it."""

    started: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """The step could not be taken: why, the load state to report, when to try again (seconds)."""

    error: str
    load: str = "error"
    again: float = SOON


Outcome = Done | Blocked
