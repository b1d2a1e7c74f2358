"""``fleetish``: the command line. Commands are loaded when they are called, and no sooner.

Exit codes: 0 done, 1 refused or failed (the reason is on stderr), 2 usage, 3 timed out while
waiting (nothing is rolled back).
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NamedTuple

import click


class Row(NamedTuple):
    """A command: the module and name that it is found under, and its line in ``--help``."""

    where: str
    name: str
    help: str


COMMANDS = {
    "submit": Row("units", "submit", "Store units without starting them."),
    "load": Row("units", "load", "Place units on machines without starting them."),
    "start": Row("units", "start", "Start units, and wait until they are active."),
    "stop": Row("units", "stop", "Stop units; they keep their machine."),
    "restart": Row("units", "restart", "Start units once more where they are."),
    "unload": Row("units", "unload", "Stop units and take them off their machine."),
    "destroy": Row("units", "destroy", "Stop units and forget them."),
    "cat": Row("look", "cat", "Print a unit's file."),
    "status": Row("look", "status", "Print what systemctl says where a unit runs."),
    "journal": Row("look", "journal", "Print a unit's journal, from any machine."),
    "explain": Row("look", "explain", "Say why a unit is where it is, or nowhere."),
    "ssh": Row("look", "ssh", "Open a shell on a machine, or where a unit runs."),
    "list-units": Row("lists", "list_units", "List units as systemd has them."),
    "list-unit-files": Row("lists", "list_unit_files", "List units as they were submitted."),
    "list-machines": Row("lists", "list_machines", "List machines."),
    "cordon": Row("machines", "cordon", "Place nothing new on a machine."),
    "uncordon": Row("machines", "uncordon", "Use a machine again."),
    "drain": Row("machines", "drain", "Move everything off a machine, and wait."),
    "events": Row("watch", "events", "Print what happens, as it happens."),
    "top": Row("watch", "top", "Show what units use."),
    "render": Row("files", "render", "Print the unit file that a Jinja2 template makes."),
    "verify": Row("files", "verify", "Check unit files; needs no cluster."),
    "version": Row("daemon", "version", "Print the versions of this command and of the server."),
    "serve": Row("daemon", "serve", "Run the daemon: agent, engine and API."),
    "dev": Row("daemon", "dev", "A cluster of this one machine, etcd included."),
    "lab": Row("lab", "lab", "A cluster of real systemd hosts on this machine."),
    "completion": Row("complete", "completion", "Print the completion script for a shell."),
}


class Commands(click.Group):
    """A group whose commands are rows of a table until they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name or an unambiguous beginning of it, as fleetctl takes it."""
        name = cmd_name if cmd_name in COMMANDS else self._begun(ctx, cmd_name)
        if name is None:
            return None
        row = COMMANDS[name]
        found = getattr(importlib.import_module(f"fleetish.cli.{row.where}"), row.name)
        assert isinstance(found, click.Command)
        return found

    def _begun(self, ctx: click.Context, text: str) -> str | None:
        found = [name for name in COMMANDS if name.startswith(text)]
        if len(found) > 1:
            ctx.fail(f"{text!r} may be {', '.join(found)}")
        return found[0] if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table alone, so that ``--help`` loads none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.help) for name, row in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=row.help)
            for name, row in COMMANDS.items()
            if name.startswith(incomplete)
        ]


@click.command(
    cls=Commands,
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
    """Run the command line, and exit as the module says."""
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
    from fleetish.wire import Invalid

    if not isinstance(error, FleetishError):
        raise error
    lines = [str(error)]
    if isinstance(error, Invalid):
        lines = [
            f"{row.where}: {row.message}" if row.where else row.message for row in error.problems
        ]
    for line in lines:
        click.echo(line, err=True)
    return 3 if isinstance(error, WaitTimeout) else 1


if __name__ == "__main__":
    main()
