"""Rules of containers and volumes, of secrets, and of what is fetched into the sandbox."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from marathon_compat.apps.app import App, Artifact, Container, PersistentVolume, SecretRef, Volume
from marathon_compat.apps.errors import Wrong
from marathon_compat.apps.rules_placement import regex_error

#: Where artifacts may come from. A bare absolute path is a file of the machine, as is ``file:``.
SCHEMES = ("http", "https", "file", "")

#: Files that no fetch can mean, whoever the unit runs as.
NEVER_FETCHED = ("/etc/shadow", "/etc/gshadow", "/proc", "/sys", "/dev")

MAX_URI = 1024

_SECRET = re.compile("[A-Za-z0-9_-][A-Za-z0-9_.-]{0,253}")
_VOLUME_FIELDS = ("host_path", "persistent", "external", "secret")


def command(app: App) -> Wrong:
    """What is run: a command line, arguments, or what an image says."""
    image = app.container is not None and app.container.docker is not None
    both, neither = app.cmd is not None and app.args, app.cmd is None and not app.args
    if both or (neither and not image):
        yield (
            "",
            "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.",
        )
    if app.cmd == "":
        yield "/cmd", "must not be an empty string"
    if app.args and not app.args[0] and not image:
        yield "/args(0)", "must not be an empty string"


def container(app: App) -> Wrong:
    """The engine, its image, and its volumes."""
    box = app.container
    if box is None:
        return
    docker = box.docker
    if box.type == "DOCKER" and docker is None:
        yield "/container/docker", "not defined"
    if docker and (not docker.image or any(char.isspace() for char in docker.image)):
        yield "/container/docker/image", "must be the name of an image, without spaces"
    if docker and docker.pull_config:
        if box.type == "DOCKER":
            reason = "pullConfig is not supported with Docker containerizer"
            yield "/container/docker/pullConfig", reason
        elif docker.pull_config.secret not in app.secrets:
            reason = "pullConfig.secret must refer to an existing secret"
            yield "/container/docker/pullConfig", reason
    if docker and box.type == "MESOS" and docker.parameters:
        yield "/container/docker/parameters", "must be empty"
    for at, row in enumerate((docker and docker.parameters) or ()):
        if not row.key:
            yield f"/container/docker/parameters({at})/key", "must not be empty"
    yield from _volumes(app, box)


def check(app: App) -> Wrong:
    """A check is of one kind, and Mesos' own."""
    if app.check is None:
        return
    if len(app.check.keys() & {"http", "tcp", "exec"}) != 1:
        yield "/check", "must have exactly one of http, tcp and exec"
    if app.container and app.container.type == "DOCKER":
        yield "/check", "is not supported with Docker containerizer"


def _volumes(app: App, box: Container) -> Wrong:
    names = [row.external.get("name") for row in box.volumes if row.external]
    if len(set(names)) < len(names):
        yield "/container/volumes", "Volume names must be unique"
    for at, volume in enumerate(box.volumes):
        for path, error in _volume(app, volume):
            yield f"/container/volumes({at}){path}", error


def _volume(app: App, volume: Volume) -> Wrong:
    kinds = [name for name in _VOLUME_FIELDS if getattr(volume, name) is not None]
    if len(kinds) != 1:
        yield "", "must have exactly one of hostPath, persistent, external and secret"
        return
    if not volume.container_path or ".." in PurePosixPath(volume.container_path).parts:
        yield "/containerPath", "must be a path, without .. in it"
    if volume.host_path is not None and not _is_path(volume.host_path):
        yield "/hostPath", "must be a path, without .. in it"
    if volume.secret is not None and volume.secret not in app.secrets:
        yield "", "volume.secret must refer to an existing secret"
    if volume.external is not None:
        yield "/external", "Feature external_volumes is not enabled: no machine has their drivers"
    if volume.persistent:
        yield from _persistent(volume, volume.persistent)


def _is_path(text: str) -> bool:
    return bool(text) and ".." not in PurePosixPath(text).parts


def _persistent(volume: Volume, disk: PersistentVolume) -> Wrong:
    if "/" in volume.container_path or volume.container_path in (".", ".."):
        yield "/containerPath", 'value must not contain "/"'
    if volume.mode != "RW":
        yield "/mode", "must be RW"
    if disk.max_size is not None and disk.type != "mount":
        yield "/persistent", "Only mount volumes can have maxSize"
    if disk.max_size is not None and disk.max_size <= disk.size:
        yield "/persistent", "Max size must be larger than size"
    if disk.constraints and disk.type == "root":
        yield "/persistent", "Constraints on root volumes are not supported"
    for at, row in enumerate(disk.constraints or ()):
        path = f"/persistent/constraints({at})"
        if len(row) != 3 or row[0] != "path" or row[1] not in ("LIKE", "UNLIKE"):
            yield path, "must be of the form [path, LIKE, regex] or [path, UNLIKE, regex]"
        elif reason := regex_error(row[2]):
            yield path, f"Invalid regular expression: {reason}"


def secrets(app: App) -> Wrong:
    """Secrets have names that are names of files, and are there when they are used."""
    for name, secret in app.secrets.items():
        if not _SECRET.fullmatch(name):
            reason = "must be a name of letters, digits, '_', '-' and '.', which names a file"
            yield f"/secrets/{name[:80]}", reason
        if not secret.source:
            yield f"/secrets/{name[:80]}/source", "must not be empty"
    for name, value in app.env.items():
        if isinstance(value, SecretRef) and value.secret not in app.secrets:
            yield f"/env/{name[:80]}/secret", "references an undefined secret"


def artifacts(app: App) -> Wrong:
    """What is fetched, and where to."""
    for at, item in enumerate(app.fetch):
        for path, error in _artifact(item):
            yield f"/fetch({at}){path}", error


def _artifact(item: Artifact) -> Wrong:
    reason = uri_error(item.uri)
    if reason:
        yield "/uri", reason
    if item.dest_path is not None:
        path = PurePosixPath(item.dest_path)
        if not item.dest_path or path.is_absolute() or ".." in path.parts or not path.name:
            yield "/destPath", "must be a path below the sandbox, without .. in it"


def uri_error(uri: str) -> str:
    """Why nothing can be fetched from there; "" when it can be tried."""
    if not uri or len(uri) > MAX_URI:
        return f"must have 1 to {MAX_URI} characters"
    try:
        parts = urlsplit(uri)
        _ = parts.port  # is read, and refused, only here
    except ValueError as error:
        return f"URI has invalid syntax. {error}"
    if any(char <= " " or char == "\x7f" for char in uri):
        return "URI has invalid syntax. It holds a space or a control character"
    if parts.scheme not in SCHEMES:
        return f"URI has the scheme {parts.scheme}: only http, https and file are fetched here"
    if parts.scheme in ("http", "https"):
        if parts.username is not None:
            return "URI must not hold a user: whose host it is could be mistaken"
        return "" if parts.hostname else "URI has invalid syntax. It names no host"
    return _file_error(parts.netloc, parts.path)


def _file_error(host: str, text: str) -> str:
    path = PurePosixPath(text)
    if host not in ("", "localhost") or not path.is_absolute() or ".." in path.parts:
        return "URI has invalid syntax. A file is named by an absolute path, without .. in it"
    if any(path.is_relative_to(never) for never in NEVER_FETCHED):
        return f"{path} is a file of the machine that is never fetched"
    return ""
