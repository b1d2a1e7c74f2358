"""What each role of the daemon is made of. Only what a role needs is imported for it.

Another package adds a role by an entry point of the group ``fleetish.roles``: a coroutine function
that takes the settings and what the roles of this process share, and runs for ever.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from fleetish.agent.settings import AgentSettings
from fleetish.api.server import split_address
from fleetish.clock import Clock
from fleetish.config import ROLE_GROUP, Config
from fleetish.errors import BadConfig
from fleetish.store.base import KeyValues
from fleetish.store.live import LiveStore

if TYPE_CHECKING:
    from fleetish.agent.base import Systemd
    from fleetish.api.app import Routes
    from fleetish.engine.loop import PlanStats


@dataclass(slots=True)
class Services:
    """What the roles of one process share. ``systemd`` is the running agent's and ``planned``
    the engine's counts; None where the role does not run. ``registered``: no agent here waits for
    its registration."""

    kv: KeyValues
    store: LiveStore
    clock: Clock
    sockets: Sequence[socket.socket]
    systemd: Systemd | None = None
    planned: PlanStats | None = None
    registered: bool = True

    @classmethod
    def open(cls, config: Config, clock: Clock, sockets: Sequence[socket.socket]) -> Services:
        """The services that the settings name; nothing is connected before it is used."""
        from fleetish.store.etcd import open_store
        from fleetish.store.figures import Figures

        figures = Figures()
        kv = open_store(
            config.etcd,
            ca=config.etcd_ca,
            cert=config.etcd_cert,
            key=config.etcd_key,
            user=config.etcd_user,
            password=_password(config),
            clock=clock,
            figures=figures,
        )
        store = LiveStore(kv, config.prefix, clock=clock, figures=figures)
        return cls(kv, store, clock, sockets, registered="agent" not in config.roles)

    async def close(self) -> None:
        """Close the connections to the store."""
        await self.kv.close()


def _password(config: Config) -> str:
    """The first line of the password file. Raises BadConfig when it cannot be read."""
    if not config.etcd_password_file:
        return ""
    try:
        return Path(config.etcd_password_file).read_text().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"cannot read {config.etcd_password_file}: {error}") from None


async def run_role(role: str, config: Config, services: Services) -> None:
    """Run one role, for ever. Raises BadConfig for one that is not installed."""
    await _role(role)(config, services)


def _role(role: str) -> Callable[[Config, Services], Awaitable[None]]:
    if role in _ROLES:
        return _ROLES[role]
    for found in entry_points(group=ROLE_GROUP, name=role):
        loaded: Callable[[Config, Services], Awaitable[None]] = found.load()
        return loaded
    raise BadConfig(f"cannot run the role {role}: it is not installed")


async def _agent(config: Config, services: Services) -> None:
    from fleetish.agent.run import run_agent
    from fleetish.agent.systemd import SystemdBus

    address, runtime = bus_of(config)
    systemd = SystemdBus(config.cluster, services.clock, address=address, runtime=runtime)
    services.systemd = systemd

    def registered(held: bool) -> None:
        services.registered = held

    try:
        settings = agent_settings(config)
        clock = services.clock
        await run_agent(services.store, services.kv, systemd, clock, settings, registered)
    finally:
        services.systemd = None


async def _api(config: Config, services: Services) -> None:
    from fleetish.api.app import create_app
    from fleetish.api.ledger import Ledger
    from fleetish.api.server import serve

    ledger = Ledger(services.store, services.clock)
    local = _local_routes(config, services) if "agent" in config.roles else ()
    app = create_app(ledger, local, lambda: counters(services), lambda: services.registered)
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.run(), name="ledger")
        # Copies: uvicorn closes what it is given, and this role may begin anew.
        copies = [sock.dup() for sock in services.sockets]
        group.create_task(serve(app, copies, ledger.feed.close), name="server")


async def _engine(config: Config, services: Services) -> None:
    from fleetish.engine.loop import EngineSettings, PlanStats, run_engine

    settings = EngineSettings(
        prefix=config.prefix, ttl=config.engine_ttl, machine_ttl=config.machine_ttl
    )
    services.planned = PlanStats()
    await run_engine(services.store, services.kv, services.clock, settings, services.planned)


_ROLES = {"agent": _agent, "engine": _engine, "api": _api}


def counters(services: Services) -> Mapping[str, float]:
    """This process' counters, for /metrics."""
    found = {f"store_{name}": float(n) for name, n in asdict(services.store.figures).items()}
    if services.planned is not None:
        words = ("terms", "rounds", "changes", "refused", "seconds")
        found |= {f"engine_{word}": float(getattr(services.planned, word)) for word in words}
    return found


def bus_of(config: Config) -> tuple[str | None, Path]:
    """The message bus of the systemd that runs units (None: the system's), and its directory.

    Raises BadConfig where there is no user bus.
    """
    if config.bus == "system":
        return None, Path("/run/systemd")
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    if not (runtime / "bus").exists():
        raise BadConfig(
            f"cannot use the user bus: there is no {runtime}/bus",
            hint="log in as that user, or loginctl enable-linger",
        )
    return f"unix:path={runtime}/bus", runtime / "systemd"


def agent_settings(config: Config) -> AgentSettings:
    """The agent's part of the settings; amounts that are 0 are measured."""
    from fleetish.agent.facts import default_address

    amounts = config.capacity
    return AgentSettings(
        cluster=config.cluster,
        prefix=config.prefix,
        machine_ttl=config.machine_ttl,
        metadata=config.metadata,
        address=config.address,
        endpoint=endpoint_of(config, default_address) if "api" in config.roles else "",
        cpus=amounts.millicpus / 1000 if amounts.millicpus else None,
        memory=amounts.memory or None,
        disk=amounts.disk or None,
        ports=config.ports or (31000, 32000),
        run_directory=Path(config.run_directory),
        fetch=fetch_command(config),
        user=config.bus == "user",
    )


def fetch_command(config: Config) -> tuple[str, ...]:
    """How units run ``fleetish fetch``: by this installation, whatever is in their directory or in
    their environment, within the limits that the settings name."""
    return (
        *(sys.executable, "-I", "-m", "fleetish.cli.main", "fetch"),
        f"--size={config.fetch_size}",
        f"--cache-size={config.fetch_cache}",
        *(f"--closed={network}" for network in config.fetch_closed),
        *(f"--file-root={root}" for root in config.fetch_file_roots),
    )


def _local_routes(config: Config, services: Services) -> Routes:
    from fleetish.agent.base import Figures
    from fleetish.agent.journal import SystemJournal
    from fleetish.agent.run import cgroup_figures, live_figures
    from fleetish.agent.serve import local_routes

    source = cgroup_figures(agent_settings(config))

    def figures() -> Mapping[str, Figures]:
        return live_figures(services.systemd, source) if services.systemd else {}

    return local_routes(SystemJournal(user=config.bus == "user"), figures)


def endpoint_of(config: Config, address: Callable[[], str]) -> str:
    """The URL under which other nodes reach this one's API; "" when it listens on no port.

    ``address`` gives the machine's address, where the setting is empty. Raises BadConfig.
    """
    for where in config.listen:
        if where.startswith("unix:"):
            continue
        try:
            host, port = split_address(where)
        except ValueError as error:
            raise BadConfig(f"cannot listen on {where}: {error}") from None
        if host in ("0.0.0.0", "::"):
            host = config.address or address()
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return ""
