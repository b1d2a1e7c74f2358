"""``fleetctl ssh``: a shell on a machine."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from fleetish.cli.complete import complete_machines
from fleetish.cli.fleetctl.openssh import PORT, Place, login
from fleetish.cli.fleetctl.reach import connect, keep_known_hosts
from fleetish.cli.fleetctl.settings import FleetctlCommand, given
from fleetish.cli.look import machine_meant, machine_named, unit_named
from fleetish.client import Client
from fleetish.errors import NotFound, Refused
from fleetish.wire import MachineView


@click.command(cls=FleetctlCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, shell_complete=complete_machines)
@click.option("--machine", default="", help="A machine, by its id or the beginning of it.")
@click.option("--unit", default="", help="The machine where this unit is.")
@click.option("--forward-agent", "-A", is_flag=True, help="Let the machine use the SSH agent here.")
@click.option("--ssh-port", default=PORT, show_default=True, help="Where machines take SSH.")
def ssh(words: tuple[str, ...], machine: str, unit: str, forward_agent: bool, ssh_port: int) -> int:
    """Open a shell on a machine, or on the machine of a unit, or run a command there.

    \b
    fleetctl ssh 2444264c
    fleetctl ssh hello.service -- uptime
    fleetctl ssh --unit hello.service uptime
    """
    if machine and unit:
        click.echo("Both machine and unit flags provided, please specify only one.", err=True)
        return 1
    if not (machine or unit or words):
        click.echo("Unable to proceed: one machine or unit must be provided", err=True)
        return 1
    command = words if machine or unit else words[1:]
    with connect() as fleet:
        try:
            found = meant(fleet, machine, unit, words)
        except (NotFound, Refused) as error:
            raise Refused(f"Unable to proceed: {error.message}", hint=error.hint) from None
    if not found.ip:
        click.echo("Could not determine address of machine.", err=True)
        return 1
    how = given()
    keep_known_hosts(how)
    argv = login(how, Place(found.ip, ssh_port), command, forward_agent=forward_agent)
    try:
        os.execvp(argv[0], argv)
    except FileNotFoundError:
        raise Refused("cannot run ssh: it is not installed") from None


def meant(fleet: Client, machine: str, unit: str, words: Sequence[str]) -> MachineView:
    """The machine that is asked for. Raises NotFound or Refused."""
    if not (machine or unit):
        return machine_meant(fleet, words[0])
    if machine:
        found = machine_named(fleet, machine)
    else:
        view = unit_named(fleet, unit)
        if view is None:
            raise NotFound("unit does not exist")
        found = machine_named(fleet, view.machine) if view.machine else None
    if found is None:
        raise NotFound("machine does not exist")
    return found
