"""The commands of ``fleetish app``, as rows; named by the entry point ``fleetish.commands``."""

from __future__ import annotations

from fleetish.cli.group import Row

PACKAGE = "marathon_compat.cli"


def _row(where: str, name: str, help_: str, heading: str) -> Row:
    return Row(where, name, help_, heading, PACKAGE)


APP = _row("main", "app", "Apps and deployments, over Marathon's API.", "Apps")

COMMANDS = {
    "list": _row("look", "list_apps", "List apps.", "Look"),
    "show": _row("look", "show", "Show an app: its tasks, and what it waits for.", "Look"),
    "logs": _row("logs", "logs", "Print the journals of an app's instances.", "Look"),
    "run": _row("change", "run", "Create an app, and wait until it runs.", "Apps"),
    "update": _row("change", "update", "Change an app, and wait until that is done.", "Apps"),
    "scale": _row("change", "scale", "Set how many instances an app has.", "Apps"),
    "restart": _row("change", "restart", "Replace every instance of apps.", "Apps"),
    "rollback": _row("change", "rollback", "Bring an earlier version back.", "Apps"),
    "destroy": _row("change", "destroy", "Stop apps and forget them.", "Apps"),
    "deployments": _row("deployments", "deployments", "Show, undo or cancel changes.", "Apps"),
}
