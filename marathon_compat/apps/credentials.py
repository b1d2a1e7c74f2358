"""The secrets of an app, as credentials of its unit (systemd.exec(5), "CREDENTIALS").

A secret's source is a file of the machine: ``/absolute/path``, ``name`` (which systemd looks up in
/etc/credstore), or ``path/below``, which lies below /etc/credstore too. So no secret is in a unit
file, nor in the store. A process reads it from ``$CREDENTIALS_DIRECTORY``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleetish.errors import BadUnit
from marathon_compat.apps.app import App, SecretRef
from marathon_compat.apps.translate_lines import Line, plain, service

STORE = "/etc/credstore"

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)


def lines(app: App) -> Iterator[Line]:
    """The lines that give a unit the secrets that its app uses.

    Raises BadUnit for one that the app does not define.
    """
    for secret in _used(app):
        given = app.secrets.get(secret)
        if given is None:
            raise BadUnit(
                f"cannot use the secret {secret!r}: the app defines none of that name",
                hint='add it to "secrets"',
            )
        name = credential(app, secret)
        yield service("LoadCredential", f"{name}:{_source(given.source)}")


def credential(app: App, secret: str) -> str:
    """The credential that holds a secret: its name where that can be one, else its number."""
    if _NAME.fullmatch(secret):
        return secret
    return f"secret.{sorted(app.secrets).index(secret) if secret in app.secrets else 0}"


def _used(app: App) -> list[str]:
    """The secrets that are used, each once: by variables, volumes, and for pulling the image."""
    if app.pod is not None:
        return sorted(app.secrets)
    found = [value.secret for value in app.env.values() if isinstance(value, SecretRef)]
    if app.container:
        found += [volume.secret for volume in app.container.volumes if volume.secret]
        docker = app.container.docker
        found += [docker.pull_config.secret] if docker and docker.pull_config else []
    return sorted(set(found))


def _source(source: str) -> str:
    if not source or "\n" in source or ".." in source.split("/"):
        raise BadUnit(
            f"cannot use {source!r} as the source of a secret",
            hint="give the path of a file, or the name of one in /etc/credstore",
        )
    if source.startswith("/") or "/" not in source:
        return plain(source)
    return f"{STORE}/{plain(source)}"
