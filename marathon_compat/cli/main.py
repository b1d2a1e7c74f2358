"""The group ``fleetish app``, and what its commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from fleetish.cli.group import Commands
from marathon_compat.cli.rows import COMMANDS
from marathon_compat.client import Marathon, Terms


@click.command(
    cls=Commands,
    rows=COMMANDS,
    epilog="MARATHON_URL says where Marathon's API is; http://127.0.0.1:8080 unless it does.",
)
@click.option(
    "--url",
    metavar="URL",
    help="Marathon's API, http://host:8080; several with commas.",
)
@click.pass_context
def app(ctx: click.Context, url: str | None) -> None:
    """Apps and deployments, over Marathon's API.

    \b
    fleetish app run web.json               create what the file says, wait until it runs
    fleetish app list                       see what there is
    fleetish app scale /web 5
    fleetish app rollback /web              back to the version before
    """
    ctx.obj = url or ""


def connect() -> Marathon:
    """A client for ``--url``, else MARATHON_URL, else this machine's port 8080."""
    context = click.get_current_context(silent=True)
    found = context.find_object(str) if context else None
    return Marathon(found or "")


def terms_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--force`` and ``--deadline``, as ``terms``."""

    @functools.wraps(command)
    def with_terms(*args: Any, force: bool, deadline: float, **more: Any) -> Any:
        return command(*args, terms=Terms(force, deadline), **more)

    said = "Take over from the deployments that are at work on it; they are cancelled."
    late = "Undo it by itself when it is not done in that time; 0, the default, never."
    number = click.FloatRange(min=0)
    for option in (
        click.option("--deadline", type=number, default=0.0, metavar="SECONDS", help=late),
        click.option("--force", is_flag=True, help=said),
    ):
        with_terms = option(with_terms)
    return with_terms
