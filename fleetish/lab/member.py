"""An etcd member: Debian's etcd in a network namespace on the lab's bridge, data on tmpfs."""

from __future__ import annotations

from fleetish.lab.layout import ETCD_PORT, PEER_PORT, Member, Places, Record
from fleetish.lab.network import inside

ETCD = "/usr/bin/etcd"


def etcd_command(places: Places, record: Record, member: Member) -> list[str]:
    """The command that runs a member; the same for its first and any later start."""
    client, peer = f"http://{member.address}:{ETCD_PORT}", f"http://{member.address}:{PEER_PORT}"
    options = {
        "name": member.name,
        "data-dir": str(places.part(member.name) / "data"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": ",".join(m.peer for m in record.etcd),
        "initial-cluster-token": f"fleetish-lab-{record.name}",
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "1h",
        "logger": "zap",
        "log-level": "warn",
        "log-outputs": "stderr",
    }
    flags = (f"--{key}={value}" for key, value in options.items())
    return inside(places, member.name, ETCD, *flags)
