"""fleetctl's verbs: submit, load, start, stop, restart, unload, destroy.

What they do is what ``fleetish`` does, one transaction for all units; what they print, on which
stream, and how they exit is fleetctl's. Where fleetctl lost units or hung, they do not: see
docs/fleetctl.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from fleetish.cli.complete import complete_units
from fleetish.cli.files import Source, expand, sources, template_text, unit_name
from fleetish.cli.fleetctl.reach import connect
from fleetish.cli.fleetctl.settings import FleetctlCommand
from fleetish.cli.main import lines_of
from fleetish.cli.units import wish_for
from fleetish.cli.wait import Goal, Wait
from fleetish.client import Client
from fleetish.errors import FleetishError, NotFound, Refused, WaitTimeout
from fleetish.units.name import CLIENT_TYPES
from fleetish.wire import Outcome, UnitView, Written
from fleetish.wire_faults import Missing

F = TypeVar("F", bound=Callable[..., Any])

#: Seconds that one of ``--block-attempts`` lasts.
WINDOW = 2.0
#: Seconds that a unit may take to become active once it was started; systemd's own default for a
#: start job. fleetctl gave it 2, and so called every slow start a failure.
ACTIVE_WITHIN = 90.0
WAITING = "Error waiting for units: "
#: How much each target wants; ``--replace`` may not go below what is wanted already.
LEVELS = {"inactive": 0, "loaded": 1, "launched": 2}

Views = Mapping[str, UnitView]

UNITS = click.argument("units", nargs=-1, shell_complete=complete_units)
REPLACE = click.option("--replace", is_flag=True, help="Give units that exist the text here.")
SIGN = click.option("--sign", is_flag=True, hidden=True, help="Taken for old scripts.")


def blocking_options(command: F) -> F:
    """``--no-block`` and ``--block-attempts``."""
    for option in (
        click.option(
            "--block-attempts",
            default=0,
            metavar="N",
            help="Give up waiting after N times 2 seconds; 0 waits for ever.  [default: 0]",
        ),
        click.option("--no-block", is_flag=True, help="Do not wait until it is done."),
    ):
        command = option(command)
    return command


class Blocking(NamedTuple):
    """How long to wait: until it is done, for so many windows, or not at all."""

    no_block: bool = False
    block_attempts: int = 0

    def wait(self, fleet: Client, goal: Goal) -> Wait | None:
        """A wait that has begun to listen; None when nobody waits."""
        if self.no_block:
            return None
        return Wait(fleet, goal, max(0, self.block_attempts) * WINDOW)


def done(wait: Wait | None, written: Written, verb: str) -> int:
    """Wait for what was written, or say that it was triggered; the exit code."""
    if wait is None:
        for row in written.units:
            click.echo(f"Triggered unit {row.name} {verb}")
        return 0
    try:
        return wait.run(written)
    except WaitTimeout:
        for name in wait.pending:
            state = wait.goal.done
            text = f"{WAITING}timed out waiting for unit {name} to report state {state}"
            click.echo(text, err=True)
        return 1


def nothing_given(units: Sequence[str]) -> bool:
    """True, and told, when there are no units on the command line."""
    if not units:
        click.echo("No units given", err=True)
    return not units


def known(fleet: Client, units: Sequence[str]) -> dict[str, UnitView]:
    """The units of the command line that exist, in its order; told when none does."""
    names = list(dict.fromkeys(unit_name(one, CLIENT_TYPES) for one in expand(units)))
    found = {view.name: view for view in fleet.units(names)}
    if not found:
        click.echo("Units not found in registry", err=True)
    return {name: found[name] for name in names if name in found}


def not_found(name: str) -> str:
    """What is told of a unit that there is nothing to make from."""
    return f"Error creating units: unable to find Unit({name}) in Registry or on filesystem"


def without_globals(written: Written, views: Views, verb: str) -> Written:
    """What to wait for: nobody waits for global units, it is told that they were triggered."""
    for row in written.units:
        if views[row.name].is_global:
            click.echo(f"Triggered global unit {row.name} {verb}")
    rows = tuple(row for row in written.units if not views[row.name].is_global)
    return Written(revision=written.revision, units=rows)


# --- submit, load, start -------------------------------------------------------------------------


def raise_units(verb: str, target: str, units: Sequence[str], replace: bool, how: Blocking) -> int:
    """submit, load and start: the same but for how much is wanted."""
    if nothing_given(units):
        return 0
    done_word = target or "inactive"
    goal = Goal(verb, done_word, within=ACTIVE_WITHIN, prefix=WAITING)
    with connect() as fleet:
        try:
            found = sources(units, {}, CLIENT_TYPES)
            before = {view.name: view for view in fleet.units([one.name for one in found])}
            chosen = [choose(one, before.get(one.name), done_word, replace) for one in found]
            wait = how.wait(fleet, goal) if target else None
            written = wish_for(fleet, chosen, {}, target, replace=replace)
        except Missing as missing:
            for name in missing.names:
                click.echo(not_found(name), err=True)
            return 1
        except FleetishError as error:
            for line in lines_of(error):
                click.echo(f"Error creating units: {line}", err=True)
            return 1
        tell_created(written)
        if not target:
            return 0
        rows = tuple(row for row in written.units if is_news(row, before.get(row.name)))
        after = {view.name: view for view in fleet.units([row.name for row in rows])}
        news = Written(revision=written.revision, units=tuple(r for r in rows if r.name in after))
        return done(wait, without_globals(news, after, verb), verb)


def choose(source: Source, view: UnitView | None, target: str, replace: bool) -> Source:
    """What to submit of a unit: its text here, unless the cluster's stays; told when they differ.

    An instance without a file of its own is compared with the template beside it.
    """
    if view is None:
        return source
    text, kind = source.text, "unit"
    if text is None:
        text, kind = template_text(source, {}), "template unit"
    if text is None:
        return source
    if digest_of(text, str(source.path)) == view.hash:
        if replace:
            click.echo(f"Found same Unit({view.name}) in Registry, nothing to do")
        return source._replace(text=None)
    if not replace:
        click.echo(
            f"WARNING: Unit {view.name} in registry differs from local {kind} file {source.path}. "
            "Add --replace to override.",
            err=True,
        )
    elif LEVELS[view.target] > LEVELS[target]:
        click.echo(
            f"Warning: can not replace Unit({view.name}) in state '{view.target}', "
            "use the appropriate command",
            err=True,
        )
    else:
        return source._replace(text=text)
    return source._replace(text=None)


def digest_of(text: str, where: str) -> str:
    """The hash under which the cluster knows a text. Raises BadUnit."""
    from fleetish.units.file import content_hash, parse

    return content_hash(parse(text, where))


def tell_created(written: Written) -> None:
    """fleetctl submits each unit as inactive first, and says so."""
    for row in written.units:
        if row.outcome in ("created", "replaced"):
            click.echo(f"Unit {row.name} inactive")


def is_news(row: Outcome, before: UnitView | None) -> bool:
    """True when something else is wanted of the unit than before; fleetctl waits for no other."""
    if before is None or row.outcome in ("created", "replaced"):
        return True
    return (row.target, row.launch) != (before.target, before.launch)


@click.command(cls=FleetctlCommand)
@UNITS
@REPLACE
@SIGN
def submit(units: tuple[str, ...], replace: bool, sign: bool) -> int:
    """Upload units without placing or starting them.

    \b
    fleetctl submit hello.service
    """
    return raise_units("submit", "", units, replace, Blocking())


@click.command(cls=FleetctlCommand)
@UNITS
@REPLACE
@SIGN
@blocking_options
def load(units: tuple[str, ...], replace: bool, sign: bool, **how: Any) -> int:
    """Place units on machines, submitting them first where needed; what runs goes on running.

    \b
    fleetctl load hello.service
    """
    return raise_units("load", "loaded", units, replace, Blocking(**how))


@click.command(cls=FleetctlCommand)
@UNITS
@REPLACE
@SIGN
@blocking_options
def start(units: tuple[str, ...], replace: bool, sign: bool, **how: Any) -> int:
    """Start units, submitting and placing them first where needed.

    \b
    fleetctl start hello.service
    fleetctl start --block-attempts=15 myservice/*
    """
    return raise_units("start", "launched", units, replace, Blocking(**how))


# --- stop, unload --------------------------------------------------------------------------------


def lower(verb: str, past: str, target: str, views: Views, fleet: Client, how: Blocking) -> int:
    """stop and unload: set the target of units that exist, wait, and sum up."""
    code = 0
    if views:
        wait = how.wait(fleet, Goal(verb, target, prefix=WAITING))
        written = fleet.set_target(list(views), target)
        code = done(wait, without_globals(written, views, verb), verb)
    names = " ".join(name for name, view in views.items() if not view.is_global)
    failed = f"Failed to {verb} units [{names}]. exit == {code}."
    click.echo(failed if code else f"Successfully {past} units [{names}].", err=True)
    return code


def is_at(view: UnitView, state: str) -> bool:
    """True when a unit is as it is asked to be, and nothing else is wanted of it."""
    return not view.is_global and view.current == view.target == state


@click.command(cls=FleetctlCommand)
@UNITS
@blocking_options
def stop(units: tuple[str, ...], **how: Any) -> int:
    """Stop units; they keep their place on their machine.

    \b
    fleetctl stop hello.service
    """
    if nothing_given(units):
        return 0
    with connect() as fleet:
        views = known(fleet, units)
        if not views:
            return 0
        for view in views.values():
            if not view.is_global and view.current == "inactive":
                raise Refused(f"Unable to stop unit {view.name} in state inactive")
        wanted = {name: view for name, view in views.items() if not is_at(view, "loaded")}
        return lower("stop", "stopped", "loaded", wanted, fleet, Blocking(**how))


@click.command(cls=FleetctlCommand)
@UNITS
@blocking_options
def unload(units: tuple[str, ...], **how: Any) -> int:
    """Stop units and take them off their machine; their files stay in the cluster.

    \b
    fleetctl unload hello.service
    """
    if nothing_given(units):
        return 0
    with connect() as fleet:
        views = known(fleet, units)
        if not views:
            return 0
        wanted = {name: view for name, view in views.items() if not is_at(view, "inactive")}
        return lower("unload", "unloaded", "inactive", wanted, fleet, Blocking(**how))


# --- restart, destroy ----------------------------------------------------------------------------


@click.command(cls=FleetctlCommand)
@UNITS
@click.option("--block-attempts", default=0, metavar="N", help="Give up after N times 2 seconds.")
def restart(units: tuple[str, ...], block_attempts: int) -> int:
    """Restart units where they are; start those that are loaded.

    \b
    fleetctl restart hello.service
    """
    if nothing_given(units):
        return 0
    goal = Goal("restart", "launched", within=ACTIVE_WITHIN, prefix=WAITING)
    with connect() as fleet:
        names = list(dict.fromkeys(unit_name(one, CLIENT_TYPES) for one in expand(units)))
        views = {view.name: view for view in fleet.units(names)}
        for name in names:
            if name not in views:
                raise NotFound(not_found(name))
            if not views[name].is_global and views[name].current == "inactive":
                click.echo(f"Unable to restart unit {name} in state inactive", err=True)
        there = [n for n in names if views[n].is_global or views[n].current != "inactive"]
        if not there:
            return 0
        wait = Blocking(block_attempts=block_attempts).wait(fleet, goal)
        written = fleet.restart(there)
        return done(wait, without_globals(written, views, "restart"), "restart")


@click.command(cls=FleetctlCommand)
@UNITS
@blocking_options
def destroy(units: tuple[str, ...], **how: Any) -> int:
    """Stop units and forget them, without waiting; names that do not exist are passed over.

    \b
    fleetctl destroy hello.service
    """
    if nothing_given(units):
        return 0
    with connect() as fleet:
        names = list(known(fleet, units))
        if not names:
            return 0
        for row in fleet.destroy(names).units:
            if row.outcome == "destroyed":
                click.echo(f"Destroyed {row.name}")
    return 0
