"""What a lab consists of, as values: names, addresses, paths, identities.

A lab is a bridge in a network namespace of its own, real systemd hosts (``node1`` …) and etcd
members (``etcd1`` …) on that bridge, and one forwarder that leads from 127.0.0.1 to the hosts.
Everything a lab makes follows from its name and its record, so ``down`` can undo an ``up`` that
was killed at any point:

    10.x.y.0/24   .1 the bridge   .2–.9 etcd members   .11– hosts
    /run/fleetish-lab/NAME/                a tmpfs of the lab
        lab.json                           the record
        net/{lab,node1,etcd1,…}            network namespaces, bound to files
        node1/{upper,work,root,console,…}  one directory a host
        etcd1/{data,log,…}                 one directory a member
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import IPv4Network
from itertools import chain
from pathlib import Path

import msgspec

from fleetish import config
from fleetish.errors import LabError, NotFound

BASE = Path("/run/fleetish-lab")
ETCD_PORT = 2379
PEER_PORT = 2380
MAX_HOSTS = 200
FACES: Mapping[str, int] = {
    "api": 7100,
    **{face: int(where.rpartition(":")[2]) for face, where in config.FACES.items()},
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")


class Fault(StrEnum):
    """What was done to a host on purpose."""

    POWER = "power"
    FROZEN = "frozen"
    CUT_ETCD = "etcd"
    CUT_ALL = "all"


class State(StrEnum):
    """How a host or member is found to be."""

    RUNNING = "running"
    DEAD = "dead"
    FROZEN = "frozen"
    PARTITIONED = "partitioned"


class Host(msgspec.Struct, frozen=True):
    """One systemd host: its name, stable machine-id, and address on the bridge."""

    name: str
    machine: str
    address: str
    rack: str


class Member(msgspec.Struct, frozen=True):
    """One etcd member and its address on the bridge."""

    name: str
    address: str

    @property
    def endpoint(self) -> str:
        """The URL that clients on the bridge use."""
        return f"http://{self.address}:{ETCD_PORT}"

    @property
    def peer(self) -> str:
        """``name=URL`` as etcd's ``--initial-cluster`` wants it."""
        return f"{self.name}=http://{self.address}:{PEER_PORT}"


class Record(msgspec.Struct, frozen=True):
    """All that is known about a lab; kept as JSON and rewritten before each thing is made.

    ``ports`` maps a face to its port on 127.0.0.1; ``settings`` are further settings for every
    host's fleetish.toml; ``bare`` hosts boot systemd and dbus alone.
    """

    name: str
    subnet: str
    hosts: tuple[Host, ...]
    etcd: tuple[Member, ...]
    ports: dict[str, int] = {}
    faults: dict[str, tuple[Fault, ...]] = {}
    settings: dict[str, object] = {}
    bare: bool = False

    def host(self, name: str) -> Host:
        """The systemd host of that name; raises NotFound."""
        found = next((h for h in self.hosts if h.name == name), None)
        if found is None:
            raise self._unknown(name, (h.name for h in self.hosts))
        return found

    def part(self, name: str) -> Host | Member:
        """The host or etcd member of that name; raises NotFound."""
        found = next((p for p in self.parts if p.name == name), None)
        if found is None:
            raise self._unknown(name, (p.name for p in self.parts))
        return found

    @property
    def parts(self) -> tuple[Host | Member, ...]:
        """Members and hosts, in the order in which they are started."""
        return (*self.etcd, *self.hosts)

    def _unknown(self, name: str, known: Iterable[str]) -> NotFound:
        return NotFound(
            f"cannot find host {name} in lab {self.name}", hint=f"there are {', '.join(known)}"
        )

    def having(self, name: str, fault: Fault) -> bool:
        """Whether that fault is in force on that host."""
        return fault in self.faults.get(name, ())

    def with_fault(self, name: str, *faults: Fault) -> Record:
        """The record with these faults added to a host."""
        kept = tuple(sorted({*self.faults.get(name, ()), *faults}))
        return msgspec.structs.replace(self, faults={**self.faults, name: kept})

    def without_fault(self, name: str, *faults: Fault) -> Record:
        """The record with these faults taken from a host."""
        kept = tuple(f for f in self.faults.get(name, ()) if f not in faults)
        others = {n: f for n, f in self.faults.items() if n != name}
        return msgspec.structs.replace(self, faults={**others, name: kept} if kept else others)


class Places(msgspec.Struct, frozen=True):
    """Where a lab keeps its things; ``base`` is /run/fleetish-lab."""

    name: str
    base: Path = BASE

    @property
    def root(self) -> Path:
        """The lab's own tmpfs."""
        return self.base / self.name

    @property
    def record(self) -> Path:
        """The record's file."""
        return self.root / "lab.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the lab."""
        return self.base / f"{self.name}.lock"

    def net(self, part: str = "lab") -> Path:
        """The network namespace of a part, or of the bridge."""
        return self.root / "net" / part

    def part(self, name: str) -> Path:
        """The directory of a host or member."""
        return self.root / name


def check_name(name: str) -> str:
    """The name, when it can be one of a lab: it becomes part of host, cgroup and file names."""
    if not _NAME.fullmatch(name):
        raise LabError(
            f"cannot name a lab {name!r}",
            hint="use 1 to 24 small letters, digits and dashes, no dash at either end",
        )
    return name


def machine_id(lab: str, host: str) -> str:
    """The host's machine-id: the same each time for a lab and host, as machine-id(5) wants it."""
    digest = bytearray(hashlib.sha256(f"fleetish lab {lab}/{host}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def choose_subnet(name: str, taken: Iterable[IPv4Network]) -> IPv4Network:
    """A /24 below 10.0.0.0/8 that overlaps nothing taken; the first try follows from the name."""
    occupied = tuple(taken)
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big")
    for step in range(1 << 16):
        index = (first + step) % (1 << 16)
        subnet = IPv4Network((0x0A000000 + (index << 8), 24))
        if not any(subnet.overlaps(other) for other in occupied):
            return subnet
    raise LabError("cannot find a free network below 10.0.0.0/8", hint="take a lab down")


def hosts_of(lab: str, subnet: IPv4Network, count: int) -> tuple[Host, ...]:
    """Hosts ``node1`` to ``nodeN``, one rack each."""
    if not 1 <= count <= MAX_HOSTS:
        raise LabError(f"cannot make {count} machines", hint=f"1 to {MAX_HOSTS} are possible")
    return tuple(
        Host(f"node{n}", machine_id(lab, f"node{n}"), str(subnet[10 + n]), f"r{n}")
        for n in range(1, count + 1)
    )


def plan_lab(name: str, subnet: IPv4Network, machines: int, etcd: int) -> Record:
    """The record of a lab with that many hosts and etcd members (1 or 3)."""
    if etcd not in (1, 3):
        raise LabError(f"cannot make {etcd} etcd members", hint="1 or 3 are possible")
    members = tuple(Member(f"etcd{n}", str(subnet[1 + n])) for n in range(1, etcd + 1))
    return Record(
        name=check_name(name),
        subnet=str(subnet),
        hosts=hosts_of(name, subnet, machines),
        etcd=members,
    )


def grow(record: Record, machines: int, etcd: int) -> Record:
    """The record with at least that many hosts; the etcd members of a lab never change."""
    if etcd != len(record.etcd):
        raise LabError(
            f"cannot change lab {record.name} from {len(record.etcd)} etcd members to {etcd}",
            hint=f"fleetish lab down --name {record.name} first",
        )
    count = max(machines, len(record.hosts))
    hosts = hosts_of(record.name, IPv4Network(record.subnet), count)
    return msgspec.structs.replace(record, hosts=hosts)


def names_file(record: Record) -> str:
    """/etc/hosts of every host: all hosts and members by name (hosts(5))."""
    fixed = ("127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback")
    return "\n".join(chain(fixed, (f"{p.address} {p.name}" for p in record.parts))) + "\n"


def environment(ports: Mapping[str, int]) -> tuple[str, ...]:
    """The export lines that lead a shell's clients to the lab's faces."""
    return (
        f"export FLEETISH_ENDPOINT=http://127.0.0.1:{ports['api']}",
        f"export MARATHON_URL=http://127.0.0.1:{ports['marathon']}",
        f"export CHRONOS_URL=http://127.0.0.1:{ports['chronos']}",
        f"export MESOS_MASTER=127.0.0.1:{ports['mesos']}",
    )
