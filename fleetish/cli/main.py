"""``fleetish``: the command line. Commands are loaded when they are called, and no sooner.

Exit codes: 0 done, 1 refused or failed (the reason is on stderr), 2 usage, 3 timed out while
waiting (nothing is rolled back).
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fleetish.cli.group import Commands, Row

COMMANDS = {
    "submit": Row("units", "submit", "Store units without starting them.", "Units"),
    "load": Row("units", "load", "Place units on machines without starting them.", "Units"),
    "start": Row("units", "start", "Start units, and wait until they are active.", "Units"),
    "stop": Row("units", "stop", "Stop units; they keep their machine.", "Units"),
    "restart": Row("units", "restart", "Start units once more where they are.", "Units"),
    "unload": Row("units", "unload", "Stop units and take them off their machine.", "Units"),
    "destroy": Row("units", "destroy", "Stop units and forget them.", "Units"),
    "cat": Row("look", "cat", "Print a unit's file.", "Look"),
    "status": Row("look", "status", "Print what systemctl says where a unit runs.", "Look"),
    "journal": Row("look", "journal", "Print a unit's journal, from any machine.", "Look"),
    "explain": Row("look", "explain", "Say why a unit is where it is, or nowhere.", "Look"),
    "ssh": Row("look", "ssh", "Open a shell on a machine, or where a unit runs.", "Look"),
    "list-units": Row("lists", "list_units", "List units as systemd has them.", "Look"),
    "list-unit-files": Row("lists", "list_unit_files", "List units as submitted.", "Look"),
    "list-machines": Row("lists", "list_machines", "List machines.", "Look"),
    "replace": Row("replace", "replace", "Give units another text, a few at a time.", "Units"),
    "rollouts": Row("replace", "rollouts", "Show, undo or cancel what replace began.", "Units"),
    "rebalance": Row("rebalance", "rebalance", "Even out the machines.", "Machines"),
    "cordon": Row("machines", "cordon", "Place nothing new on a machine.", "Machines"),
    "uncordon": Row("machines", "uncordon", "Use a machine again.", "Machines"),
    "drain": Row("machines", "drain", "Move everything off a machine, and wait.", "Machines"),
    "events": Row("watch", "events", "Print what happens, as it happens.", "Look"),
    "top": Row("watch", "top", "Show what units use.", "Look"),
    "render": Row("files", "render", "Print the unit file that a Jinja2 template makes.", "Files"),
    "verify": Row("files", "verify", "Check unit files; needs no cluster.", "Files"),
    "fetch": Row("fetch", "fetch", "Fetch files as Fetch= in a unit file does.", "Files"),
    "version": Row("daemon", "version", "Print the versions of this and of the server.", "Help"),
    "serve": Row("daemon", "serve", "Run the daemon: agent, engine and API.", "Daemon"),
    "dev": Row("daemon", "dev", "A cluster of this one machine, etcd included.", "Daemon"),
    "lab": Row("lab", "lab", "A cluster of real systemd hosts on this machine.", "Daemon"),
    "completion": Row("complete", "completion", "Print the completion script for a shell.", "Help"),
}

#: Group of the entry points by which other packages add rows.
ADDED = "fleetish.commands"


@click.command(
    cls=Commands,
    rows=COMMANDS,
    added=ADDED,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="FLEETISH_ENDPOINT says where the API is; see fleetish COMMAND --help for examples.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="The API: unix:///run/fleetish/api.sock or http://host:7100; several with commas.",
)
@click.pass_context
def cli(ctx: click.Context, endpoint: str | None) -> None:
    """systemctl for a cluster.

    \b
    fleetish start web@{1..3}            start three instances of web@.service
    fleetish list-units                  see where they run
    fleetish status web@1                ask systemd there
    """
    ctx.obj = endpoint or ""


def main(args: list[str] | None = None) -> None:
    """Run the command line, and exit as the module says; called as fleetctl, be fleetctl."""
    if Path(sys.argv[0]).name == "fleetctl":
        from fleetish.cli.fleetctl.main import run as run_fleetctl

        sys.exit(run_fleetctl(args))
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run a command; its exit code. Errors are told on stderr."""
    try:
        code = cli.main(args=args, prog_name="fleetish", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        return told(error)


def told(error: Exception) -> int:
    """Tell an error of ours on stderr; its exit code. Any other is raised again: a fault."""
    from fleetish.errors import FleetishError, WaitTimeout

    if not isinstance(error, FleetishError):
        raise error
    for line in lines_of(error):
        click.echo(line, err=True)
    return 3 if isinstance(error, WaitTimeout) else 1


def lines_of(error: Exception) -> list[str]:
    """An error as people read it: one line, or one for each problem of a unit file."""
    from fleetish.wire_faults import Invalid

    if not isinstance(error, Invalid):
        return [str(error)]
    return [f"{row.where}: {row.message}" if row.where else row.message for row in error.problems]


if __name__ == "__main__":
    main()
