"""What happens and what is used: events, top."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from fleetish.cli.complete import complete_units
from fleetish.cli.connection import connect
from fleetish.cli.files import expand, unit_name
from fleetish.cli.table import listing_options, mebibytes, render
from fleetish.client import Client
from fleetish.errors import Unavailable
from fleetish.wire import ClusterEvent, LiveFigures, Top

FIELDS = ("unit", "host", "active", "cpu", "memory")


@click.command()
@click.argument("units", nargs=-1, shell_complete=complete_units)
@click.option("--kind", "kinds", multiple=True, help="Only unit, state, placement, machine, …")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def events(units: tuple[str, ...], kinds: tuple[str, ...], as_json: bool) -> None:
    """Print what happens in the cluster, as it happens, until interrupted.

    Units may be patterns. A lost connection is taken up again where it broke.

    \b
    fleetish events
    fleetish events 'web@*' --kind placement
    fleetish events --json | jq .kind
    """
    patterns = [one if set(one) & set("*?[") else unit_name(one) for one in expand(units)]
    after = 0
    with connect() as fleet:
        while True:
            try:
                for event in fleet.events(kinds, patterns, after):
                    after = max(after, event.revision)
                    if event.kind != "hello":
                        click.echo(_json(event) if as_json else told(event))
                        sys.stdout.flush()
            except Unavailable as error:
                if not after:
                    raise
                click.echo(f"{error}; trying again", err=True)
            time.sleep(1.0)


def _json(event: ClusterEvent) -> str:
    import msgspec

    return msgspec.json.encode(event).decode()


def told(event: ClusterEvent) -> str:
    """An event as a line: when, what kind, whom, what."""
    when = time.strftime("%H:%M:%S")
    whom = event.unit or event.machine[:8]
    where = f" on {event.machine[:8]}" if event.unit and event.machine else ""
    how = f" {event.state.active} ({event.state.sub})" if event.state else ""
    why = f": {event.text}" if event.text else ""
    what = "" if event.state else f" {event.what}"
    return f"{when} {event.kind:<9} {whom}{what}{how}{where}{why}"


class Row(dict[str, Any]):
    """A unit's figures; ``cpu`` in percent of one core, once two looks were taken."""


def figures(
    now: Top, before: Mapping[tuple[str, str], LiveFigures], seconds: float, hosts: dict[str, str]
) -> list[Row]:
    """Rows of the table, those that use most first."""
    rows = []
    for one in now.units:
        last = before.get((one.unit, one.machine))
        used = (one.cpu - last.cpu) / seconds * 100 if last and seconds else 0.0
        row = Row(
            unit=one.unit,
            machine=one.machine,
            host=hosts.get(one.machine, one.machine[:8]),
            active=one.active,
            sub=one.sub,
            cpu=round(max(used, 0.0), 1),
            cpu_seconds=one.cpu,
            memory=one.memory,
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["cpu"], -row["memory"], row["unit"]))


@click.command()
@click.argument("units", nargs=-1, shell_complete=complete_units)
@click.option("--once", is_flag=True, help="Print one table and end.")
@click.option(
    "--interval", default=2.0, show_default=True, metavar="SECONDS", help="Between looks."
)
@listing_options
def top(
    units: tuple[str, ...],
    once: bool,
    interval: float,
    as_json: bool,
    no_legend: bool,
    fields: str | None,
    full: bool,
) -> None:
    """Show what units use now: CPU in percent of a core, and memory.

    \b
    fleetish top
    fleetish top --once
    fleetish top --json
    """
    names = [unit_name(one) for one in expand(units)]
    columns = [word.strip() for word in (fields or ",".join(FIELDS)).split(",")]
    with connect() as fleet:
        looks = Looks(fleet, names, interval)
        if as_json or once or not sys.stdout.isatty():
            rows = looks.twice()
            click.echo(
                json.dumps(rows) if as_json else text(rows, columns, not no_legend), nl=as_json
            )
            _silent(looks)
            return
        _live(looks, columns)


class Looks:
    """Live figures taken one after another, so that CPU time becomes a rate."""

    def __init__(self, fleet: Client, names: list[str], interval: float) -> None:
        self.fleet = fleet
        self.names = names
        self.interval = interval
        self.silent: tuple[str, ...] = ()
        self._hosts = {one.id: one.host for one in fleet.machines()}
        self._before: dict[tuple[str, str], LiveFigures] = {}
        self._at = 0.0

    def look(self) -> list[Row]:
        """Ask every machine."""
        now, at = self.fleet.top(self.names), time.monotonic()
        rows = figures(now, self._before, at - self._at if self._at else 0.0, self._hosts)
        self._before = {(one.unit, one.machine): one for one in now.units}
        self._at, self.silent = at, now.silent
        return rows

    def twice(self) -> list[Row]:
        """Two looks, half a second apart."""
        self.look()
        time.sleep(min(self.interval, 0.5))
        return self.look()


def _silent(looks: Looks) -> None:
    for machine in looks.silent:
        click.echo(f"machine {machine[:8]} does not answer", err=True)


def text(rows: list[Row], columns: list[str], legend: bool) -> str:
    """The figures as a table."""
    unknown = [name for name in columns if rows and name not in rows[0]]
    if unknown:
        raise click.UsageError(
            f"cannot list {', '.join(unknown)}: the fields are {', '.join(rows[0])}"
        )
    head = [[name.upper() for name in columns]] if legend else []
    return render([*head, *([_cell(row, name) for name in columns] for row in rows)])


def _cell(row: Row, name: str) -> str:
    if name == "memory":
        return mebibytes(row["memory"])
    return f"{row['cpu']:.1f}%" if name == "cpu" else str(row[name]) or "-"


def _live(looks: Looks, columns: list[str]) -> None:
    """A table that is drawn anew, until interrupted."""
    from rich.live import Live
    from rich.table import Table

    with Live(screen=False, auto_refresh=False) as live:
        while True:
            table = Table(*[name.upper() for name in columns], box=None)
            for row in looks.look():
                table.add_row(*[_cell(row, name).replace("[", "\\[") for name in columns])
            live.update(table, refresh=True)
            time.sleep(looks.interval)
