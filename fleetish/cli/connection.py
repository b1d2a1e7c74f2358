"""The client of the command that is being run."""

from __future__ import annotations

import click

from fleetish.client import Client


def connect() -> Client:
    """A client for ``--endpoint``, else FLEETISH_ENDPOINT, else this machine's socket."""
    context = click.get_current_context(silent=True)
    endpoint = context.find_root().obj if context else ""
    return Client(endpoint or "")
