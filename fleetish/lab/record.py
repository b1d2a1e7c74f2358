"""The lab's record on disk, and the locks under which it is changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import AddressValueError, IPv4Network
from pathlib import Path

import msgspec

from fleetish.errors import LabError, NotFound
from fleetish.lab.layout import BASE, Places, Record
from fleetish.lab.processes import run


def save(places: Places, record: Record) -> Record:
    """Write the record so that a reader sees the old or the new one, never a half."""
    fresh = places.record.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    fresh.replace(places.record)
    return record


def load(places: Places) -> Record:
    """The lab's record; NotFound when there is no such lab."""
    try:
        return msgspec.json.decode(places.record.read_bytes(), type=Record)
    except FileNotFoundError:
        raise NotFound(
            f"cannot find lab {places.name}", hint=f"fleetish lab up --name {places.name}"
        ) from None
    except msgspec.DecodeError as error:
        raise LabError(
            f"cannot read {places.record}: {error}", hint=f"fleetish lab down --name {places.name}"
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file; waits for whoever has it. Removing it while it is held is allowed."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_current(path, handle.fileno()):
                continue
            yield
            return


def _is_current(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one of that name: its holder may have removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def taken_subnets(base: Path = BASE) -> tuple[IPv4Network, ...]:
    """Networks of the other labs and of this machine's own routes."""
    return (*_lab_subnets(base), *_routed())


def _lab_subnets(base: Path) -> Iterator[IPv4Network]:
    for file in base.glob("*/lab.json"):
        try:
            yield IPv4Network(load(Places(file.parent.name, base)).subnet)
        except (LabError, NotFound):
            continue  # being taken down, or unreadable: its own `down` will tell


def _routed() -> Iterator[IPv4Network]:
    routes = msgspec.json.decode(run(["ip", "-json", "-4", "route", "show", "table", "all"]))
    for route in routes:
        try:
            network = IPv4Network(route["dst"], strict=False)
        except (AddressValueError, ValueError):
            continue  # "default"
        if network.prefixlen:
            yield network
