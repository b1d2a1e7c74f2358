"""Waiting for a deployment to end, by the stream of events.

1. The stream is opened before the change is asked for, so that its end cannot be missed.
2. Whatever is heard, the deployment and its apps are looked at anew: events shorten the wait.
3. How it ended is what ``deployment_success`` or ``deployment_failed`` says. A stream that breaks
   is taken up where it broke, by the id of the last event.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from fleetish.cli.bar import ROWS, Report, Tell, bar
from fleetish.cli.wait import Heard
from fleetish.errors import FleetishError, NotFound, Unavailable, WaitTimeout
from marathon_compat.cli.text import doing, progress_of, waits
from marathon_compat.client import Marathon
from marathon_compat.wire import AppView, DeploymentView, Event

KINDS = (
    "deployment_info",
    "deployment_step_success",
    "deployment_success",
    "deployment_failed",
    "status_update_event",
    "instance_health_changed_event",
    "unhealthy_instance_kill_event",
)
#: States of a task that are told when they come to be.
BAD = ("TASK_FAILED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE", "TASK_UNREACHABLE")
#: Seconds after which things are looked at though nothing was heard, between two looks, and until
#: an ended deployment whose end was not told is given up.
LOOK, PAUSE, SILENCE = 5.0, 0.2, 10.0


class Stream:
    """The events of a cluster, over as many connections as it takes."""

    def __init__(self, marathon: Marathon) -> None:
        self._marathon = marathon
        self._last = ""
        self._heard: Heard[Event] | None = Heard(marathon.again().events(KINDS))

    def next(self, patience: float) -> Event | None:
        """The next event, waited for ``patience`` seconds; None when there was none."""
        try:
            if self._heard is None:
                self._heard = Heard(self._marathon.again().events(KINDS, self._last))
            found = self._heard.next(patience)
        except Unavailable:
            self._heard = None
            time.sleep(min(patience, 1.0))
            return None
        self._last = found.id if found and found.id else self._last
        return found


class Following:
    """One wait for a deployment. :meth:`run` tells what it does, and each task that fails."""

    def __init__(
        self, marathon: Marathon, name: str, report: Report, deadline: float, stream: Stream
    ) -> None:
        """``deadline``: on the monotonic clock, 0 for none."""
        self.marathon = marathon
        self.name = name
        self.report = report
        self.deadline = deadline
        self._stream = stream
        self._apps: tuple[str, ...] = ()
        self._step = 0
        self._ended: Event | None = None

    def run(self) -> int:
        """Wait; 0 when it was done, 1 when it was not. Raises WaitTimeout."""
        with bar(f"deployment {self.name}", quiet=self.report.as_json) as tell, self._parting():
            while self._ended is None:
                view = self._look()
                if view is None:
                    self._await_end()
                    break
                self._tell(view, tell)
                self._hear()
        return self._over()

    @contextmanager
    def _parting(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            click.echo(f"deployment {self.name} goes on; see fleetish app deployments", err=True)
            raise

    def _look(self) -> DeploymentView | None:
        """The deployment, while it is under way."""
        try:
            rows = self.marathon.deployments()
        except Unavailable:
            return DeploymentView(id=self.name)  # unknown for now
        return next((one for one in rows if one.id == self.name), None)

    def _tell(self, view: DeploymentView, tell: Tell) -> None:
        self._apps = view.affected_apps or self._apps
        if view.current_step > self._step:
            self._step = view.current_step
            where = f"step {view.current_step} of {view.total_steps}"
            self.report.say(
                f"Deployment {self.name} {where}: {doing(view)}",
                deployment=self.name,
                stage="running",
                step=view.current_step,
                steps=view.total_steps,
                actions=[{"action": one.action, "app": one.app} for one in view.current_actions],
            )
        if sys.stderr.isatty() and not self.report.as_json:
            tell(*progress_of(list(self._found(view))))

    def _found(self, view: DeploymentView) -> Iterator[AppView]:
        """The apps that it is at work on, as far as they can be read."""
        for one in view.current_actions[:ROWS]:
            with suppress(NotFound, Unavailable):
                yield self.marathon.app(one.app)

    def _hear(self) -> None:
        """Wait for something to happen, at most a few seconds, and take all that has."""
        left = LOOK if not self.deadline else self.deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        event = self._stream.next(min(left, LOOK))
        while event is not None and self._ended is None:
            self._take(event)
            event = self._stream.next(PAUSE)

    def _take(self, event: Event) -> None:
        if event.kind in ("deployment_success", "deployment_failed"):
            if event.text("id") == self.name:
                self._ended = event
        elif event.text("taskStatus") in BAD and event.text("appId") in self._apps:
            self._failed(event)

    def _failed(self, event: Event) -> None:
        task, state = event.text("taskId"), event.text("taskStatus")
        why = f": {event.text('message')}" if event.text("message") else ""
        on = f" on {event.text('host')}" if event.text("host") else ""
        self.report.say(
            f"{task} {state}{on}{why}",
            err=True,
            deployment=self.name,
            app=event.text("appId"),
            task=task,
            state=state,
            host=event.text("host"),
            message=event.text("message"),
        )

    def _await_end(self) -> None:
        """It is not under way any more: hear how it ended."""
        until = time.monotonic() + SILENCE
        while self._ended is None and (left := until - time.monotonic()) > 0:
            event = self._stream.next(left)
            if event is not None:
                self._take(event)

    def _over(self) -> int:
        if self._ended is None:
            raise FleetishError(
                f"cannot tell how deployment {self.name} ended: it is over",
                hint="see fleetish app show",
            )
        done = self._ended.kind == "deployment_success"
        stage = "done" if done else "failed"
        reason = self._ended.text("reason")
        why = f": {reason}" if reason and not done else ""
        fields = {"deployment": self.name, "stage": stage, "reason": "" if done else reason}
        self.report.say(f"Deployment {self.name} {stage}{why}", err=not done, **fields)
        return 0 if done else 1

    def _late(self) -> WaitTimeout:
        with suppress(Unavailable):
            for row in self.marathon.queue():
                if row.app and row.app.id in self._apps:
                    click.echo(f"{row.app.id} waits {waits(row)}", err=True)
        return WaitTimeout(
            f"cannot wait longer for deployment {self.name}: it goes on",
            hint=f"fleetish app deployments {self.name} --follow, or --undo",
        )
