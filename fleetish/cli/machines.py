"""Machines: cordon, uncordon, drain."""

from __future__ import annotations

import time

import click

from fleetish.cli.bar import Report, bar, json_option
from fleetish.cli.complete import complete_machines
from fleetish.cli.connection import connect
from fleetish.cli.units import waiting_options
from fleetish.cli.wait import Watch
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
@json_option
def drain(machine: str, reason: str, no_block: bool, timeout: float, as_json: bool) -> int:
    """Move everything off a machine and wait until it is empty.

    Pinned units stay; the command names them and is done when only they are left. On a terminal a
    bar shows how far it is, and which units have not left yet.

    \b
    fleetish drain node2 --reason "kernel update"
    fleetish drain node2 --no-block
    fleetish drain node2 --json               a JSON object for each unit that has left
    """
    report = Report(as_json)
    with connect() as fleet:
        found = fleet.machine(machine)
        wait = None if no_block else Drain(fleet, found, timeout, report)
        fleet.drain(found.id, reason)
        report.say(f"Machine {machine} draining", event="draining", machine=found.id)
        if wait:
            wait.run()
            report.say(f"Machine {machine} drained", event="drained", machine=found.id)
    return 0


class Drain:
    """One wait for a machine to become empty; made before the machine is told, so that it sees
    every unit leave. ``timeout`` is in seconds, 0 for ever."""

    def __init__(self, fleet: Client, machine: MachineView, timeout: float, report: Report) -> None:
        self.fleet = fleet
        self.machine = machine
        self.watch: Watch | None = Watch(fleet)
        self.watch.next(timeout or None)
        self.deadline = time.monotonic() + timeout if timeout else None
        self.report = report
        self.left: dict[str, UnitView] = {}
        self.stay: set[str] = set()
        self.total = 0
        self._look()
        self.total = len(self.left)

    def run(self) -> None:
        """Wait. Raises WaitTimeout naming what is left."""
        with bar(f"drain {self.machine.host}", quiet=self.report.as_json) as tell:
            while self.left:
                tell(self.total - len(self.left), self.total, [*map(_row, self.left.values())])
                self._next()
        for name in sorted(self.stay):
            self.report.say(f"{name} stays: it is pinned", err=True, event="stays", unit=name)

    def _look(self) -> None:
        here = {view.name: view for view in self.fleet.units() if self._is_here(view)}
        for name in [name for name in self.left if name not in here]:
            self._gone(name, None)
        self.stay = {name for name, view in here.items() if view.klass == "pinned"}
        self.left = {name: view for name, view in here.items() if name not in self.stay}

    def _is_here(self, view: UnitView) -> bool:
        return view.machine == self.machine.id or any(
            state.machine == self.machine.id for state in view.states
        )

    def _gone(self, name: str, view: UnitView | None) -> None:
        """A unit has left; in JSON that is told, with where it is now."""
        del self.left[name]
        if self.report.as_json:
            self.report.say(
                "",
                event="left",
                unit=name,
                machine=view.machine if view else "",
                left=len(self.left),
                total=self.total,
            )

    def _next(self) -> None:
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left <= 0:
            names = ", ".join(sorted(self.left)[:10])
            raise WaitTimeout(
                f"cannot drain {self.machine.host} in time: {len(self.left)} left: {names}",
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
            self._gone(event.unit, event.view)
        else:
            self.left[event.unit] = event.view


def _row(view: UnitView) -> str:
    return f"{view.name} waits {view.waiting}" if view.waiting else f"{view.name} is still there"
