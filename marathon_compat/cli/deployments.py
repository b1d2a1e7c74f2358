"""Changes under way: ``deployments``."""

from __future__ import annotations

import time

import click

from fleetish.cli.bar import Report, json_option
from fleetish.cli.replace import waiting
from fleetish.cli.table import render
from fleetish.errors import NotFound
from marathon_compat.cli.complete import complete_deployments
from marathon_compat.cli.follow import Following, Stream
from marathon_compat.cli.main import connect
from marathon_compat.cli.text import doing
from marathon_compat.client import Marathon
from marathon_compat.wire import DeploymentView


@click.command()
@click.argument("deployment", required=False, shell_complete=complete_deployments)
@click.option("--follow", is_flag=True, help="Wait until it has ended.")
@click.option("--undo", is_flag=True, help="Bring back what was before it.")
@click.option("--cancel", is_flag=True, help="End it where it stands; nothing is undone.")
@waiting
@json_option
def deployments(
    deployment: str | None,
    follow: bool,
    undo: bool,
    cancel: bool,
    no_block: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Show the changes under way; follow, undo or cancel one.

    \b
    fleetish app deployments
    fleetish app deployments 5ed4c0c5-9ff8-4a6f-a0cd-f57f59a34b43 --follow
    fleetish app deployments 5ed4c0c5-9ff8-4a6f-a0cd-f57f59a34b43 --undo
    """
    if (follow, undo, cancel).count(True) > 1 or (not deployment and (follow or undo or cancel)):
        raise click.UsageError(
            "give a deployment, and at most one of --follow, --undo and --cancel"
        )
    report = Report(as_json)
    with connect() as marathon:
        if deployment is None or not (follow or undo or cancel):
            _list(marathon.deployments(), deployment, report)
            return 0
        if cancel:
            marathon.cancel(deployment)
            said = f"Deployment {deployment} cancelled"
            report.say(said, deployment=deployment, stage="cancelled")
            return 0
        deadline = time.monotonic() + timeout if timeout else 0.0
        stream = Stream(marathon)
        name = deployment
        if undo:
            name = marathon.undo(deployment)
            report.say(f"Undoing {deployment}: deployment {name}", deployment=name, stage="begun")
            if no_block:
                return 0
        elif not _is_under_way(marathon, name):
            raise NotFound(f"cannot follow deployment {name}: it is not under way")
        return Following(marathon, name, report, deadline, stream).run()


def _is_under_way(marathon: Marathon, name: str) -> bool:
    return any(one.id == name for one in marathon.deployments())


def _list(found: tuple[DeploymentView, ...], only: str | None, report: Report) -> None:
    rows = [one for one in found if only in (None, one.id)]
    if only and not rows:
        raise NotFound(f"cannot find deployment {only}: it is not under way")
    if report.as_json:
        for one in rows:
            report.say(
                "",
                deployment=one.id,
                version=one.version,
                apps=one.affected_apps,
                step=one.current_step,
                steps=one.total_steps,
                actions=[{"action": row.action, "app": row.app} for row in one.current_actions],
            )
        return
    table = [
        [
            one.id,
            one.version,
            f"{one.current_step}/{one.total_steps}",
            doing(one),
            ",".join(one.affected_apps) or "-",
        ]
        for one in rows
    ]
    click.echo(render([["DEPLOYMENT", "VERSION", "STEP", "DOING", "APPS"], *table]), nl=False)
