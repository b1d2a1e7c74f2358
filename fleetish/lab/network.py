"""The lab's network: a bridge in its own namespace, a veth for each part, and cuts.

A network namespace is kept by binding it to a file (ip-netns(8) does the same below /run/netns);
what is done to links is done on the bridge's side, where nothing inside a host can see or undo it.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path

from fleetish.lab.layout import Fault, Places, Record
from fleetish.lab.processes import run

BRIDGE = "br0"


def bridge_commands(subnet: IPv4Network) -> str:
    """ip-batch commands that make the bridge."""
    return (
        f"link set lo up\nlink add {BRIDGE} type bridge\n"
        f"address add {subnet[1]}/{subnet.prefixlen} dev {BRIDGE}\nlink set {BRIDGE} up\n"
    )


def port_commands(name: str, namespace: str) -> str:
    """ip-batch commands that put a part's cable into the bridge, its other end far away."""
    return (
        f"link add {name} type veth peer name eth0 netns {namespace}\n"
        f"link set {name} master {BRIDGE} up\n"
    )


def end_commands(address: str, prefix: int) -> str:
    """ip-batch commands for the part's end of its cable."""
    return f"link set lo up\naddress add {address}/{prefix} dev eth0\nlink set eth0 up\n"


def ruleset(record: Record) -> str:
    """The nftables rules (bridge family) that cut what is cut now; replaces all earlier ones."""
    lines: list[str] = []
    for part in record.parts:
        if record.having(part.name, Fault.POWER) or record.having(part.name, Fault.CUT_ALL):
            lines += _all(part.name)
        elif record.having(part.name, Fault.CUT_ETCD):
            lines += _between(part.name, (m.name for m in record.etcd if m.name != part.name))
    chains = "\n".join(
        f"add chain bridge cuts {hook} {{ type filter hook {hook} priority 0; }}"
        for hook in ("input", "forward", "output")
    )
    start = f"add table bridge cuts\nflush table bridge cuts\n{chains}\n"
    return start + "".join(f"add rule bridge cuts {line} drop\n" for line in lines)


def _all(port: str) -> list[str]:
    return [
        f'input iifname "{port}"',
        f'output oifname "{port}"',
        f'forward iifname "{port}"',
        f'forward oifname "{port}"',
    ]


def _between(port: str, others: Iterable[str]) -> list[str]:
    pairs = [p for other in others for p in ((port, other), (other, port))]
    return [f'forward iifname "{one}" oifname "{two}"' for one, two in pairs]


def make_bridge(places: Places, subnet: IPv4Network) -> None:
    """Make the lab's namespace with its bridge, unless it is there."""
    if not _done(places, "lab").exists():
        _make_namespace(places, "lab")
        _batch(places, "lab", bridge_commands(subnet))
        _done(places, "lab").touch()


def attach(places: Places, name: str, address: str, prefix: int) -> None:
    """Make a part's namespace and put it on the bridge, unless it is there."""
    if not _done(places, name).exists():
        _make_namespace(places, name)
        _batch(places, "lab", port_commands(name, str(places.net(name))))
        _batch(places, name, end_commands(address, prefix))
        _done(places, name).touch()


def cut(places: Places, record: Record) -> None:
    """Make the cuts in force those of the record."""
    run(inside(places, "lab", "nft", "-f", "-"), stdin=ruleset(record))


def inside(places: Places, part: str, *argv: str) -> list[str]:
    """The command, to be run in a part's network namespace (and nothing else of it)."""
    return ["nsenter", f"--net={places.net(part)}", *argv]


def _batch(places: Places, part: str, commands: str) -> None:
    run(inside(places, part, "ip", "-batch", "-"), stdin=commands)


def _done(places: Places, part: str) -> Path:
    """Marks a namespace as complete: without it, what is there is left of a killed `up`."""
    return places.net(f"{part}.done")


def _make_namespace(places: Places, part: str) -> None:
    file = places.net(part)
    if file.exists() and file.stat().st_dev != file.parent.stat().st_dev:
        run(["umount", str(file)])  # the last reference: its cables go with it
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    run(["unshare", f"--net={file}", "true"])
