"""Parts of a definition that are kept as they came, and the shape that they must have all the same.

Nothing on systemd follows from most of them; they are answered as they were given.
"""

from __future__ import annotations

from typing import Literal

from marathon_compat.apps.app import Piece


class ShellOrArgv(Piece, frozen=True, kw_only=True, rename="camel"):
    shell: str | None = None
    argv: tuple[str, ...] | None = None


class Execution(Piece, frozen=True, kw_only=True, rename="camel"):
    command: ShellOrArgv


class Connection(Piece, frozen=True, kw_only=True, rename="camel"):
    """An HTTP or TCP endpoint of the task."""

    port_index: int | None = None
    port: int | None = None
    path: str | None = None
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"


class Check(Piece, frozen=True, kw_only=True, rename="camel"):
    """``check``: asked and told of, but nobody acts upon it. One of its first three is set."""

    http: Connection | None = None
    tcp: Connection | None = None
    exec: Execution | None = None
    interval_seconds: int = 60
    timeout_seconds: int = 20
    delay_seconds: int = 15


class Residency(Piece, frozen=True, kw_only=True, rename="camel"):
    relaunch_escalation_timeout_seconds: int = 3600
    task_lost_behavior: Literal["WAIT_FOREVER", "RELAUNCH_AFTER_TIMEOUT"] = "WAIT_FOREVER"


class External(Piece, frozen=True, kw_only=True, rename="camel"):
    size: int | None = None
    name: str | None = None
    provider: str | None = None
    options: dict[str, object] | None = None
    shared: bool = False


class Seccomp(Piece, frozen=True, kw_only=True, rename="camel"):
    profile_name: str | None = None
    unconfined: bool = False


class IpcInfo(Piece, frozen=True, kw_only=True, rename="camel"):
    mode: Literal["PRIVATE", "SHARE_PARENT"]
    shm_size: int | None = None


class LinuxInfo(Piece, frozen=True, kw_only=True, rename="camel"):
    seccomp: Seccomp | None = None
    ipc_info: IpcInfo | None = None


class LooseVolume(Piece, frozen=True, kw_only=True, rename="camel"):
    external: External | None = None


class LooseContainer(Piece, frozen=True, kw_only=True, rename="camel"):
    linux_info: LinuxInfo | None = None
    volumes: tuple[LooseVolume, ...] = ()


class LooseApp(Piece, frozen=True, kw_only=True, rename="camel"):
    """The loose parts of an app, to be read beside it for their faults."""

    check: Check | None = None
    residency: Residency | None = None
    container: LooseContainer | None = None
