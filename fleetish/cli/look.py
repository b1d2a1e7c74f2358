"""Looking at one unit: cat, status, journal, explain, ssh."""

from __future__ import annotations

import json
import os
import sys

import click

from fleetish.cli.complete import complete_machines, complete_units
from fleetish.cli.connection import connect
from fleetish.cli.files import expand, names_of, unit_name
from fleetish.cli.journal_text import FORMATS, line
from fleetish.cli.table import render
from fleetish.client import Client
from fleetish.errors import FleetishError, NotFound, Refused
from fleetish.wire import Explanation, MachineView, UnitView

UNIT = click.argument("unit", shell_complete=complete_units)
MACHINE = click.option(
    "--machine", default="", shell_complete=complete_machines, help="Which, for a global unit."
)


@click.command()
@click.argument("units", nargs=-1, shell_complete=complete_units)
def cat(units: tuple[str, ...]) -> None:
    """Print a unit's file as it was submitted.

    \b
    fleetish cat web.service
    """
    with connect() as fleet:
        for name in names_of(units):
            click.echo(fleet.unit(name).text or "", nl=False)


@click.command()
@click.argument("units", nargs=-1, shell_complete=complete_units)
@MACHINE
def status(units: tuple[str, ...], machine: str) -> int:
    """Print what systemctl says where a unit runs, and why it runs there.

    Exits 0 when every unit is active, 1 otherwise.

    \b
    fleetish status web@1
    fleetish status node-exporter --machine node2
    """
    worst = 0
    with connect() as fleet:
        hosts = {one.id: one for one in fleet.machines(lost=True)}
        for name in names_of(units):
            unit = fleet.unit(name)
            click.echo(placement_line(unit, hosts))
            for text in health_lines(unit, hosts):
                click.echo(text)
            try:
                click.echo(fleet.status(name, machine), nl=False)
            except FleetishError as error:
                click.echo(str(error), err=True)
                worst = 1
            if not any(state.active in ("active", "reloading") for state in unit.states):
                worst = 1
    return worst


def placement_line(unit: UnitView, hosts: dict[str, MachineView]) -> str:
    """Where a unit is and why, in one line."""
    if unit.is_global:
        where = f"{len(unit.states)} machines, as a global unit"
    elif unit.machine:
        host = hosts.get(unit.machine)
        where = f"{host.host if host and host.host else unit.machine[:8]}: {unit.reason}"
    else:
        where = "no machine"
    more = unit.problem or (f"waits {unit.waiting}" if unit.waiting else "")
    return f"{unit.name}: wanted {unit.target}, on {where}" + (f"; {more}" if more else "")


def health_lines(unit: UnitView, hosts: dict[str, MachineView]) -> list[str]:
    """What the checks of a unit have shown, a line for each check and machine."""
    found = []
    for state in unit.states:
        host = hosts.get(state.machine)
        where = host.host if host and host.host else state.machine[:8]
        for row in state.checks:
            why = f": {row.cause} ({row.failures} in a row)" if row.failures else ""
            found.append(f"  {row.health} on {where}: {row.check}{why}")
    return found


@click.command()
@UNIT
@MACHINE
@click.option("--lines", "-n", default=10, show_default=True, metavar="N", help="Last entries.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes.")
@click.option(
    "--output",
    "-o",
    type=click.Choice(FORMATS),
    default="short",
    show_default=True,
    help="How entries are printed, in journalctl's words.",
)
def journal(unit: str, machine: str, lines: int, follow: bool, output: str) -> None:
    """Print a unit's journal, from whichever machine it is on.

    \b
    fleetish journal web@1 -n 100
    fleetish journal -f web@1
    fleetish journal web@1 -o json
    """
    with connect() as fleet:
        for entry in fleet.journal(unit_name(unit), lines, follow=follow, machine=machine):
            click.echo(line(entry, output))
            if follow:
                sys.stdout.flush()


@click.command()
@click.argument("units", nargs=-1, shell_complete=complete_units)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
def explain(units: tuple[str, ...], as_json: bool) -> None:
    """Say why a unit is where it is; or, per machine, what turned it away.

    \b
    fleetish explain web@1
    """
    with connect() as fleet:
        found = [fleet.explain(name) for name in names_of(units)]
    if as_json:
        import msgspec

        click.echo(json.dumps([msgspec.to_builtins(one) for one in found]))
        return
    for one in found:
        click.echo(explained(one), nl=False)


def explained(one: Explanation) -> str:
    """An explanation as text: a line for the unit, a row for each machine."""
    hosts = {row.machine: row.host for row in one.machines}
    where = f" on {hosts.get(one.machine) or one.machine[:8]}" if one.machine else ""
    head = f"{one.unit} (wanted {one.target}){where}: {one.reason}\n"
    rows = [
        (row.host or row.machine[:8], "fits" if row.fits else "no", row.reason)
        for row in one.machines
    ]
    return head + render([("MACHINE", "FITS", "REASON"), *rows] if rows else [])


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("where", shell_complete=complete_machines)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--user", "-u", default="", help="Log in as this user.")
def ssh(where: str, command: tuple[str, ...], user: str) -> None:
    """Open a shell on a machine, or on the machine of a unit, or run a command there.

    \b
    fleetish ssh node2
    fleetish ssh web@1 -- ss -ltn
    """
    with connect() as fleet:
        machine = machine_meant(fleet, where)
    if not (machine.ip or machine.host):
        raise Refused(f"cannot reach {machine.id}: its address is not known")
    address = machine.ip or machine.host
    words = ["ssh", *(["-t"] if not command else []), f"{user}@{address}" if user else address]
    try:
        os.execvp("ssh", [*words, "--", *command] if command else words)
    except FileNotFoundError:
        raise Refused("cannot run ssh: it is not installed") from None


def machine_meant(fleet: Client, where: str) -> MachineView:
    """The machine of that name, or that of the unit. Raises Refused when both exist."""
    machine = machine_named(fleet, where)
    unit = unit_named(fleet, where)
    if machine and unit:
        raise Refused(f"cannot tell what {where} is: a machine and a unit have that name")
    if machine:
        return machine
    if unit is None:
        raise NotFound(f"cannot find a machine or unit {where}")
    if not unit.machine:
        raise Refused(f"cannot go to {unit.name}: it is on no one machine")
    return fleet.machine(unit.machine)


def machine_named(fleet: Client, where: str) -> MachineView | None:
    """The machine of that id, beginning of it, name or address; None when there is none."""
    try:
        return fleet.machine(where)
    except NotFound:
        return None


def unit_named(fleet: Client, where: str) -> UnitView | None:
    """The unit of that name; None when there is none."""
    try:
        return fleet.unit(unit_name(expand([where])[0]))
    except FleetishError:
        return None
