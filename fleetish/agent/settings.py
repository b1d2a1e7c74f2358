"""What the daemon tells the agent; values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How this machine takes part. ``cpus`` in cores, ``memory`` and ``disk`` in bytes; None: as
    measured. ``machine_ttl`` and ``relist`` in seconds. ``user``: a user's systemd, not PID 1.
    ``machine_id`` empty: that of /etc/machine-id. ``fetch``: the command, without items, that
    units run to fetch files."""

    cluster: str = "fleetish"
    prefix: str = "/fleetish/v1"
    machine_ttl: float = 10.0
    metadata: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    endpoint: str = ""
    cpus: float | None = None
    memory: int | None = None
    disk: int | None = None
    ports: tuple[int, int] = (31000, 32000)
    run_directory: Path = Path("/run/fleetish")
    relist: float = 30.0
    user: bool = False
    machine_id: str = ""
    fetch: tuple[str, ...] = ("fleetish", "fetch")
