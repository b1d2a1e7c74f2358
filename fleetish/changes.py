"""The vocabulary of cluster writes: whoever decides, decides in these words.

Each change is one indivisible step with its reason. :mod:`fleetish.store.txn` says which keys it
compares and writes; nobody else writes to the store.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleetish.model import Document, Overlay, Target, Unit, UnitState


@dataclass(frozen=True, slots=True)
class CreateUnit:
    """Add a unit that does not exist yet, with its text."""

    unit: Unit
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReplaceUnit:
    """Give an existing unit another record (and text, when ``text`` is not empty)."""

    unit: Unit
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetTarget:
    """Change what is wanted of a unit; ``launch`` is the unit's new launch number."""

    unit: str
    target: Target
    launch: int
    reason: str


@dataclass(frozen=True, slots=True)
class DestroyUnit:
    """Forget a unit; what runs of it is released by the engine."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Assign:
    """Place a unit on a machine (a global unit: on this machine too, without a placement)."""

    unit: str
    machine: str
    ports: tuple[int, ...]
    reason: str
    failed_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refresh:
    """Tell the machine a unit's new target, launch or text, where the unit stays placed."""

    unit: str
    machine: str
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Ask a live machine to stop a unit and say so; the placement stays until it has."""

    unit: str
    machine: str
    reason: str
    failed_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unassign:
    """Take a unit off a machine that has stopped it, or that is lost.

    Guarded: the machine's state answers the release, or the machine's lease key is absent.
    """

    unit: str
    machine: str
    reason: str


@dataclass(frozen=True, slots=True)
class Move:
    """Unassign from ``source`` and assign to ``machine`` in one step, with both guards."""

    unit: str
    source: str
    machine: str
    ports: tuple[int, ...]
    reason: str
    failed_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishState:
    """An agent reports what systemd says."""

    state: UnitState
    reason: str


@dataclass(frozen=True, slots=True)
class DropState:
    """Remove a state that nothing is assigned for any more."""

    unit: str
    machine: str
    reason: str


@dataclass(frozen=True, slots=True)
class PutOverlay:
    """Record what an operator says about a machine: metadata, cordon, drain."""

    overlay: Overlay
    reason: str


@dataclass(frozen=True, slots=True)
class PutDocument:
    """Store a face's record."""

    document: Document
    reason: str


@dataclass(frozen=True, slots=True)
class DropDocument:
    """Remove a face's record."""

    kind: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PutContent:
    """Store a text for a record that names it by its hash, other than a unit."""

    hash: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class DropContent:
    """Remove a text that nothing refers to any more, if it is as it was written at ``mod``.

    Whoever refers to a text writes it in the same step, so a text with a new reader is newer."""

    hash: str
    mod: int
    reason: str


Change = (
    CreateUnit
    | ReplaceUnit
    | SetTarget
    | DestroyUnit
    | Assign
    | Refresh
    | Release
    | Unassign
    | Move
    | PublishState
    | DropState
    | PutOverlay
    | PutDocument
    | DropDocument
    | PutContent
    | DropContent
)
