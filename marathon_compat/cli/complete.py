"""Shell completion: ids of apps and deployments from the API, versions, and files here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from fleetish.cli.complete import PATIENCE
from fleetish.errors import FleetishError
from marathon_compat.client import Marathon

Items = list[CompletionItem]


def _asked(ctx: click.Context, read: Callable[[Marathon], Iterable[str]], begun: str) -> Items:
    """What the API names that begins so; nothing when it does not answer at once."""
    parent = ctx.parent.params if ctx.parent else {}
    try:
        with Marathon(str(parent.get("url") or ""), answer=PATIENCE) as marathon:
            return [CompletionItem(one) for one in read(marathon) if one.startswith(begun)]
    except FleetishError:
        return []


def complete_apps(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Apps by id."""
    return _asked(ctx, lambda marathon: (one.id for one in marathon.apps()), incomplete)


def complete_sources(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Apps by id, then files here."""
    return [*complete_apps(ctx, param, incomplete), CompletionItem(incomplete, type="file")]


def complete_deployments(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Deployments under way."""
    return _asked(ctx, lambda marathon: (one.id for one in marathon.deployments()), incomplete)


def complete_changes(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Apps, and deployments under way."""
    found = complete_apps(ctx, param, incomplete)
    return [*found, *complete_deployments(ctx, param, incomplete)]


def complete_versions(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Versions of the app that was named before. An option that still lacks its value keeps click
    from telling arguments apart; it leaves them in ``args``."""
    app = str(ctx.params.get("which") or ctx.params.get("app") or next(iter(ctx.args), ""))
    return _asked(ctx, lambda marathon: marathon.versions(app), incomplete) if app else []
