"""What an agent may do to a unit, as values with reasons, and the order among them."""

from __future__ import annotations

from dataclasses import dataclass

from fleetish.agent.base import Marker
from fleetish.model import Assignment


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
    """Drop the traces of a unit that is no longer ours to run; ``failed``: in systemd too."""

    unit: str
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until ``until`` (monotonic seconds; infinity: until something changes)."""

    unit: str
    until: float
    reason: str


Step = Start | Restart | Stop | Adopt | Forget | Wait

#: What ends goes before what begins.
ORDER: dict[type, int] = {Forget: 0, Stop: 1, Adopt: 2, Restart: 3, Start: 4, Wait: 5}
