"""Volumes of an app: what is mounted where, on the host's side and on the process's.

    host         a path of the machine; a relative one lies in the instance's directory
    persistent   a directory of the instance's own, kept as long as its unit is on the machine
    secret       a file that holds a secret
    external     not on systemd hosts

A relative path on the process's side lies in the instance's directory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fleetish.errors import BadUnit
from marathon_compat.apps.app import App, Volume
from marathon_compat.apps.credentials import credential
from marathon_compat.apps.translate_lines import (
    SANDBOX,
    VOLUMES,
    Line,
    path_pair,
    path_word,
    plain,
    service,
)


class Mount(NamedTuple):
    """One mount; the paths are written for a unit file, ``%`` doubled or a specifier."""

    source: str
    target: str
    read_only: bool


def mounts(app: App, sandbox: str) -> tuple[Mount, ...]:
    """What an app has mounted; ``sandbox`` is its processes' name of their directory.

    Raises BadUnit for what systemd hosts do not have.
    """
    volumes = app.container.volumes if app.container else ()
    return tuple(_mount(app, volume, sandbox) for volume in volumes)


def lines(app: App) -> Iterator[Line]:
    """The lines that mount an app's volumes for processes that share their host's file system."""
    for mount in mounts(app, SANDBOX):
        if mount.source == mount.target and not mount.read_only:
            continue
        key = "BindReadOnlyPaths" if mount.read_only else "BindPaths"
        yield service(key, path_pair(mount.source, mount.target))


def kept(app: App) -> Iterator[Line]:
    """The lines that make the directories that are the instance's own, in its user's name."""
    own: dict[str, None] = {}
    for volume in app.container.volumes if app.container else ():
        if volume.persistent:
            own[_kept(volume)] = None
        elif volume.host_path is not None and not volume.host_path.startswith("/"):
            if ":" in volume.host_path:  # a symlink, to StateDirectory=
                raise BadUnit(f"cannot make the directory {volume.host_path}: there is a : in it")
            own[_below(volume.host_path, SANDBOX).removeprefix("%S/")] = None
    yield from (service("StateDirectory", path_word(path)) for path in own)


def _mount(app: App, volume: Volume, sandbox: str) -> Mount:
    target = _below(volume.container_path, sandbox)
    if volume.secret is not None:
        return Mount(f"%d/{credential(app, volume.secret)}", target, read_only=True)
    if volume.persistent is not None:
        return Mount(f"%S/{_kept(volume)}", target, volume.mode == "RO")
    if volume.host_path is not None:
        return Mount(_below(volume.host_path, SANDBOX), target, volume.mode == "RO")
    raise BadUnit(
        f"cannot mount {volume.container_path}: external volumes need a driver of Mesos",
        hint="mount it on the machines, and use hostPath",
    )


def _kept(volume: Volume) -> str:
    """Below the state directory. The name is one component, whatever the path is."""
    name = volume.container_path.strip("/").replace("_", "__").replace("/", "_")
    if not name.replace("_", "").isascii() or any(c.isspace() or c in "\"'\\:" for c in name):
        raise BadUnit(
            f"cannot keep a volume for {volume.container_path!r}",
            hint="use letters, digits, dots and dashes",
        )
    return f"{VOLUMES}/{plain(name)}"


def _below(path: str, sandbox: str) -> str:
    """A path as it is written; a relative one is one of ``sandbox``."""
    if ".." in path.split("/"):
        raise BadUnit(f"cannot mount {path}: it leads upwards", hint="leave out ..")
    return plain(path) if path.startswith("/") else f"{sandbox}/{plain(path)}"
