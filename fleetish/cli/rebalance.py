"""Evening out the machines: ``rebalance``."""

from __future__ import annotations

import time

import click
import msgspec

from fleetish.cli.bar import Report, bar, json_option
from fleetish.cli.connection import connect
from fleetish.cli.units import waiting_options
from fleetish.cli.wait import Watch
from fleetish.client import Client
from fleetish.errors import Unavailable, WaitTimeout
from fleetish.wire_orders import RebalanceView, ShiftView

#: Seconds after which things are looked at though nothing was heard.
LOOK = 5.0


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be moved.")
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Move at most so many units.",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Move so many at a time: faster, and may take a move more.",
)
@click.option("--status", is_flag=True, help="Say whether one goes on, and how far it is.")
@click.option("--cancel", is_flag=True, help="Move nothing more.")
@waiting_options
@json_option
def rebalance(
    dry_run: bool,
    most: int,
    at_once: int,
    status: bool,
    cancel: bool,
    no_block: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Move as few units as possible so that the machines are evenly used, and wait.

    A unit is stopped where it is before it is started elsewhere. Global and pinned units stay, and
    those that MachineOf ties together move together. The engine does it: it goes on when this
    command ends.

    \b
    fleetish rebalance --dry-run
    fleetish rebalance --most 5 --at-once 1
    """
    if (dry_run, status, cancel).count(True) > 1:
        raise click.UsageError("give at most one of --dry-run, --status and --cancel")
    report = Report(as_json)
    with connect() as fleet:
        if cancel:
            fleet.cancel_rebalance()
            report.say("Nothing more is moved", rebalance="cancelled")
            return 0
        if status:
            _status(report, fleet.rebalancing())
            return 0
        watch = None if dry_run or no_block else Watch(fleet)
        if watch:
            watch.next(timeout or None)
        found = fleet.rebalance(dry_run=dry_run, most=most, at_once=at_once)
        for shift in found.shifts:
            report.say(_sentence(shift), **msgspec.to_builtins(shift))
        if not found.shifts:
            report.say("The machines are even: nothing to move", rebalance="even")
        elif watch:
            moved = _wait(fleet, watch, len(found.shifts), timeout, quiet=as_json)
            report.say(f"Moved {moved} units", rebalance="done", moved=moved)
    return 0


def _sentence(shift: ShiftView) -> str:
    return f"{shift.unit}: {shift.source_host} to {shift.host} ({shift.reason})"


def _status(report: Report, view: RebalanceView) -> None:
    if not view.going:
        report.say("No rebalance goes on", rebalance="none")
        return
    names = ", ".join(view.moving[:10])
    text = f"Moved {view.moved} units{f', on their way: {names}' if names else ''}"
    report.say(text, rebalance="going", moved=view.moved, moving=list(view.moving))


def _wait(fleet: Client, watch: Watch, total: int, timeout: float, *, quiet: bool) -> int:
    """Wait until nothing more is moved; how many units were. Raises WaitTimeout."""
    deadline = time.monotonic() + timeout if timeout else None
    moved = 0
    with bar("rebalance", quiet=quiet) as tell:
        while (view := fleet.rebalancing()).going:
            moved = view.moved
            tell(moved - len(view.moving), max(total, moved), view.moving)
            left = LOOK if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeout(
                    f"cannot wait longer: {moved} units were moved, and it goes on",
                    hint="see fleetish rebalance --status",
                )
            try:
                watch.next(min(left, LOOK))
            except Unavailable:
                time.sleep(min(left, 1.0))
                watch = Watch(fleet)
    return moved
