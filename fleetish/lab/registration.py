"""Waiting until the cluster knows all machines of the lab."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fleetish.client import Client
from fleetish.errors import FleetishError, WaitTimeout
from fleetish.lab.layout import Host

_EVERY_S = 0.1
_ANSWER_S = 2.0


def await_machines(
    endpoint: str, hosts: Sequence[Host], seconds: float, report: Callable[[str], None]
) -> None:
    """Wait until GET /v1/machines names every host; WaitTimeout after ``seconds``."""
    names = {host.machine: host.name for host in hosts}
    deadline = time.monotonic() + seconds
    known: frozenset[str] = frozenset()
    while names.keys() - known:
        if time.monotonic() > deadline:
            absent = ", ".join(name for machine, name in names.items() if machine not in known)
            raise WaitTimeout(
                f"cannot wait longer than {seconds:.0f} s for {absent} to register",
                hint="fleetish lab exec node1 -- journalctl -u fleetish",
            )
        fresh = registered(endpoint)
        for machine in fresh - known:
            if machine in names:
                report(f"{names[machine]}: registered")
        known |= fresh
        if names.keys() - known:
            time.sleep(_EVERY_S)


def registered(endpoint: str) -> frozenset[str]:
    """The ids of all registered machines; empty while nobody answers."""
    try:
        with Client(endpoint, _ANSWER_S) as client:
            return frozenset(machine.id for machine in client.machines())
    except FleetishError:  # not yet: it starts, or has no quorum
        return frozenset()
