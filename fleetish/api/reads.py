"""How a handler comes to the cluster's records."""

from __future__ import annotations

from starlette.requests import Request

from fleetish.api.bodies import REVISION
from fleetish.api.ledger import Ledger
from fleetish.world import World


def ledger_of(request: Request) -> Ledger:
    """The ledger that the application was made with."""
    ledger = request.app.state.ledger
    assert isinstance(ledger, Ledger)
    return ledger


async def current_world(request: Request) -> World:
    """The world to answer from: not older than what the client says it has seen."""
    seen = request.headers.get(REVISION, "")
    return await ledger_of(request).world(int(seen) if seen.isascii() and seen.isdigit() else 0)
