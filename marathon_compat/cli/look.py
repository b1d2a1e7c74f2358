"""Looking at apps: list, show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from fleetish.cli.table import Column, listing_options, render
from fleetish.cli.table import show as show_table
from marathon_compat.cli import text
from marathon_compat.cli.complete import complete_apps, complete_versions
from marathon_compat.cli.definition import editable
from marathon_compat.cli.main import connect
from marathon_compat.wire import AppView, DeploymentView, Queued, Task

#: Characters of a command in a table, unless --full.
SHORT = 40


def _field(name: str) -> Column:
    return Column(lambda row, _: f"{getattr(row, name)}", lambda row: getattr(row, name))


def _amount(name: str) -> Column:
    return Column(lambda row, _: f"{getattr(row, name):g}", lambda row: getattr(row, name))


def _said(say: Callable[[AppView], str]) -> Column:
    return Column(lambda row, _: say(row), say)


def _cut(row: AppView, full: bool) -> str:
    found = text.what_runs(row)
    return found if full or len(found) <= SHORT else f"{found[: SHORT - 1]}…"


def _labels(row: AppView, _: bool) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(row.labels.items()))


def columns(
    under_way: Mapping[str, DeploymentView], queued: Mapping[str, Queued]
) -> dict[str, Column]:
    """The columns of ``list``; the first ones are those of the command line of DC/OS."""

    def status(row: AppView) -> str:
        known = [under_way[one.id] for one in row.deployments if one.id in under_way]
        if known:
            return text.action_on(row.id, known[0])
        if row.deployments:
            return "deploying"
        if row.id in queued:
            return "waiting" if queued[row.id].delay.overdue else "delayed"
        return "" if row.instances else "suspended"

    return {
        "id": _field("id"),
        "mem": _amount("mem"),
        "cpus": _amount("cpus"),
        "tasks": Column(lambda row, _: text.running(row), lambda row: row.tasks_running),
        "health": Column(lambda row, _: text.healthy(row), lambda row: row.tasks_healthy),
        "status": _said(status),
        "container": _said(text.kind),
        "cmd": Column(_cut, text.what_runs),
        "instances": _field("instances"),
        "staged": _field("tasks_staged"),
        "unhealthy": _field("tasks_unhealthy"),
        "disk": _amount("disk"),
        "version": _field("version"),
        "labels": Column(_labels, lambda row: row.labels),
        "deployments": Column(
            lambda row, _: ",".join(one.id for one in row.deployments),
            lambda row: [one.id for one in row.deployments],
        ),
    }


@click.command("list")
@click.option("--label", default="", metavar="SELECTOR", help="Only those, such as team==blue.")
@listing_options
def list_apps(label: str, **how: Any) -> None:
    """List apps.

    \b
    fleetish app list
    fleetish app list --label 'team in (blue, green)'
    fleetish app list --fields id,tasks,status,version
    fleetish app list --json | jq '.[] | select(.status != "")'
    """
    with connect() as marathon:
        found = marathon.apps(label)
        under_way = {one.id: one for one in marathon.deployments()}
        queued = {one.app.id: one for one in marathon.queue() if one.app}
    show_table(found, columns(under_way, queued), "id,mem,cpus,tasks,health,status,cmd", **how)


@click.command()
@click.argument("app", shell_complete=complete_apps)
@click.option("--versions", is_flag=True, help="List its versions, newest first.")
@click.option(
    "--version",
    default="",
    metavar="VERSION",
    shell_complete=complete_versions,
    help="Its definition as it was.",
)
@click.option("--definition", is_flag=True, help="Its definition, to be edited and sent again.")
@click.option("--json", "as_json", is_flag=True, help="As the API answers it.")
def show(app: str, versions: bool, version: str, definition: bool, as_json: bool) -> None:
    """Show an app: how many instances run, where, and what keeps the others.

    \b
    fleetish app show /web
    fleetish app show /web --definition > web.json
    fleetish app show /web --versions
    fleetish app show /web --json | jq .tasks
    """
    with connect() as marathon:
        if versions:
            found = marathon.versions(app)
            click.echo(json.dumps(found) if as_json else "\n".join(found))
        elif version:
            click.echo(json.dumps(marathon.version(app, version), indent=2))
        elif definition:
            click.echo(json.dumps(editable(marathon.app_json(app)), indent=2))
        elif as_json:
            click.echo(json.dumps(marathon.app_json(app), indent=2))
        else:
            one = marathon.app(app)
            under_way = [row for row in marathon.deployments() if app_in(one, row)]
            queued = [row for row in marathon.queue() if row.app and row.app.id == one.id]
            for line in told(one, under_way, queued):
                click.echo(line)


def app_in(app: AppView, deployment: DeploymentView) -> bool:
    """Whether a deployment is at work on an app."""
    return any(one.id == deployment.id for one in app.deployments)


def told(app: AppView, under_way: list[DeploymentView], queued: list[Queued]) -> Iterator[str]:
    """An app as lines: what it is, how it stands, its tasks."""
    yield f"{app.id}: {text.what_runs(app) or 'no command'}"
    amounts = f"{app.cpus:g} cpus, {app.mem:g} MiB each"
    health = f", {text.healthy(app)} healthy" if app.health_checks else ""
    staged = f", {app.tasks_staged} staged" if app.tasks_staged else ""
    yield f"  {text.running(app)} instances run{staged}{health}; {amounts}"
    yield f"  version {app.version}"
    for one in under_way:
        step = f"step {one.current_step} of {one.total_steps}"
        yield f"  deployment {one.id}, {step}: {text.doing(one)}"
    for row in queued:
        yield f"  {row.count} to be launched: waits {text.waits(row)}"
    if app.last_task_failure:
        yield f"  last failure: {text.failed(app.last_task_failure)}"
    if app.tasks:
        head = ["TASK", "STATE", "HEALTH", "HOST", "PORTS", "STARTED"]
        yield render([head, *map(_task, app.tasks)]).rstrip("\n")


def _task(one: Task) -> list[str]:
    ports = ",".join(map(str, one.ports))
    state = one.state.removeprefix("TASK_").lower()
    return [one.id, *(word or "-" for word in (state, one.health, one.host, ports, one.started_at))]
