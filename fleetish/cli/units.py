"""fleetctl's verbs: submit, load, start, stop, restart, unload, destroy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from fleetish.cli.complete import complete_units
from fleetish.cli.connection import connect
from fleetish.cli.files import Source, names_of, read_values, sources, template_text, values_options
from fleetish.cli.wait import Goal, Wait
from fleetish.client import Client
from fleetish.wire import Wish, Written
from fleetish.wire_faults import Missing

F = TypeVar("F", bound=Callable[..., Any])

#: Seconds that a command waits unless told otherwise; systemd's own default for a start job.
PATIENCE = 90.0

UNITS = click.argument("units", nargs=-1, shell_complete=complete_units)


def waiting_options(command: F) -> F:
    """``--no-block`` and ``--timeout``."""
    for option in (
        click.option(
            "--timeout",
            type=click.FloatRange(min=0),
            default=PATIENCE,
            show_default=True,
            metavar="SECONDS",
            help="Give up waiting and exit 3; 0 waits for ever. Nothing is rolled back.",
        ),
        click.option("--no-block", is_flag=True, help="Do not wait until it is done."),
    ):
        command = option(command)
    return command


REPLACE = click.option("--replace", is_flag=True, help="Give units that exist this text.")


def wish_for(
    fleet: Client, found: Sequence[Source], values: dict[str, Any], target: str, *, replace: bool
) -> Written:
    """Submit units in one request: their files here, else what the cluster has of them.

    fleetctl's order: the unit in the cluster, a file here, the template in the cluster, a template
    here. The last is tried only for units that the cluster says it cannot find.
    """
    try:
        return _submit(fleet, found, target, replace=replace)
    except Missing as missing:
        absent = frozenset(missing.names)
        filled = [
            one._replace(text=template_text(one, values)) if one.name in absent else one
            for one in found
        ]
        if not any(one.text is not None for one in filled if one.name in absent):
            raise
        return _submit(fleet, filled, target, replace=replace)


def _submit(fleet: Client, found: Sequence[Source], target: str, *, replace: bool) -> Written:
    texts, wishes = {}, []
    for one in found:
        digest = ""
        if one.text is not None:
            digest = _digest(one)
            texts[digest] = one.text
        wishes.append(Wish(name=one.name, hash=digest, target=target))
    return fleet.submit(wishes, texts=texts, replace=replace, keep=not replace, at_least=True)


def _digest(source: Source) -> str:
    from fleetish.units.file import content_hash, parse

    assert source.text is not None
    return content_hash(parse(source.text, str(source.path)))


def raise_units(
    goal: Goal,
    target: str,
    units: Sequence[str],
    replace: bool,
    no_block: bool,
    timeout: float,
    values_files: tuple[Path, ...],
    settings: tuple[str, ...],
) -> int:
    """submit, load and start: the same but for how much is wanted."""
    values = read_values(values_files, settings)
    found = sources(units, values)
    with connect() as fleet:
        wait = None if no_block else Wait(fleet, goal, timeout)
        written = wish_for(fleet, found, values, target, replace=replace)
        for row in written.units:
            if row.outcome == "kept":
                click.echo(
                    f"{row.name} stays as it was submitted, not as in the file here; "
                    "use --replace to give it that",
                    err=True,
                )
        return wait.run(written) if wait else 0


@click.command()
@UNITS
@REPLACE
@values_options
def submit(
    units: tuple[str, ...],
    replace: bool,
    values_files: tuple[Path, ...],
    settings: tuple[str, ...],
) -> int:
    """Store units without placing or starting them.

    \b
    fleetish submit web@.service              a template, to start instances of
    fleetish submit web.service.j2 --set port=8080
    """
    values = read_values(values_files, settings)
    with connect() as fleet:
        for row in wish_for(fleet, sources(units, values), values, "", replace=replace).units:
            word = "unchanged" if row.outcome == "kept" else row.outcome
            click.echo(f"Unit {row.name} {row.target}{'' if word == 'created' else f' ({word})'}")
            if row.outcome == "kept":
                click.echo(f"{row.name} has another text here: use --replace", err=True)
    return 0


@click.command()
@UNITS
@REPLACE
@waiting_options
@values_options
def load(units: tuple[str, ...], **how: Any) -> int:
    """Place units on machines without starting them; what runs goes on running.

    \b
    fleetish load web@1 web@2
    """
    return raise_units(Goal("load", "loaded"), "loaded", units, **how)


@click.command()
@UNITS
@REPLACE
@waiting_options
@values_options
def start(units: tuple[str, ...], **how: Any) -> int:
    """Start units and wait until they are active, or say which failed and why.

    A unit is taken from the cluster, else from a file here, else made from its template in the
    cluster, else from a template beside it. A unit that has failed or finished is started again.

    \b
    fleetish start web.service
    fleetish start web@{1..30}                one request, thirty instances
    fleetish start --replace web.service      with the text of the file here
    fleetish start web.service.j2 --set port=8080 --timeout 20
    """
    return raise_units(Goal("start", "launched"), "launched", units, **how)


def lower(goal: Goal, target: str, units: Sequence[str], no_block: bool, timeout: float) -> int:
    """stop and unload: the same but for how little is wanted."""
    with connect() as fleet:
        wait = None if no_block else Wait(fleet, goal, timeout)
        written = fleet.set_target(names_of(units), target)
        return wait.run(written) if wait else 0


@click.command()
@UNITS
@waiting_options
def stop(units: tuple[str, ...], **how: Any) -> int:
    """Stop units; they keep their place on their machine.

    \b
    fleetish stop web@1
    fleetish stop web@{1..30} --no-block
    """
    return lower(Goal("stop", "loaded"), "loaded", units, **how)


@click.command()
@UNITS
@waiting_options
def unload(units: tuple[str, ...], **how: Any) -> int:
    """Stop units and take them off their machine; their files stay in the cluster.

    \b
    fleetish unload web@1
    """
    return lower(Goal("unload", "inactive"), "inactive", units, **how)


@click.command()
@UNITS
@waiting_options
def restart(units: tuple[str, ...], no_block: bool, timeout: float) -> int:
    """Start units once more, where they are.

    \b
    fleetish restart web@1
    """
    with connect() as fleet:
        wait = None if no_block else Wait(fleet, Goal("restart", "launched"), timeout)
        written = fleet.restart(names_of(units))
        return wait.run(written) if wait else 0


@click.command()
@UNITS
@waiting_options
def destroy(units: tuple[str, ...], no_block: bool, timeout: float) -> int:
    """Stop units and forget them; names that do not exist are passed over.

    \b
    fleetish destroy web@{1..30} web@.service
    """
    with connect() as fleet:
        goal = Goal("destroy", "destroyed", gone=True)
        wait = None if no_block else Wait(fleet, goal, timeout)
        written = fleet.destroy(names_of(units))
        known = tuple(row for row in written.units if row.outcome == "destroyed")
        if wait:
            return wait.run(Written(revision=written.revision, units=known))
        for row in known:
            click.echo(f"Destroyed {row.name}")
        return 0
