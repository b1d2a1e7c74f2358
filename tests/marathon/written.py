"""A tree over a world in memory, without a store: what is proposed is written at once."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fleetish.changes import (
    Change,
    CreateUnit,
    DestroyUnit,
    DropDocument,
    PutDocument,
    ReplaceUnit,
    SetTarget,
)
from fleetish.model import Record
from fleetish.testing import build
from fleetish.world import World
from marathon_compat.apps.app import App
from marathon_compat.apps.deploy import Proposal, Terms, over, propose
from marathon_compat.apps.edits import Draft, set_apps
from marathon_compat.apps.forget import forgotten
from marathon_compat.apps.tree import Tree

BEGIN = 1_000_000.0


def write(world: World, changes: Iterable[Change]) -> None:
    """Do to a world what the store does with changes of people and of Marathon."""
    for change in changes:
        match change:
            case PutDocument(document):
                build.put(world, document)
            case DropDocument(kind, name):
                build.drop(world, "docs", kind, name)
            case CreateUnit(unit) | ReplaceUnit(unit):
                build.put(world, unit)
            case DestroyUnit(name):
                build.drop(world, "units", name)
            case SetTarget(name, target, launch):
                build.put(world, _retargeted(world, name, target, launch))
            case _:
                raise TypeError(f"nobody here writes a {type(change).__name__}")


def _retargeted(world: World, name: str, target: object, launch: int) -> Record:
    return msgspec.structs.replace(world.units[name], target=target, launch=launch)


class Written:
    """A tree, and a clock that goes on by a second with each change."""

    def __init__(self, *records: Record) -> None:
        self.world = build.world(*records)
        self.tree = Tree.of(self.world)
        self.now = BEGIN

    def write(self, changes: Iterable[Change]) -> None:
        """Write, and look."""
        write(self.world, changes)
        self.tree.sync(self.world)

    def propose(self, draft: Draft, **terms: object) -> Proposal:
        """Propose a change under an id that says when."""
        self.now += 1.0
        name = str(terms.pop("id", f"d{self.now - BEGIN:.0f}"))
        return propose(self.tree, draft, Terms(name, self.now, **terms))  # type: ignore[arg-type]

    def start(self, draft: Draft, **terms: object) -> Proposal:
        """Propose a change and write it."""
        proposal = self.propose(draft, **terms)
        self.write(proposal.changes)
        return proposal

    def done(self, draft: Draft, **terms: object) -> Proposal:
        """The same, and let its deployment end."""
        proposal = self.start(draft, **terms)
        known = self.tree.deployments[proposal.id]
        self.write((*over(known, "success", "", self.now), *forgotten(self.tree, known)))
        return proposal

    def put(self, *apps: App) -> Proposal:
        """Make apps what they should be, as if at once."""
        return self.done(set_apps(self.tree, apps))
