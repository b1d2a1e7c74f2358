"""Rolling updates: ``replace`` and ``rollouts``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from fleetish.cli.bar import Report, bar, json_option
from fleetish.cli.complete import complete_units
from fleetish.cli.connection import connect
from fleetish.cli.files import Source, local_text, read_values, sources, values_options
from fleetish.cli.table import render
from fleetish.cli.wait import Watch
from fleetish.client import Client
from fleetish.errors import Unavailable, WaitTimeout
from fleetish.wire_orders import MemberView, ReplaceBody, RolloutView

#: Seconds after which things are looked at though nothing was heard, and between two looks.
LOOK, PAUSE = 5.0, 0.1


def waiting(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--no-block`` and ``--timeout``; a rolling update takes as long as it takes."""
    for option in (
        click.option(
            "--timeout",
            type=click.FloatRange(min=0),
            default=0.0,
            metavar="SECONDS",
            help="Give up waiting and exit 3; 0, the default, waits for ever. It goes on.",
        ),
        click.option("--no-block/--wait", help="Do not wait until it is done."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("units", nargs=-1, required=True, shell_complete=complete_units)
@click.option(
    "--file",
    "-f",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The new text of all of them, where it is not a file here of the unit's name.",
)
@click.option(
    "--max-unavailable",
    default="1",
    show_default=True,
    metavar="N|P%",
    help="How many may be not active at a time: a number, or a share rounded down.",
)
@click.option(
    "--on-failure",
    type=click.Choice(["stop", "rollback", "continue"]),
    default="stop",
    show_default=True,
    help="What to do when a unit fails with its new text.",
)
@click.option(
    "--settle",
    type=click.FloatRange(min=0, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a unit must have been active before the next one is replaced.",
)
@waiting
@json_option
@values_options
def replace(
    units: tuple[str, ...],
    file: Path | None,
    values_files: tuple[Path, ...],
    settings: tuple[str, ...],
    max_unavailable: str,
    on_failure: str,
    settle: float,
    no_block: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Give units another text, a few at a time, and wait until all are active with it.

    A template stands for all of its instances, a global unit for each of its machines. The engine
    does it: it goes on when this command ends. Without a file here, instances get the text of
    their template in the cluster.

    \b
    fleetish replace web@.service --max-unavailable 25%
    fleetish replace log.service --file log-2.service --on-failure rollback
    fleetish replace web@{1..3} -f web@.service --no-block
    """
    values = read_values(values_files, settings)
    found = sources(units, values)
    body = ReplaceBody(
        units=tuple(one.name for one in found),
        texts=_texts(found, file, values),
        max_unavailable=max_unavailable,
        on_failure=on_failure,
        settle=settle,
    )
    with connect() as fleet:
        watch = None if no_block else Watch(fleet)
        if watch:
            watch.next(timeout or None)
        begun = fleet.replace(body)
        report = Report(as_json)
        many = f"{begun.total} unit{'' if begun.total == 1 else 's'}"
        text = f"Rollout {begun.id}: {many}, {max_unavailable} at a time"
        report.say(text, rollout=begun.id, stage=begun.stage, total=begun.total)
        if watch is None:
            return 0
        return Following(fleet, begun.id, report, timeout, watch).run()


def _texts(found: list[Source], file: Path | None, values: dict[str, Any]) -> dict[str, str]:
    if file is None:
        return {one.name: one.text for one in found if one.text is not None}
    given = {one.name: local_text(file, one.name, values) for one in found}
    return {name: text for name, text in given.items() if text is not None}


@click.command()
@click.argument("rollout", required=False)
@click.option("--follow", is_flag=True, help="Wait until it has ended.")
@click.option("--undo", is_flag=True, help="Give every unit of it its old text back.")
@click.option("--cancel", is_flag=True, help="End it where it is; forget one that has ended.")
@waiting
@json_option
def rollouts(
    rollout: str | None,
    follow: bool,
    undo: bool,
    cancel: bool,
    no_block: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Show the rolling updates, or how each unit of one stands.

    \b
    fleetish rollouts
    fleetish rollouts 3fa9c1 --follow
    fleetish rollouts 3fa9c1 --undo           also of one that is done
    """
    if (follow, undo, cancel).count(True) > 1 or (rollout is None and (follow or undo or cancel)):
        raise click.UsageError("give a rollout, and at most one of --follow, --undo and --cancel")
    with connect() as fleet:
        if rollout is None:
            _list(fleet.rollouts(), as_json)
            return 0
        report = Report(as_json)
        if cancel:
            fleet.cancel_rollout(rollout)
            report.say(f"Rollout {rollout} cancelled", rollout=rollout, stage="cancelled")
            return 0
        if undo:
            begun = fleet.undo_rollout(rollout)
            report.say(f"Rollout {rollout} is being undone", rollout=rollout, stage=begun.stage)
        if follow or (undo and not no_block):
            wanted = "undone" if undo else "done"
            return Following(fleet, rollout, report, timeout, wanted=wanted).run()
        if not undo:
            _show(fleet.rollout(rollout), as_json)
    return 0


def _list(found: tuple[RolloutView, ...], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode([msgspec.to_builtins(one) for one in found]))
        return
    rows = [
        [one.id, one.stage, f"{one.done}/{one.total}", _when(one.since), one.reason or "-"]
        for one in found
    ]
    click.echo(render([["ROLLOUT", "STAGE", "DONE", "SINCE", "REASON"], *rows]), nl=False)


def _when(since: float) -> str:
    return datetime.fromtimestamp(since).isoformat(" ", "seconds") if since else "-"


def _show(view: RolloutView, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(view))
        return
    click.echo(f"Rollout {view.id} {_summary(view)}")
    rows = [[one.unit, one.host or "-", one.stands, one.reason or "-"] for one in view.units]
    click.echo(render([["UNIT", "HOST", "STANDS", "REASON"], *rows]), nl=False)


def _summary(view: RolloutView) -> str:
    reason = f": {view.reason}" if view.reason else ""
    return f"{view.stage} ({view.done} of {view.total}){reason}"


class Following:
    """One wait for a rollout to end. :meth:`run` tells each unit that is done or failed.

    ``wanted``: the stage that it shall end in.
    """

    def __init__(
        self,
        fleet: Client,
        name: str,
        report: Report,
        timeout: float,
        watch: Watch | None = None,
        wanted: str = "done",
    ) -> None:
        self.fleet = fleet
        self.name = name
        self.report = report
        self.deadline = time.monotonic() + timeout if timeout else None
        self.told: dict[tuple[str, str], str] = {}
        self.wanted = wanted
        self._watch = watch

    def run(self) -> int:
        """Wait; 0 when it ended as wanted, 1 when otherwise. Raises WaitTimeout."""
        with bar(f"rollout {self.name}", quiet=self.report.as_json) as tell, self._parting():
            view = self.fleet.rollout(self.name)
            while view.going:
                self._hear(view)
                tell(view.done, view.total, [_row(one) for one in view.units if _is_busy(one)])
                self._next()
                view = self.fleet.rollout(self.name)
            self._hear(view)
        done = view.stage == self.wanted
        fields = {"rollout": view.id, "stage": view.stage, "reason": view.reason}
        text = f"Rollout {view.id} {_summary(view)}"
        self.report.say(text, err=not done, **fields, done=view.done, total=view.total)
        return 0 if done else 1

    @contextmanager
    def _parting(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            click.echo(f"rollout {self.name} goes on; see fleetish rollouts {self.name}", err=True)
            raise

    def _hear(self, view: RolloutView) -> None:
        """Tell what is new of the units: which are done, and which failed."""
        for one in view.units:
            key = (one.unit, one.machine)
            if self.told.get(key) == one.stands:
                continue
            self.told[key] = one.stands
            if one.stands in ("done", "failed") or self.report.as_json:
                how = one.reason or f"{one.stands}{f' on {one.host}' if one.host else ''}"
                fields = msgspec.to_builtins(one)
                text = f"{one.unit} {how}"
                self.report.say(text, err=one.stands == "failed", **fields)

    def _next(self) -> None:
        """Wait for something to happen, at most a few seconds."""
        left = LOOK if self.deadline is None else self.deadline - time.monotonic()
        if left <= 0:
            raise WaitTimeout(
                f"cannot wait longer for rollout {self.name}: it goes on",
                hint=f"see fleetish rollouts {self.name}",
            )
        try:
            if self._watch is None:
                self._watch = Watch(self.fleet)
            if self._watch.next(min(left, LOOK)) is not None:
                while self._watch.next(PAUSE) is not None:
                    pass
        except Unavailable:
            self._watch = None
            time.sleep(min(left, 1.0))


def _is_busy(one: MemberView) -> bool:
    return one.stands in ("starting", "failed")


def _row(one: MemberView) -> str:
    return f"{one.unit} {one.stands}{f' on {one.host}' if one.host else ''}"
