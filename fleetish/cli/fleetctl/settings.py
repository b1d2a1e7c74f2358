"""fleetctl's global flags: one table for the flags, their variables and their help."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import click

from fleetish.cli.fleetctl.pflag import GoCommand, keep_in_root


class Flag(NamedTuple):
    """A global flag; its default tells its type. ``dead``: taken, but without effect."""

    name: str
    default: str | float | bool
    help: str
    alias: str = ""
    dead: bool = False


FLAGS = (
    Flag("endpoint", "", "The API: unix:///PATH or http(s)://HOST:PORT; several with commas."),
    Flag("tunnel", "", "Reach the API, and machines, through SSH to this HOST[:PORT]."),
    Flag("ssh-username", "core", "Who to log in as over SSH."),
    Flag("ssh-timeout", 10.0, "Seconds to connect over SSH."),
    Flag("strict-host-key-checking", True, "Verify the keys of hosts reached over SSH."),
    Flag("known-hosts-file", "~/.fleetctl/known_hosts", "Where the keys of hosts are kept."),
    Flag("ca-file", "", "Who signs the API's certificate (PEM).", "etcd-cafile"),
    Flag("cert-file", "", "The client's certificate (PEM).", "etcd-certfile"),
    Flag("key-file", "", "The client's key (PEM).", "etcd-keyfile"),
    Flag("debug", False, "Tell each request on standard error."),
    Flag("driver", "API", "Only API: fleet's keys in etcd v2 are not read."),
    Flag("experimental-api", True, "Only true, as --driver=API.", dead=True),
    Flag("request-timeout", 3.0, "Taken for old scripts; has no effect.", dead=True),
    Flag("etcd-key-prefix", "", "Taken for old scripts; has no effect.", dead=True),
)


class Settings(NamedTuple):
    """The global flags as they were given: on the command line, else as FLEETCTL_<FLAG>."""

    endpoint: str = ""
    tunnel: str = ""
    ssh_username: str = "core"
    ssh_timeout: float = 10.0
    strict_host_key_checking: bool = True
    known_hosts_file: str = "~/.fleetctl/known_hosts"
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    debug: bool = False
    driver: str = "API"
    experimental_api: bool = True


def given() -> Settings:
    """The settings of the command that is being run, with ``~`` filled in."""
    params = click.get_current_context().find_root().params
    found = Settings(**{name: params[name] for name in Settings._fields})
    return found._replace(known_hosts_file=os.path.expanduser(found.known_hosts_file))


def _option(flag: Flag, *, again: bool) -> click.Option:
    """A flag as click has it; ``again``: as it may be repeated after the command."""
    names = [f"--{flag.name}", *([f"--{flag.alias}"] if flag.alias else [])]
    how: dict[str, Any] = {"default": flag.default, "envvar": variable(flag.name)}
    if again:
        how = {"default": None, "expose_value": False, "callback": keep_in_root}
    if isinstance(flag.default, bool):
        names = [f"--{flag.name}/--no-{flag.name}"]
    else:
        how |= {"type": type(flag.default), "metavar": "TEXT"}
    return click.Option(
        [flag.name.replace("-", "_"), *names],
        help=flag.help,
        show_default=not again and flag.default not in ("", False),
        hidden=again or flag.dead,
        **how,
    )


def variable(name: str) -> str:
    """``ssh-timeout`` is also FLEETCTL_SSH_TIMEOUT."""
    return f"FLEETCTL_{name.upper().replace('-', '_')}"


def options() -> list[click.Parameter]:
    """The global flags, for the group."""
    return [_option(flag, again=False) for flag in FLAGS]


class FleetctlCommand(GoCommand):
    """A command of fleetctl: global flags may stand after it too."""

    everywhere = tuple(_option(flag, again=True) for flag in FLAGS)
