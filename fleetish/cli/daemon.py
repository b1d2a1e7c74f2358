"""The daemon's commands: serve, dev; and version."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fleetish import __version__
from fleetish.config import DEFAULT_PATH, SETTINGS, load


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each setting of the daemon, from its table."""
    for setting in reversed(SETTINGS):
        flag = "--" + setting.name.replace("_", "-")
        command = click.option(flag, setting.name, metavar="TEXT", help=setting.help)(command)
    return command


@click.command()
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The settings file.  [default: {DEFAULT_PATH}, if it is there]",
)
@settings_options
def serve(config: Path | None, **flags: str | None) -> None:
    """Run the daemon: agent, engine, APIs, or those of them that --roles names.

    Settings come from the file, then from FLEETISH_<NAME> in the environment, then from flags;
    lists are separated by commas. SIGTERM ends the daemon and stops no unit. SIGHUP reads the
    settings again.

    \b
    fleetish serve --config /etc/fleetish/fleetish.toml
    fleetish serve --etcd http://10.0.0.1:2379 --roles api --listen :7100
    """
    from fleetish.daemon import run

    given = {name: text for name, text in flags.items() if text is not None}
    run(lambda: load(config, os.environ, given))


@click.command()
@click.option("--listen", help="Where the API listens.  [default: :7100 and a socket]")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where etcd keeps its data.  [default: one that survives]",
)
def dev(listen: str | None, directory: Path | None) -> None:
    """Run a whole cluster on this one machine: a private etcd, engine, agent and API.

    Units run under this machine's systemd: the system's as root, else that of your user. Where
    systemd is not PID 1 there is fleetish lab.

    \b
    fleetish dev
    fleetish dev --listen 127.0.0.1:7101
    """
    from fleetish.dev import run

    run(listen, directory)


@click.command()
def version() -> int:
    """Print the versions of this command and of the server.

    \b
    fleetish version
    """
    from fleetish.cli.connection import connect
    from fleetish.errors import FleetishError

    click.echo(f"fleetish {__version__}")
    try:
        with connect() as fleet:
            click.echo(f"server {fleet.version()}")
    except FleetishError as error:
        click.echo(str(error), err=True)
        return 1
    return 0
