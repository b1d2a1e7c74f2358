"""``fleetish dev``: a whole cluster on one machine, with an etcd of its own.

Units run under the systemd that is here: the system's as root, else that of the user. They are
PID 1's (or the user manager's), so they go on when ``fleetish dev`` ends, and it finds them again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pystemd import daemon as sd

from fleetish import daemon
from fleetish.config import FACES, Config
from fleetish.errors import Refused, Unavailable

#: Seconds that etcd may take to come up, and to end.
COMING_UP, ENDING = 15.0, 5.0
LISTEN = "127.0.0.1:7100"


def run(listen: str | None, directory: Path | None) -> None:
    """Run until interrupted. Raises Refused where systemd or etcd is missing."""
    check(sd.booted(), shutil.which("etcd"))
    data = directory or data_directory()
    with etcd(data / "etcd") as url:
        config = settings(url, listen or LISTEN, root=os.geteuid() == 0)
        port = config.listen[-1].rpartition(":")[2]
        print(f"export FLEETISH_ENDPOINT=http://127.0.0.1:{port}", flush=True)
        daemon.run(lambda: config)


def check(booted: bool, etcd_command: str | None) -> None:
    """Refuse, with the way out, where this machine cannot be a cluster of one."""
    if not booted:
        raise Refused(
            "cannot run fleetish dev: PID 1 of this machine is not systemd",
            hint="fleetish lab up boots hosts whose PID 1 is",
        )
    if etcd_command is None:
        raise Refused("cannot find etcd", hint="apt-get install etcd-server")


def settings(url: str, listen: str, *, root: bool) -> Config:
    """The daemon's settings: all roles, the bus that is here, sockets where commands look first."""
    user = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    directory = Path("/run" if root else user) / "fleetish"
    host = listen.rpartition(":")[0]
    config = Config(
        etcd=(url,),
        cluster="dev",
        listen=(f"unix:{directory}/api.sock", listen),
        faces={name: f"{host}{where}" for name, where in FACES.items()},
        machine_ttl=5,
        engine_ttl=3,
        metadata={"host": socket.gethostname()},
        run_directory=str(directory),
        bus="system" if root else "user",
    )
    return replace(config, address="127.0.0.1") if listen.startswith("127.") else config


def data_directory() -> Path:
    """Where etcd's data survives: /var/lib as root, else below $XDG_DATA_HOME."""
    if os.geteuid() == 0:
        return Path("/var/lib/fleetish-dev")
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(home) / "fleetish-dev"


@contextlib.contextmanager
def etcd(data: Path) -> Iterator[str]:
    """A private etcd on loopback, as long as the block lasts; its URL.

    It ends with this process, however that ends. Raises Unavailable when it does not come up.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    client, peer = _free_ports(2)
    url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    command = [
        *(["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []),
        "etcd",
        "--name=dev",
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=dev={peer_url}",
        "--auto-compaction-mode=revision",
        "--auto-compaction-retention=10000",
        "--log-level=error",
    ]
    # Its own session: Ctrl-C at the terminal is for the daemon, which ends before etcd does.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_for(process, client)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + COMING_UP
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise Unavailable("cannot start etcd: it does not answer", hint="see what it said above")


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
