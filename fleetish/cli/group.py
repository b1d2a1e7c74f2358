"""A group of commands that are rows of a table, and are loaded when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import click


class Row(NamedTuple):
    """A command: the module and name that it is found under, its line in ``--help``, the heading
    that the line stands under, and the package that the module is in."""

    where: str
    name: str
    help: str
    heading: str = "Commands"
    package: str = "fleetish.cli"


class Commands(click.Group):
    """A group whose commands are ``rows`` of a table until they are called.

    ``added``: the group of the entry points by which other packages add rows, "" for none.
    """

    def __init__(self, *args: Any, rows: Mapping[str, Row], added: str = "", **more: Any) -> None:
        super().__init__(*args, **more)
        self.rows = rows
        self._added = added

    @cached_property
    def all_rows(self) -> Mapping[str, Row]:
        """The rows, and after them those that other packages add; none of them takes another's
        place."""
        if not self._added:
            return self.rows
        from importlib.metadata import entry_points

        found = sorted(entry_points(group=self._added), key=lambda one: one.name)
        return {**self.rows, **{one.name: one.load() for one in found if one.name not in self.rows}}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.all_rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name or an unambiguous beginning of it, as fleetctl takes it."""
        row = self.rows.get(cmd_name) or self._begun(ctx, cmd_name)
        if row is None:
            return None
        found = getattr(importlib.import_module(f"{row.package}.{row.where}"), row.name)
        assert isinstance(found, click.Command)
        return found

    def _begun(self, ctx: click.Context, text: str) -> Row | None:
        rows = self.all_rows
        found = [text] if text in rows else [name for name in rows if name.startswith(text)]
        if len(found) > 1:
            ctx.fail(f"{text!r} may be {', '.join(found)}")
        return rows[found[0]] if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their headings, from the table alone: ``--help`` loads none."""
        for heading in dict.fromkeys(row.heading for row in self.all_rows.values()):
            with formatter.section(heading):
                rows = self.all_rows.items()
                formatter.write_dl([(name, r.help) for name, r in rows if r.heading == heading])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=row.help)
            for name, row in self.all_rows.items()
            if name.startswith(incomplete)
        ]
