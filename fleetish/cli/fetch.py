"""``fleetish fetch``: what the agent has run inside a unit before its own commands."""

from __future__ import annotations

import logging
import os
import signal
from ipaddress import ip_network
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from fleetish.errors import FetchFailed, FleetishError
from fleetish.units import fetch as grammar

if TYPE_CHECKING:
    from fleetish.fetch.cache import Cache

#: What people who ran Marathon look for when a task did not get its files.
FAILED = "Failed to fetch all URIs for container"

_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("items", nargs=-1, required=True)
@click.option("--into", type=_DIRECTORY, default=".", help="The sandbox.  [default: here]")
@click.option("--cache", type=_DIRECTORY, help="Directory of caches; none are used without it.")
@click.option("--cache-size", type=int, default=2 << 30, help="Bytes that a user's cache holds.")
@click.option("--size", type=int, default=4 << 30, help="Bytes of one file, and of its content.")
@click.option("--seconds", type=float, default=3600.0, help="Time for all of it.")
@click.option("--closed", multiple=True, help="A network that nothing is fetched from.")
@click.option("--file-root", multiple=True, help="A directory that file:// may read below.")
@click.option("--report", help="File in the sandbox that says what failed.")
def fetch(
    items: tuple[str, ...],
    into: Path,
    cache: Path | None,
    cache_size: int,
    size: int,
    seconds: float,
    closed: tuple[str, ...],
    file_root: tuple[str, ...],
    report: str | None,
) -> int:
    """Fetch files, each given as the value of Fetch= in a unit file.

    \b
    fleetish fetch "https://example.com/app.tar.gz extract" "https://example.com/run executable"
    """
    told = into / report if report else None
    try:
        if told is not None:
            told.unlink(missing_ok=True)
        _limit(seconds)
        logging.disable()  # libraries log whole URIs
        from fleetish.fetch.download import Policy
        from fleetish.fetch.run import fetch_all

        networks = tuple(ip_network(one) for one in closed)
        policy = Policy(size, networks, tuple(Path(root) for root in file_root))
        wanted = grammar.read_all(list(items))
        fetch_all(wanted, into, policy, _cache(cache, cache_size), click.echo)
    except (FleetishError, ValueError, OSError) as error:
        text = f"{FAILED}: {error}"
        click.echo(text, err=True)
        if told is not None:
            _write(told, text)
        return 1
    return 0


def _limit(seconds: float) -> None:
    """Let everything that takes longer fail, also a read that never ends."""

    def late(number: int, frame: FrameType | None) -> None:
        raise FetchFailed(f"it took longer than {seconds:g} seconds")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _cache(directory: Path | None, size: int) -> Cache | None:
    """The user's cache; None, which is said, where there can be none."""
    from fleetish.fetch.cache import cache_of

    if directory is None:
        return None
    try:
        return cache_of(directory, os.getuid(), size)
    except (FetchFailed, OSError) as error:
        click.echo(f"fetching without a cache: {error}", err=True)
        return None


def _write(path: Path, text: str) -> None:
    """Leave word for the agent; that it is not left is no further failure."""
    try:
        path.write_text(text)
    except OSError as error:
        click.echo(f"cannot write {path}: {error.strerror}", err=True)
