"""What changes apps: run, update, scale, restart, rollback, destroy."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import click

from fleetish.cli.bar import Report, json_option
from fleetish.cli.replace import waiting
from fleetish.errors import NotFound, Refused
from marathon_compat.cli.complete import (
    complete_apps,
    complete_changes,
    complete_sources,
    complete_versions,
)
from marathon_compat.cli.definition import Source, properties, reaches_inside, source
from marathon_compat.cli.follow import Following, Stream
from marathon_compat.cli.main import connect, terms_options
from marathon_compat.client import Marathon, Terms

APPS = click.argument("apps", nargs=-1, required=True, shell_complete=complete_apps)
SOURCE = click.argument("what", shell_complete=complete_sources, metavar="APP|FILE")
WORDS = click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")

_DEPLOYMENT = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Begin = Callable[[Marathon], str]


def carried_out(
    begins: Iterable[tuple[str, Begin]], no_block: bool, timeout: float, as_json: bool
) -> int:
    """Begin changes one after another, each with what it is told as, then wait for all of them."""
    report = Report(as_json)
    deadline = time.monotonic() + timeout if timeout else 0.0
    with connect() as marathon:
        stream = None if no_block else Stream(marathon)
        waits = []
        for sentence, begin in begins:
            name = begin(marathon)
            report.say(f"{sentence}: deployment {name}", deployment=name, stage="begun")
            if stream is not None:
                waits.append(Following(marathon, name, report, deadline, stream))
        return max((one.run() for one in waits), default=0)


@click.command()
@SOURCE
@WORDS
@terms_options
@waiting
@json_option
def run(what: str, words: tuple[str, ...], terms: Terms, **how: Any) -> int:
    """Create an app, and wait until it runs and is healthy.

    A file holds an app or a group as JSON; - is standard input. Properties are added to it, or are
    all that there is.

    \b
    fleetish app run web.json
    fleetish app run web.json instances=5 env.TIER=blue
    fleetish app run /sleep cmd='sleep 600' cpus=0.1 mem=32 --timeout 60
    fleetish app run - --no-block < group.json
    """
    asked = source(what)
    if asked.kind == "apps":
        raise Refused(f"cannot create a list of apps from {what}: say fleetish app update")
    body = {**asked.body, **properties(words, asked.body)}
    name = str(body.setdefault("id", asked.id))
    group = asked.kind == "group"

    def begin(marathon: Marathon) -> str:
        return marathon.create(body, group=group, terms=terms)

    return carried_out([(f"Creating {name}", begin)], **how)


@click.command()
@SOURCE
@WORDS
@click.option("--whole", is_flag=True, help="What is not given gets its default, not what it was.")
@terms_options
@waiting
@json_option
def update(what: str, words: tuple[str, ...], whole: bool, terms: Terms, **how: Any) -> int:
    """Change an app, or create it, and wait until that is done.

    Instances are replaced by the app's upgrade strategy. A file may hold an app, a list of apps, or
    a group, of which what is not named is removed.

    \b
    fleetish app update web.json
    fleetish app update /web cmd='python3 -m http.server $PORT' env.TIER=blue
    fleetish app update /web upgradeStrategy.minimumHealthCapacity=0.5 mem=64
    """
    asked = source(what)
    if words and asked.kind != "app":
        raise click.UsageError("properties are for one app")

    def begin(marathon: Marathon) -> str:
        if asked.kind == "apps":
            return marathon.update_many(asked.body, terms=terms, whole=whole)
        if asked.kind == "group":
            return marathon.update_group(asked.id, asked.body, terms=terms)
        return marathon.update(asked.id, changes(marathon, asked, words), terms=terms, whole=whole)

    return carried_out([(f"Changing {asked.id or 'these apps'}", begin)], **how)


def changes(marathon: Marathon, asked: Source, words: tuple[str, ...]) -> dict[str, Any]:
    """The body of an update; of properties inside others, what they are now is asked for."""
    current = asked.body
    if reaches_inside(words) and not current:
        try:
            current = marathon.app_json(asked.id)
        except NotFound:
            current = {}
    found = {**asked.body, **properties(words, current)}
    if not found:
        raise click.UsageError("give a file, or what shall change, such as instances=3")
    return found


@click.command()
@click.argument("app", shell_complete=complete_apps)
@click.argument("instances", type=click.IntRange(min=0))
@terms_options
@waiting
@json_option
def scale(app: str, instances: int, terms: Terms, **how: Any) -> int:
    """Set how many instances an app has; those that run are left alone.

    \b
    fleetish app scale /web 5
    fleetish app scale /web 0               suspend it
    """

    def begin(marathon: Marathon) -> str:
        marathon.app(app)  # a PUT would create it
        return marathon.update(app, {"instances": instances}, terms=terms)

    return carried_out([(f"Scaling {app} to {instances}", begin)], **how)


@click.command()
@APPS
@terms_options
@waiting
@json_option
def restart(apps: tuple[str, ...], terms: Terms, **how: Any) -> int:
    """Replace every instance of apps, by their upgrade strategy.

    \b
    fleetish app restart /web
    """

    def one(app: str) -> tuple[str, Begin]:
        return f"Restarting {app}", lambda marathon: marathon.restart(app, terms=terms)

    return carried_out(map(one, apps), **how)


@click.command()
@click.argument("which", shell_complete=complete_changes, metavar="APP|DEPLOYMENT")
@click.option(
    "--to",
    "version",
    default="",
    metavar="VERSION",
    shell_complete=complete_versions,
    help="A version of the app, as fleetish app show --versions lists them. [the one before]",
)
@terms_options
@waiting
@json_option
def rollback(which: str, version: str, terms: Terms, **how: Any) -> int:
    """Bring back an earlier version of an app, or undo a deployment that is under way.

    \b
    fleetish app rollback /web
    fleetish app rollback /web --to 2026-01-31T12:00:00.000Z
    fleetish app rollback 5ed4c0c5-9ff8-4a6f-a0cd-f57f59a34b43
    """
    if _DEPLOYMENT.fullmatch(which):
        return carried_out([(f"Undoing {which}", lambda marathon: marathon.undo(which))], **how)

    def begin(marathon: Marathon) -> str:
        wanted = version or before(marathon, which)
        return marathon.update(which, {"version": wanted}, terms=terms)

    return carried_out([(f"Rolling {which} back", begin)], **how)


def before(marathon: Marathon, app: str) -> str:
    """The version before an app's newest. Raises Refused when there is none."""
    found = marathon.versions(app)
    if len(found) < 2:
        raise Refused(f"cannot roll {app} back: it never was anything else")
    return found[1]


@click.command()
@APPS
@click.option("--group", is_flag=True, help="They are groups: with all that is in them.")
@terms_options
@waiting
@json_option
def destroy(apps: tuple[str, ...], group: bool, terms: Terms, **how: Any) -> int:
    """Stop apps and forget them, their versions too.

    \b
    fleetish app destroy /web /db
    fleetish app destroy /shop --group
    """

    def one(app: str) -> tuple[str, Begin]:
        return f"Destroying {app}", lambda marathon: marathon.destroy(app, group=group, terms=terms)

    return carried_out(map(one, apps), **how)
