"""fleetctl's listings: those of ``fleetish``, with fleetctl's words for what cannot be listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from fleetish.cli.fleetctl.reach import connect
from fleetish.cli.fleetctl.settings import FleetctlCommand
from fleetish.cli.lists import MACHINE_COLUMNS, file_columns, unit_columns
from fleetish.cli.table import Column, show
from fleetish.errors import Refused

F = TypeVar("F", bound=Callable[..., Any])


def listing_options(fields: str) -> Callable[[F], F]:
    """The flags of a listing, with its default ``fields``."""

    def decorate(command: F) -> F:
        for option in (
            click.option("--no-legend", is_flag=True, help="Print no header."),
            click.option("--full", "-l", is_flag=True, help="Cut nothing short."),
            click.option("--fields", default=fields, show_default=True, help="Which columns."),
        ):
            command = option(command)
        return command

    return decorate


def check_fields(fields: str, columns: Mapping[str, Column]) -> None:
    """Raises Refused, as fleetctl says it, when a listing cannot have these fields."""
    if not fields:
        raise Refused("Must define output format")
    for name in fields.split(","):
        if name not in columns:
            raise Refused(f'Invalid key in output format: "{name}"')


@click.command("list-units", cls=FleetctlCommand)
@listing_options("unit,machine,active,sub")
def list_units(fields: str, **how: bool) -> None:
    """List units as systemd has them, a row for each unit and machine.

    \b
    fleetctl list-units --no-legend --fields=unit,machine
    """
    check_fields(fields, unit_columns({}))
    with connect() as fleet:
        machines = {one.id: one for one in fleet.machines(lost=True)}
        show(fleet.states(), unit_columns(machines), "", fields=fields, as_json=False, **how)


@click.command("list-unit-files", cls=FleetctlCommand)
@listing_options("unit,hash,dstate,state,target")
def list_unit_files(fields: str, **how: bool) -> None:
    """List the units that exist: what is wanted of each, and how far that got.

    \b
    fleetctl list-unit-files --fields=unit,dstate,desc
    """
    check_fields(fields, file_columns({}))
    if "tmachine" in fields.split(","):
        text = 'WARNING: The "tmachine" field is deprecated. Use "target" instead'
        click.echo(text, err=True)
    with connect() as fleet:
        machines = {one.id: one for one in fleet.machines(lost=True)}
        rows = fleet.units(desc="desc" in fields.split(","))
        show(rows, file_columns(machines), "", fields=fields, as_json=False, **how)


@click.command("list-machines", cls=FleetctlCommand)
@listing_options("machine,ip,metadata")
def list_machines(fields: str, **how: bool) -> None:
    """List the machines of the cluster.

    \b
    fleetctl list-machines --full --no-legend
    """
    check_fields(fields, MACHINE_COLUMNS)
    with connect() as fleet:
        show(fleet.machines(), MACHINE_COLUMNS, "", fields=fields, as_json=False, **how)
