"""Machines: cordon, uncordon, drain."""

from __future__ import annotations

import time

import click

from fleetish.cli.complete import complete_machines
from fleetish.cli.connection import connect
from fleetish.cli.units import waiting_options
from fleetish.cli.wait import Say, Watch, progress
from fleetish.client import Client
from fleetish.errors import Unavailable, WaitTimeout
from fleetish.wire import MachineView, UnitView

MACHINES = click.argument("machines", nargs=-1, required=True, shell_complete=complete_machines)
REASON = click.option("--reason", default="", help="Shown to whoever asks.")


@click.command()
@MACHINES
@REASON
def cordon(machines: tuple[str, ...], reason: str) -> None:
    """Place nothing new on a machine; what runs there stays.

    \b
    fleetish cordon node2 --reason "new disk on Friday"
    """
    with connect() as fleet:
        for which in machines:
            fleet.cordon(which, reason)
            click.echo(f"Machine {which} cordoned")


@click.command()
@MACHINES
def uncordon(machines: tuple[str, ...]) -> None:
    """Use a machine again, after a cordon or a drain.

    \b
    fleetish uncordon node2
    """
    with connect() as fleet:
        for which in machines:
            fleet.uncordon(which)
            click.echo(f"Machine {which} uncordoned")


@click.command()
@click.argument("machine", shell_complete=complete_machines)
@REASON
@waiting_options
def drain(machine: str, reason: str, no_block: bool, timeout: float) -> int:
    """Move everything off a machine and wait until it is empty.

    Pinned and global units stay; the command names them and is done when only they are left.

    \b
    fleetish drain node2 --reason "kernel update"
    fleetish drain node2 --no-block
    """
    with connect() as fleet:
        found = fleet.machine(machine)
        watch = None if no_block else Watch(fleet)
        if watch:
            watch.next(timeout or None)
        fleet.drain(found.id, reason)
        click.echo(f"Machine {machine} draining")
        if watch:
            Drain(fleet, found, watch, timeout).run()
            click.echo(f"Machine {machine} drained")
    return 0


class Drain:
    """One wait for a machine to become empty."""

    def __init__(self, fleet: Client, machine: MachineView, watch: Watch, timeout: float) -> None:
        self.fleet = fleet
        self.machine = machine
        self.watch: Watch | None = watch
        self.deadline = time.monotonic() + timeout if timeout else None
        self.left: dict[str, UnitView] = {}
        self.stay: set[str] = set()

    def run(self) -> None:
        """Wait. Raises WaitTimeout naming what is left."""
        with progress() as say:
            self._look()
            total = len(self.left)
            while self.left:
                self._tell(say, total)
                self._next()
        for name in sorted(self.stay):
            click.echo(f"{name} stays: it is pinned or global", err=True)

    def _tell(self, say: Say, total: int) -> None:
        some = next(iter(self.left.values()))
        detail = f"; {some.name} waits {some.waiting}" if some.waiting else ""
        say(f"drain {self.machine.host}: {total - len(self.left)} of {total} moved{detail}")

    def _look(self) -> None:
        here = {view.name: view for view in self.fleet.units() if self._is_here(view)}
        self.stay = {name for name in here if self._stays(here[name])}
        self.left = {name: view for name, view in here.items() if name not in self.stay}

    def _is_here(self, view: UnitView) -> bool:
        return view.machine == self.machine.id or any(
            state.machine == self.machine.id for state in view.states
        )

    def _stays(self, view: UnitView) -> bool:
        return view.is_global or view.klass == "pinned"

    def _next(self) -> None:
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left <= 0:
            names = ", ".join(sorted(self.left)[:10])
            raise WaitTimeout(
                f"cannot drain {self.machine.host} in time: {len(self.left)} units are left: "
                f"{names}",
                hint="it goes on draining; see fleetish explain UNIT",
            )
        try:
            if self.watch is None:
                self.watch = Watch(self.fleet)
                self.watch.next(left)
                self._look()
                return
            event = self.watch.next(left)
        except Unavailable:
            self.watch = None
            time.sleep(1.0)
            return
        if event is None or event.unit not in self.left:
            return
        if event.view is None or not self._is_here(event.view):
            del self.left[event.unit]
        else:
            self.left[event.unit] = event.view
