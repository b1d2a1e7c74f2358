"""Looking at units as fleetctl does: cat, status, journal; and what became of verify."""

from __future__ import annotations

import sys

import click

from fleetish.cli.complete import complete_units
from fleetish.cli.files import unit_name
from fleetish.cli.fleetctl.reach import connect
from fleetish.cli.fleetctl.settings import FleetctlCommand
from fleetish.cli.journal_text import FORMATS, line
from fleetish.client import Client
from fleetish.errors import NotFound, Refused
from fleetish.units.name import CLIENT_TYPES
from fleetish.wire import UnitView

UNITS = click.argument("units", nargs=-1, shell_complete=complete_units)
#: Taken for old scripts: machines are asked over the API, not over SSH.
SSH_PORT = click.option("--ssh-port", default=22, hidden=True)
#: systemctl's exit code for a unit that is not active (systemctl(1), EXIT STATUS).
NOT_RUNNING = 3


def one_name(units: tuple[str, ...], otherwise: str) -> str:
    """The only unit of the command line. Raises Refused with the words ``otherwise``."""
    if len(units) != 1:
        raise Refused(otherwise)
    return unit_name(units[0], CLIENT_TYPES)


def existing(fleet: Client, name: str, otherwise: str) -> UnitView:
    """A unit. Raises NotFound with the words ``otherwise``."""
    try:
        return fleet.unit(name)
    except NotFound:
        raise NotFound(otherwise) from None


@click.command(cls=FleetctlCommand)
@UNITS
def cat(units: tuple[str, ...]) -> None:
    """Output a unit's file as it was submitted, comments and all.

    \b
    fleetctl cat hello.service
    """
    name = one_name(units, "One unit file must be provided")
    with connect() as fleet:
        click.echo(existing(fleet, name, f"Unit {name} not found").text or "", nl=False)


@click.command(cls=FleetctlCommand)
@UNITS
@SSH_PORT
def status(units: tuple[str, ...], ssh_port: int) -> int:
    """Output what systemctl says of units where they run; of a global unit, on each machine.

    Exits as systemctl does: 0 when the unit runs, 3 when it does not.

    \b
    fleetctl status hello.service
    """
    with connect() as fleet:
        for at, name in enumerate(unit_name(one, CLIENT_TYPES) for one in units):
            unit = existing(fleet, name, f"Unit {name} does not exist.")
            if not unit.is_global and unit.current == "inactive":
                raise Refused(f"Unit {name} does not appear to be loaded.")
            machines = [state.machine for state in unit.states] if unit.is_global else [""]
            for more, machine in enumerate(machines):
                click.echo("\n" if at or more else "", nl=False)
                click.echo(fleet.status(name, machine), nl=False)
            if any(state.active in ("inactive", "failed") for state in unit.states):
                return NOT_RUNNING
    return 0


@click.command(cls=FleetctlCommand)
@UNITS
@SSH_PORT
@click.option("--lines", default=10, show_default=True, help="How many of the last entries.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes.")
@click.option(
    "--output", type=click.Choice(FORMATS), default="short", show_default=True, help="The form."
)
@click.option("--sudo", is_flag=True, help="Taken for old scripts; has no effect.")
def journal(
    units: tuple[str, ...], ssh_port: int, lines: int, follow: bool, output: str, sudo: bool
) -> None:
    """Print the journal of a unit, from the machine that it is on.

    \b
    fleetctl journal --lines 100 hello.service
    fleetctl journal -f hello.service
    """
    name = one_name(units, "One unit file must be provided.")
    with connect() as fleet:
        unit = existing(fleet, name, f"Unit {name} does not exist.")
        if unit.is_global:
            raise Refused(f"Unable to retrieve journal of global unit {name}.")
        if unit.current == "inactive":
            raise Refused(f"Unit {name} does not appear to be running.")
        for entry in fleet.journal(name, lines, follow=follow):
            click.echo(line(entry, output))
            if follow:
                sys.stdout.flush()


@click.command(cls=FleetctlCommand)
@click.argument("units", nargs=-1)
def verify(units: tuple[str, ...]) -> int:
    """Once checked the signatures of units; fleet had given that up, and so this always exits 2.

    \b
    fleetctl verify hello.service        always refuses
    fleetish verify hello.service        checks the file
    """
    click.echo(
        "WARNING: The signed/verified units feature is DEPRECATED and cannot be used. "
        "To check a unit file there is fleetish verify.",
        err=True,
    )
    return 2
