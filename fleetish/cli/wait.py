"""Waiting for wishes to come true, by the stream of events.

1. The stream is opened before the wish is sent, so that nothing can happen unseen.
2. Then the whole is read once, and from there on each event replaces what is known of its unit.
3. A stream that ends is opened again, and the whole is read again.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

import click

from fleetish.client import Client
from fleetish.errors import FleetishError, Unavailable, WaitTimeout
from fleetish.wire import ClusterEvent, Outcome, UnitView, Written

T = TypeVar("T")

KINDS = ("unit", "state", "placement", "machine", "rollout", "rebalance")
#: Seconds between attempts to open the stream again.
RETRY = 1.0


class Heard(Generic[T]):
    """A stream of events, read in a thread so that a deadline can end the wait for one."""

    def __init__(self, events: Iterable[T]) -> None:
        self._events = events
        self._queue: queue.Queue[T | FleetishError] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for event in self._events:
                self._queue.put(event)
            self._queue.put(Unavailable("cannot go on watching: the server ended the stream"))
        except FleetishError as error:
            self._queue.put(error)

    def next(self, patience: float | None) -> T | None:
        """The next event; None when ``patience`` seconds are over. Raises Unavailable."""
        try:
            found = self._queue.get(timeout=patience)
        except queue.Empty:
            return None
        if isinstance(found, FleetishError):
            raise found
        return found


class Watch(Heard[ClusterEvent]):
    """The cluster's events."""

    def __init__(self, fleet: Client) -> None:
        super().__init__(fleet.again().events(KINDS))


class Goal(NamedTuple):
    """What is waited for: ``verb`` as in "cannot VERB web.service", ``done`` as it is told.

    ``within``: seconds that a unit may take from its start, however long the whole may take; 0
    for no limit of its own. ``prefix`` stands before what is told of failures.
    """

    verb: str
    done: str
    gone: bool = False
    within: float = 0.0
    prefix: str = ""


Say = Callable[[str], None]


@contextmanager
def progress() -> Iterator[Say]:
    """A line that tells how far things are; only on a terminal, silent elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("…", spinner="dots") as status:
        yield lambda text: status.update(text.replace("[", "\\["))


class Wait:
    """One wait for several units. :meth:`run` tells each as it is done; gives the exit code."""

    def __init__(self, fleet: Client, goal: Goal, timeout: float) -> None:
        self.fleet = fleet
        self.goal = goal
        self.deadline = time.monotonic() + timeout if timeout else None
        self.watch: Watch | None = Watch(fleet)
        self.pending: dict[str, Outcome] = {}
        self.last: dict[str, str] = {}
        self.ends: dict[str, float] = {}
        self.failed = 0
        self._machines: dict[str, str] = {}
        self.watch.next(self._left())  # hello: from here on nothing is missed

    def run(self, written: Written) -> int:
        """Wait for what was asked for. Raises WaitTimeout; returns 1 when a unit failed, else 0."""
        self.pending = {row.name: row for row in written.units}
        total = len(self.pending)
        with progress() as say:
            self._look()
            while self.pending:
                say(self._line(total))
                event = self._next()
                if event is not None:
                    self._hear(event)
        return 1 if self.failed else 0

    def _left(self) -> float | None:
        """Seconds until the first deadline; None when there is none."""
        ends = [*self.ends.values(), *([] if self.deadline is None else [self.deadline])]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _next(self) -> ClusterEvent | None:
        left = self._left()
        if left == 0.0:
            self._overdue()
            return None
        try:
            if self.watch is None:
                self.watch = Watch(self.fleet)
                self.watch.next(left)
                self._look()
                return None
            return self.watch.next(left)
        except Unavailable:
            self.watch = None
            time.sleep(RETRY if left is None else min(RETRY, left))
            return None

    def _overdue(self) -> None:
        """Give up what has had its time. Raises WaitTimeout when the time of the whole is over."""
        now = time.monotonic()
        if self.deadline is not None and self.deadline <= now:
            raise self._late()
        for name in [name for name, end in self.ends.items() if end <= now]:
            waited = f"after {self.goal.within:g} s it still waits"
            self._fail(name, f"{waited} {self.last.get(name, '')}".rstrip())

    def _look(self) -> None:
        """Read the whole once, and judge it."""
        known = {view.name: view for view in self.fleet.units(list(self.pending))}
        if self.goal.gone:
            held = {state.unit for state in self.fleet.states()}
            for name in [name for name in self.pending if name not in {*known, *held}]:
                self._done(name)
            return
        for name in list(self.pending):
            self._judge(name, known.get(name))

    def _hear(self, event: ClusterEvent) -> None:
        if event.unit not in self.pending:
            return
        if self.goal.gone:
            if event.what == "gone":
                self._done(event.unit)
            return
        self._judge(event.unit, event.view)

    def _judge(self, name: str, view: UnitView | None) -> None:
        wanted = self.pending[name]
        if view is None:
            self._fail(name, "it was destroyed meanwhile")
        elif view.launch < wanted.launch:
            return  # from before the wish
        elif view.target != wanted.target:
            self._fail(name, f"somebody else wants it {view.target} now")
        elif view.problem:
            self._fail(name, view.problem)
        elif view.settled:
            self._done(name, view)
        else:
            self.last[name] = view.waiting
            if self.goal.within and view.current == "launched":
                self.ends.setdefault(name, time.monotonic() + self.goal.within)

    def _done(self, name: str, view: UnitView | None = None) -> None:
        del self.pending[name]
        self.ends.pop(name, None)
        where = self._where(view) if view else ""
        click.echo(f"Unit {name} {self.goal.done}{where}")

    def _where(self, view: UnitView) -> str:
        """fleetctl's `` on 2f2d….../10.0.0.1``."""
        from fleetish.cli.table import legend

        if not view.machine:
            return ""
        if view.machine not in self._machines:
            self._machines = {one.id: one.ip for one in self.fleet.machines()}
        return f" on {legend(view.machine, self._machines.get(view.machine, ''), False)}"

    def _fail(self, name: str, why: str) -> None:
        del self.pending[name]
        self.ends.pop(name, None)
        self.failed += 1
        text = f"cannot {self.goal.verb} {name}: {why} (see fleetish status {name})"
        click.echo(self.goal.prefix + text, err=True)

    def _line(self, total: int) -> str:
        some = next(((n, w) for n, w in self.last.items() if n in self.pending and w), None)
        detail = f"; {some[0]} waits {some[1]}" if some else ""
        return f"{self.goal.verb}: {total - len(self.pending)} of {total}{detail}"

    def _late(self) -> WaitTimeout:
        """The error for what is still pending, with what it waits for."""
        for name in list(self.pending)[:10]:
            click.echo(f"{name} waits {self.last.get(name) or 'for the engine'}", err=True)
            for reason in self._why(name):
                click.echo(f"  {reason}", err=True)
        count = len(self.pending)
        return WaitTimeout(
            f"cannot {self.goal.verb} {count} unit{'s' if count > 1 else ''} in time; "
            "nothing is rolled back",
            hint="see fleetish list-unit-files --fields unit,state,waiting",
        )

    def _why(self, name: str) -> Sequence[str]:
        if "that fits" not in self.last.get(name, ""):
            return ()
        try:
            rows = self.fleet.explain(name).machines
        except FleetishError:
            return ()
        return [f"{row.host or row.machine[:8]}: {row.reason}" for row in rows if not row.fits]
