"""Tables as fleetctl prints them, and the same rows as JSON.

fleetctl writes through Go's text/tabwriter with tabs of 8: a column is as wide as its widest cell
plus one, rounded up to a multiple of 8, and cells are filled with tabs. Scripts cut at those tabs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import click

TAB = 8

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Column(NamedTuple):
    """A column: its cell as text for a table (``full``: nothing cut short), and its JSON value."""

    text: Callable[[Any, bool], str]
    value: Callable[[Any], Any]


def render(rows: Sequence[Sequence[str]]) -> str:
    """Rows as tab-filled lines; the last cell of a line is not filled."""
    if not rows:
        return ""
    widths = [
        -(-(max(len(row[at]) for row in rows) + 1) // TAB) * TAB for at in range(len(rows[0]) - 1)
    ]
    lines = []
    for row in rows:
        cells = [
            cell + "\t" * -(-(width - len(cell)) // TAB)
            for cell, width in zip(row[:-1], widths, strict=True)
        ]
        lines.append("".join(cells) + row[-1])
    return "".join(f"{line}\n" for line in lines)


def show(
    items: Sequence[T],
    columns: Mapping[str, Column],
    default: str,
    *,
    fields: str | None,
    no_legend: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Print a listing: the ``fields`` asked for, else the ``default`` ones; as JSON all of them."""
    names = [word.strip() for word in (fields or default).split(",")]
    unknown = [name for name in names if name not in columns]
    if unknown:
        raise click.UsageError(
            f"cannot list {', '.join(unknown)}: the fields are {', '.join(columns)}"
        )
    if as_json:
        keys = names if fields else list(columns)
        click.echo(json.dumps([{key: columns[key].value(item) for key in keys} for item in items]))
        return
    legend = [] if no_legend else [[name.upper() for name in names]]
    rows = [[columns[name].text(item, full) or "-" for name in names] for item in items]
    click.echo(render([*legend, *rows]), nl=False)


def listing_options(command: F) -> F:
    """The options that every listing has; fleetctl's, and ``--json``."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects."),
        click.option("--full", "-l", "--l", is_flag=True, help="Cut nothing short."),
        click.option("--no-legend", is_flag=True, help="Print no header."),
        click.option("--fields", metavar="A,B", help="Which columns to print, in this order."),
    ):
        command = option(command)
    return command


def short(machine: str, full: bool) -> str:
    """A machine id as fleetctl prints it: 8 characters and dots, or whole."""
    return machine if full or not machine else f"{machine[:8]}..."


def legend(machine: str, ip: str, full: bool) -> str:
    """A machine's short id and address, as fleetctl joins them."""
    shown = short(machine, full)
    return f"{shown}/{ip}" if ip else shown


def mebibytes(amount: int) -> str:
    """Bytes for people: ``512.0M``."""
    return f"{amount / 2**20:.1f}M" if amount else "-"
