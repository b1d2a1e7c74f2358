"""``fleetish lab``: a cluster of real systemd hosts on this one machine."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import click
import msgspec

from fleetish.errors import FleetishError, WaitTimeout
from fleetish.lab.cluster import Lab, Seen
from fleetish.lab.layout import Host, Member

_name = click.option(
    "--name",
    default="default",
    envvar="FLEETISH_LAB",
    show_default=True,
    show_envvar=True,
    help="Which lab; several can stand side by side.",
)


def _told(command: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors into one line on stderr and exit status 1, or 3 after waiting in vain."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except FleetishError as error:
            click.echo(f"fleetish: {error}", err=True)
            sys.exit(3 if isinstance(error, WaitTimeout) else 1)

    return wrapped


@click.group()
def lab() -> None:
    """A cluster of real systemd hosts on this machine, to try things and break them."""


@lab.command()
@click.option("--machines", type=int, help="Number of systemd hosts. [a new lab: 3]")
@click.option("--etcd", type=click.Choice(["1", "3"]), help="etcd members. [a new lab: 1]")
@click.option("--bare", is_flag=True, help="Hosts with systemd and dbus, but no fleetish.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the machines are registered.")
@_name
@_told
def up(machines: int | None, etcd: str | None, bare: bool, no_wait: bool, name: str) -> None:
    """Bring a lab up, or mend and extend one that is up."""
    with _progress(f"lab {name}") as report:
        members = int(etcd) if etcd else None
        Lab(name, machines=machines, etcd=members, bare=bare, report=report).up(wait=not no_wait)
    click.echo(f'lab {name} is up; for its addresses: eval "$(fleetish lab env --name {name})"')


@lab.command()
@_name
@_told
def down(name: str) -> None:
    """Take a lab away with all that it made; also after an `up` that failed."""
    Lab(name).down()


@lab.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_name
@_told
def status(as_json: bool, name: str) -> None:
    """Show hosts and etcd members, and how each is."""
    seen = Lab(name).status()
    if as_json:
        click.echo(msgspec.json.encode(status_object(seen)))
        return
    click.echo(f"{'HOST':<10}{'STATE':<13}{'ADDRESS':<16}MACHINE")
    for part, state in seen:
        machine = part.machine if isinstance(part, Host) else "-"
        click.echo(f"{part.name:<10}{state:<13}{part.address:<16}{machine}")


def status_object(seen: tuple[Seen, ...]) -> dict[str, list[dict[str, str]]]:
    """What ``status --json`` prints: a list of hosts and one of etcd members."""
    hosts = [
        {"name": p.name, "machine": p.machine, "state": str(s), "address": p.address}
        for p, s in seen
        if isinstance(p, Host)
    ]
    members = [
        {"name": p.name, "state": str(s), "address": p.address, "endpoint": p.endpoint}
        for p, s in seen
        if isinstance(p, Member)
    ]
    return {"hosts": hosts, "etcd": members}


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@_name
@click.argument("host")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@_told
def exec_(host: str, argv: tuple[str, ...], name: str) -> None:
    """Run a command on a host; its output and exit status are passed through."""
    command = Lab(name).command(host, argv)
    os.execvp(command[0], command)


def _on_host(verb: str, text: str) -> None:
    """Add a command that calls the Lab method of the same name on one host."""

    @lab.command(verb, help=text)
    @_name
    @click.argument("host")
    @_told
    def act(host: str, name: str) -> None:
        getattr(Lab(name), verb)(host)


_on_host("kill", "Cut a host's power: every process dies at once, nothing is said to anybody.")
_on_host("start", "Boot a dead host again, with the identity and the disk that it had.")
_on_host("freeze", "Stop everything on a host where it is, as if the machine hung.")
_on_host("thaw", "Let a frozen host go on.")
_on_host("heal", "Undo partition.")


@lab.command()
@click.option(
    "--from", "from_", type=click.Choice(["etcd", "all"]), default="all", show_default=True
)
@_name
@click.argument("host")
@_told
def partition(host: str, from_: Literal["etcd", "all"], name: str) -> None:
    """Drop every packet between a host and the etcd members, or all others."""
    Lab(name).partition(host, from_)


@lab.command()
@_name
@_told
def env(name: str) -> None:
    """Print export lines that lead a shell's clients to the lab."""
    for line in Lab(name).env():
        click.echo(line)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str], None]]:
    """A spinner above the lines on a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield click.echo
        return
    from rich.console import Console

    console = Console()
    with console.status(title):
        yield lambda line: console.print(line, highlight=False)


if __name__ == "__main__":
    lab()
