"""How far something is that takes a while: a bar on a terminal, lines of JSON where asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

#: Rows shown below the bar.
ROWS = 8

Tell = Callable[[int, int, Sequence[str]], None]


@contextmanager
def bar(title: str, *, quiet: bool = False) -> Iterator[Tell]:
    """A bar that is told (done, total, rows); on a terminal only, and not when ``quiet``."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, rows: None
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.text import Text

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    shown = Progress(*columns)
    task = shown.add_task(title, total=None)
    with Live(shown, console=Console(stderr=True), transient=True, refresh_per_second=8) as live:

        def tell(done: int, total: int, rows: Sequence[str]) -> None:
            shown.update(task, completed=done, total=total)
            more = [f"  and {len(rows) - ROWS} more"] if len(rows) > ROWS else []
            live.update(Group(shown, *(Text(f"  {row}") for row in [*rows[:ROWS], *more])))

        yield tell


class Report:
    """What a command says of its progress: sentences, or one JSON object a line."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, sentence: str, *, err: bool = False, **fields: Any) -> None:
        """Tell something: ``fields`` are the object, ``sentence`` is for people."""
        if self.as_json:
            click.echo(json.dumps(fields))
        else:
            click.echo(sentence, err=err)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json``: a line for each thing that happens."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print a JSON object for each thing that happens."
    )(command)
