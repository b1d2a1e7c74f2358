"""``fleetctl``: fleet's command line over fleetish, for people and scripts that know it.

Which face a process has is decided by the name that it is called by. Exit codes are fleet 1.0's: 0
done, and also for an unknown flag or command or when no units are given; 1 refused, failed or timed
out; 2 for ``verify``, which checked signatures; that of the remote command for ssh and status.
"""

from __future__ import annotations

import sys

import click

from fleetish import __version__
from fleetish.cli.fleetctl.pflag import canonical, forms_of
from fleetish.cli.fleetctl.settings import FleetctlCommand, options
from fleetish.cli.group import Commands, Row
from fleetish.cli.main import lines_of

#: The version of fleet whose command line this is, and whose it is.
VERSION = f"1.0.0+fleetish.{__version__}"

COMMANDS = {
    "cat": Row("fleetctl.look", "cat", "Output the contents of a submitted unit"),
    "destroy": Row("fleetctl.units", "destroy", "Destroy units in the cluster"),
    "fd-forward": Row("fleetctl.tunnel", "fd_forward", "Proxy stdin and stdout to a unix socket"),
    "help": Row("fleetctl.main", "help_", "Show the commands, or help for one of them"),
    "journal": Row("fleetctl.look", "journal", "Print the journal of a unit in the cluster"),
    "list-machines": Row("fleetctl.lists", "list_machines", "List the machines of the cluster"),
    "list-unit-files": Row("fleetctl.lists", "list_unit_files", "List the units that exist"),
    "list-units": Row("fleetctl.lists", "list_units", "List the states of units on machines"),
    "load": Row("fleetctl.units", "load", "Place units on machines, submitting them first"),
    "restart": Row("fleetctl.units", "restart", "Restart units where they are"),
    "ssh": Row("fleetctl.ssh", "ssh", "Open a shell on a machine, or run a command there"),
    "start": Row("fleetctl.units", "start", "Start units, submitting and placing them first"),
    "status": Row("fleetctl.look", "status", "Output the status of units in the cluster"),
    "stop": Row("fleetctl.units", "stop", "Stop units, which keep their machine"),
    "submit": Row("fleetctl.units", "submit", "Upload units without starting them"),
    "unload": Row("fleetctl.units", "unload", "Take units off their machines"),
    "verify": Row("fleetctl.look", "verify", "Gone: fleet no longer signed units"),
    "version": Row("fleetctl.main", "version", "Print the version"),
}


class Fleetctl(Commands):
    """The group: its flags, too, are written as Go takes them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, canonical(args, forms_of(self.get_params(ctx))))


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"fleetctl version {VERSION}")
        ctx.exit()


@click.command(
    cls=Fleetctl,
    rows=COMMANDS,
    params=options(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    epilog="Each global flag is also read from the environment: --ssh-timeout from "
    "FLEETCTL_SSH_TIMEOUT. Without --endpoint, FLEETISH_ENDPOINT says where the API is.",
)
@click.option(
    "--version", "-v", "show_version", is_flag=True, is_eager=True, callback=_print_version,
    expose_value=False, help="Print the version and exit.",
)  # fmt: skip
@click.pass_context
def cli(ctx: click.Context, /, **_: object) -> None:
    """fleet's command line, over fleetish.

    \b
    fleetctl start hello.service         submit it, find it a machine, start it
    fleetctl list-units                  see where it runs
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@click.command(cls=FleetctlCommand, name="help")
@click.argument("command", required=False, default="")
@click.pass_context
def help_(ctx: click.Context, command: str) -> int:
    """Show the commands, or help for one of them.

    \b
    fleetctl help start
    """
    root = ctx.find_root()
    if not command:
        click.echo(root.get_help())
        return 0
    found = cli.get_command(root, command)
    if found is None:
        click.echo(f"Unrecognized command: {command}", err=True)
        return 1
    click.echo(found.get_help(click.Context(found, info_name=command, parent=root)))
    return 0


@click.command(cls=FleetctlCommand)
def version() -> None:
    """Print the version of fleet that this stands for, and after the plus sign its own.

    \b
    fleetctl version
    """
    click.echo(f"fleetctl version {VERSION}")


def run(args: list[str] | None = None) -> int:
    """Run a command; its exit code. Errors are told on stderr."""
    from fleetish.errors import FleetishError

    try:
        code = cli.main(args=args, prog_name="fleetctl", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        error.show()
        return 0
    except click.ClickException as error:
        error.show()
        return 1
    except (click.exceptions.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except FleetishError as error:
        for line in lines_of(error):
            click.echo(line, err=True)
        return 1
