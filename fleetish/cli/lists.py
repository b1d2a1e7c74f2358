"""Listings: units as systemd has them, units as submitted, machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from fleetish.cli.connection import connect
from fleetish.cli.table import Column, legend, listing_options, mebibytes, short, show
from fleetish.wire import MachineView, StateView, UnitView


def _plain(name: str) -> Column:
    """A column that is a field of the row, whole in both forms."""
    return Column(lambda row, _: str(getattr(row, name)), lambda row: getattr(row, name))


def _hash() -> Column:
    return Column(lambda row, full: row.hash if full else row.hash[:7], lambda row: row.hash)


Hosts = Mapping[str, MachineView]


def _ip(machines: Hosts, machine: str) -> str:
    return machines[machine].ip if machine in machines else ""


def _host(machines: Hosts, machine: str) -> str:
    return machines[machine].host if machine in machines else ""


def unit_columns(machines: Hosts) -> dict[str, Column]:
    """list-units: fleetctl's columns, then ours."""

    def host(row: StateView) -> str:
        return _host(machines, row.machine)

    return {
        "unit": _plain("unit"),
        "machine": Column(
            lambda row, full: legend(row.machine, _ip(machines, row.machine), full),
            lambda row: row.machine,
        ),
        "load": _plain("load"),
        "active": _plain("active"),
        "sub": _plain("sub"),
        "hash": _hash(),
        "host": Column(lambda row, _: host(row), host),
        "result": _plain("result"),
        "restarts": _plain("restarts"),
        "health": _plain("health"),
        "error": _plain("error"),
    }


def file_columns(machines: Hosts) -> dict[str, Column]:
    """list-unit-files: fleetctl's columns, then ours."""

    def target(row: UnitView, full: bool) -> str:
        if row.is_global:
            return "global"
        return legend(row.machine, _ip(machines, row.machine), full)

    def state(row: UnitView) -> str:
        return "" if row.is_global else row.current

    machine = Column(target, lambda row: row.machine)
    return {
        "unit": Column(lambda row, _: row.name, lambda row: row.name),
        "hash": _hash(),
        "dstate": Column(lambda row, _: row.target, lambda row: row.target),
        "state": Column(lambda row, _: state(row), state),
        "target": machine,
        "global": Column(lambda row, _: str(row.is_global).lower(), lambda row: row.is_global),
        "desc": _plain("desc"),
        "tmachine": machine,
        "problem": _plain("problem"),
        "waiting": _plain("waiting"),
    }


def _metadata(row: MachineView, _: bool) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(row.metadata.items()))


def _share(pick: Callable[[Any], float]) -> Callable[[MachineView, bool], str]:
    return lambda row, _: f"{pick(row.used):g}/{pick(row.capacity):g}"


MACHINE_COLUMNS = {
    "machine": Column(lambda row, full: short(row.id, full), lambda row: row.id),
    "ip": _plain("ip"),
    "metadata": Column(_metadata, lambda row: row.metadata),
    "host": _plain("host"),
    "state": _plain("state"),
    "units": _plain("units"),
    "cpus": Column(
        _share(lambda amount: amount.millicpus / 1000),
        lambda row: {"used": row.used.millicpus / 1000, "total": row.capacity.millicpus / 1000},
    ),
    "memory": Column(
        lambda row, _: f"{mebibytes(row.used.memory)}/{mebibytes(row.capacity.memory)}",
        lambda row: {"used": row.used.memory, "total": row.capacity.memory},
    ),
    "version": _plain("version"),
    "systemd": _plain("systemd"),
    "reason": _plain("reason"),
}


@click.command("list-units")
@listing_options
def list_units(**how: Any) -> None:
    """List units as systemd has them, a row for each unit and machine.

    \b
    fleetish list-units
    fleetish list-units --fields unit,machine,active,hash --full
    fleetish list-units --json | jq '.[] | select(.active == "failed")'
    """
    with connect() as fleet:
        machines = {one.id: one for one in fleet.machines(lost=True)}
        show(fleet.states(), unit_columns(machines), "unit,machine,active,sub", **how)


@click.command("list-unit-files")
@listing_options
def list_unit_files(**how: Any) -> None:
    """List units as they were submitted: what is wanted of each, and how far that got.

    \b
    fleetish list-unit-files
    fleetish list-unit-files --fields unit,dstate,state,waiting
    """
    with connect() as fleet:
        asked = how["fields"] or ("desc" if how["as_json"] else "")
        machines = {one.id: one for one in fleet.machines(lost=True)}
        rows = fleet.units(desc="desc" in asked.split(","))
        show(rows, file_columns(machines), "unit,hash,dstate,state,target", **how)


@click.command("list-machines")
@click.option("--lost", is_flag=True, help="Also machines that are gone but not forgotten.")
@listing_options
def list_machines(lost: bool, **how: Any) -> None:
    """List machines.

    \b
    fleetish list-machines
    fleetish list-machines --fields machine,host,state,units,cpus,memory
    """
    with connect() as fleet:
        show(fleet.machines(lost=lost), MACHINE_COLUMNS, "machine,ip,metadata", **how)
