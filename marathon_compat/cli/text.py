"""Apps, deployments and what waits, as people read them; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from marathon_compat.wire import AppView, Declined, DeploymentView, Failure, Queued


def what_runs(app: AppView) -> str:
    """The command of an app, or else its image."""
    if app.cmd:
        return " ".join(app.cmd.split())
    if app.args:
        return " ".join(app.args)
    return app.container.docker.image if app.container and app.container.docker else ""


def kind(app: AppView) -> str:
    """``docker`` or ``mesos`` for an app in a container, "" for a plain one."""
    return app.container.type.lower() if app.container else ""


def running(app: AppView) -> str:
    """How many of its instances run: ``2/3``."""
    return f"{app.tasks_running}/{app.instances}"


def healthy(app: AppView) -> str:
    """How many are healthy; "" for an app without health checks."""
    return f"{app.tasks_healthy}/{app.instances}" if app.health_checks else ""


def doing(view: DeploymentView) -> str:
    """What a deployment does now: ``RestartApplication /web``."""
    rows = [f"{one.action} {one.app or one.pod}" for one in view.current_actions]
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return ", ".join(rows[:3]) + more if rows else "nothing is left to do"


def waits(row: Queued) -> str:
    """What an app's next launch waits for."""
    if not row.delay.overdue:
        return f"{row.delay.time_left_seconds} s before the next start, since it failed"
    why = declined(row.processed_offers_summary.reject_summary_last_offers)
    return f"for a machine that takes it{f' ({why})' if why else ''}"


def declined(rows: Iterable[Declined]) -> str:
    """Which reasons turned machines away, and how many: ``InsufficientMemory on 3``."""
    return ", ".join(f"{row.reason} on {row.declined}" for row in rows if row.declined)


def failed(failure: Failure) -> str:
    """A task's failure in one line."""
    on = f" on {failure.host}" if failure.host else ""
    why = f": {failure.message}" if failure.message else ""
    return f"{failure.state}{on} at {failure.timestamp}{why}"


def progress_of(apps: Sequence[AppView]) -> tuple[int, int, list[str]]:
    """How many instances of some apps are as they should be, of how many, and a line for each."""
    done = sum(_ready(app) for app in apps)
    return done, sum(app.instances for app in apps), [_row(app) for app in apps]


def _ready(app: AppView) -> int:
    """New instances that run, and are healthy where that is checked."""
    if app.tasks:
        return sum(
            one.version >= app.version_info.last_config_change_at
            and one.state == "TASK_RUNNING"
            and (not app.health_checks or one.health == "healthy")
            for one in app.tasks
        )
    return app.tasks_healthy if app.health_checks else app.tasks_running


def _row(app: AppView) -> str:
    health = f", {healthy(app)} healthy" if app.health_checks else ""
    staged = f", {app.tasks_staged} staged" if app.tasks_staged else ""
    return f"{app.id} {running(app)} running{staged}{health}"


def action_on(app: str, view: DeploymentView) -> str:
    """What a deployment does to an app now, in a word: scale, restart, …; or that it will."""
    found = [one.action for one in view.current_actions if one.app == app]
    return found[0].removesuffix("Application").lower() if found else "deploying"
