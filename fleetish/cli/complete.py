"""Shell completion: the scripts, and the names of units and machines from the API."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from fleetish.client import Client
from fleetish.errors import FleetishError

#: Seconds that a shell may be kept waiting for names.
PATIENCE = 1.0


def _client(ctx: click.Context) -> Client:
    return Client(str(ctx.find_root().params.get("endpoint") or ""), answer=PATIENCE)


def complete_units(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Units of the cluster, then files here."""
    try:
        with _client(ctx) as fleet:
            names = [view.name for view in fleet.units() if view.name.startswith(incomplete)]
    except FleetishError:
        names = []
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def complete_machines(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Machines by host name and by id."""
    try:
        with _client(ctx) as fleet:
            machines = fleet.machines(lost=True)
    except FleetishError:
        return []
    words = [(one.host, one.id) for one in machines if one.host.startswith(incomplete)]
    words += [
        (one.id, one.host) for one in machines if incomplete and one.id.startswith(incomplete)
    ]
    return [CompletionItem(word, help=help_) for word, help_ in words if word]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option(
    "--for",
    "name",
    type=click.Choice(["fleetish", "fleetctl"]),
    default="fleetish",
    show_default=True,
    help="The name that the command is called by.",
)
def completion(shell: str, name: str) -> None:
    """Print the completion script for a shell.

    Called through a symbolic link of the name fleetctl, this command is fleet's fleetctl:
    ln -s fleetish fleetctl, beside it.

    \b
    eval "$(fleetish completion bash)"        in ~/.bashrc
    eval "$(fleetish completion zsh)"         in ~/.zshrc
    fleetish completion fish | source         in config.fish
    eval "$(fleetish completion bash --for fleetctl)"
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(_face(name), {}, name, f"_{name.upper()}_COMPLETE").source())


def _face(name: str) -> click.Command:
    """The command line that is called by a name."""
    if name == "fleetctl":
        from fleetish.cli.fleetctl.main import cli as fleetctl

        return fleetctl
    from fleetish.cli.main import cli as fleetish

    return fleetish
