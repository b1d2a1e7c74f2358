"""``logs``: the journals of an app's instances, over fleetish's own API.

An instance is a unit, so its output is in its machine's journal. With ``--follow`` every instance
has a reader of its own; one that comes later is found by the event that tells of it.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import click

from fleetish.cli.connection import connect
from fleetish.cli.journal_text import FORMATS, line
from fleetish.client import Client
from fleetish.errors import FleetishError, NotFound
from marathon_compat.apps import ids
from marathon_compat.cli.complete import complete_apps

#: Entries of an instance that appears while logs are followed.
WHOLE = 1000


class Entry(NamedTuple):
    """An entry of a unit's journal."""

    unit: str
    fields: dict[str, Any]


@click.command()
@click.argument("which", metavar="APP|TASK", shell_complete=complete_apps)
@click.option("--lines", "-n", default=10, show_default=True, metavar="N", help="Of each instance.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, of new instances too.")
@click.option(
    "--output",
    "-o",
    type=click.Choice(FORMATS),
    default="short",
    show_default=True,
    help="How entries are printed, in journalctl's words.",
)
def logs(which: str, lines: int, follow: bool, output: str) -> None:
    """Print the journals of an app's instances, or of one task, wherever they run.

    FLEETISH_ENDPOINT says where fleetish's API is. Of several instances each line begins with the
    first characters of the instance's id.

    \b
    fleetish app logs /web -n 100
    fleetish app logs -f /web
    fleetish app logs web.instance-4ba0c2a2-1d0c-4a45-9a0e-8a0d1a2b3c4d._app.1
    """
    app, only = meant(which)
    with connect() as fleet:
        units = instances(fleet, app, only)
        if not units and (only or not follow):
            raise NotFound(f"cannot find an instance of {app}", hint="see fleetish app list")
        found = followed(fleet, app, only, units, lines) if follow else last(fleet, units, lines)
        several = (follow and not only) or len(units) > 1
        for entry in found:
            click.echo(told(entry, output, several))
            if follow:
                sys.stdout.flush()


def meant(which: str) -> tuple[str, str]:
    """The app that an argument names, and the unit when it is a task or an instance."""
    if ".instance-" not in which:
        return ids.canonical(which), ""
    task = ids.parse_task(which)
    return task.app, ids.unit_name(task.app, task.uuid)


def instances(fleet: Client, app: str, only: str) -> list[str]:
    """The units that stand for an app's instances."""
    names = [one.name for one in fleet.units([only] if only else ())]
    return [name for name in names if ids.app_of_unit(name) == app]


def told(entry: Entry, output: str, several: bool) -> str:
    """An entry as text, with whose it is in front."""
    said = line(entry.fields, output)
    return f"{ids.uuid_of_unit(entry.unit)[:8]} {said}" if several and output != "json" else said


def last(fleet: Client, units: Iterable[str], lines: int) -> list[Entry]:
    """The last entries of each unit, by time."""
    found = [Entry(unit, fields) for unit in units for fields in fleet.journal(unit, lines)]
    return sorted(found, key=lambda one: int(one.fields.get("__REALTIME_TIMESTAMP", 0)))


def followed(
    fleet: Client, app: str, only: str, units: Iterable[str], lines: int
) -> Iterator[Entry]:
    """Entries as they come, for ever; also of instances that appear."""
    told: queue.Queue[Entry | FleetishError] = queue.Queue()
    readers = Readers(fleet, told)
    pattern = only or ids.unit_name(app, "*")
    threading.Thread(target=_appearing, args=(fleet.again(), pattern, readers), daemon=True).start()
    for unit in units:
        readers.read(unit, lines)
    while True:
        found = told.get()
        if isinstance(found, FleetishError):
            click.echo(str(found), err=True)
        else:
            yield found


def _appearing(fleet: Client, pattern: str, readers: Readers) -> None:
    """Read every unit of a pattern that comes to run, for ever."""
    while True:
        try:
            for event in fleet.events(["state"], [pattern]):
                if event.state and event.state.active in ("activating", "active"):
                    readers.read(event.unit, WHOLE)
        except FleetishError as error:
            readers.told.put(error)
        time.sleep(1.0)


class Readers:
    """A thread for each unit whose journal is followed."""

    def __init__(self, fleet: Client, told: queue.Queue[Entry | FleetishError]) -> None:
        self.told = told
        self._fleet = fleet
        self._units: set[str] = set()
        self._lock = threading.Lock()

    def read(self, unit: str, lines: int) -> None:
        """Follow a unit's journal, unless that is done already."""
        with self._lock:
            if unit in self._units:
                return
            self._units.add(unit)
        threading.Thread(target=self._follow, args=(unit, lines), daemon=True).start()

    def _follow(self, unit: str, lines: int) -> None:
        try:
            with self._fleet.again() as fleet:
                for fields in fleet.journal(unit, lines, follow=True):
                    self.told.put(Entry(unit, fields))
        except NotFound:
            return  # the instance is gone, and will not come again
        except FleetishError as error:
            self.told.put(error)
            with self._lock:
                self._units.discard(unit)
