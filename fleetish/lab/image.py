"""A host's root: an overlay of this machine's ``/`` in which only systemd's own units are left.

What the machine has installed is there; what it has enabled, mounts or schedules is not: the
directories below are made opaque (empty, whatever lies under them) and then get what a freshly
installed member of a cluster has, from the same files in ``host/`` that a user installs.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import fleetish
from fleetish.errors import LabError
from fleetish.lab.layout import Host, Places, Record, names_file
from fleetish.lab.processes import run

VENV = Path("/opt/fleetish/venv")
CONFIG = Path("/etc/fleetish/fleetish.toml")
UNITS = Path("/etc/systemd/system")
EMPTIED = (
    "etc/systemd/system",
    "etc/systemd/network",
    "etc/init.d",
    *(f"etc/rc{level}.d" for level in "0123456S"),
    "etc/fleetish",
    "opt/fleetish",
    "var/lib/etcd",
    "var/lib/fleetish",
    "var/log/journal",
)
# Units of systemd's own that would reach out of the host (kernel modules, debugfs, the clock of
# all) or wait for a person.
MASKED = (
    "getty.target",
    "modprobe@.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-kernel-config.mount",
    "systemd-binfmt.service",
    "systemd-logind.service",
    "systemd-modules-load.service",
    "systemd-random-seed.service",
    "systemd-sysctl.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
)


#: Cores that each host says it has. They share this machine's, and a reservation that is not used
#: costs nothing, so a lab has room for a few dozen units whatever it runs on. Limits stay real.
CPUS = 16


def checkout() -> Path:
    """The directory that holds the package and ``host/``."""
    return Path(fleetish.__file__).resolve().parent.parent


def environment(prefix: Path | None = None) -> Path:
    """The virtual environment at ``prefix`` (default: the one in use).

    LabError when a host could not run it: it must have been made from a Python that lies on the
    root filesystem, which is all that a host shows, and that is Debian's /usr/bin/python3.
    """
    venv = prefix or Path(sys.prefix)
    home = _home((venv / "pyvenv.cfg").read_text() if (venv / "pyvenv.cfg").exists() else "")
    if home is None:
        raise LabError("cannot use a Python outside a virtual environment", hint=_way_out())
    if not home.exists() or home.stat().st_dev != Path("/").stat().st_dev:
        raise LabError(f"cannot use {home}: lab hosts do not see it", hint=_way_out())
    return venv


def _home(config: str) -> Path | None:
    """Where the interpreter of a virtual environment lies (pyvenv.cfg, PEP 405)."""
    for line in config.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return Path(value.strip()).resolve()
    return None


def _way_out() -> str:
    venv = checkout() / ".venv"
    return f"rm -r {venv}; /usr/bin/python3 -m venv {venv}; {venv}/bin/pip install -e {checkout()}"


def bound(venv: Path) -> tuple[Path, ...]:
    """What is bound into a host, read-only, at the same path: the checkout, and its venv."""
    tree = checkout()
    return (tree,) if venv.is_relative_to(tree) else (tree, venv)


def host_settings(record: Record, host: Host) -> str:
    """The host's fleetish.toml. JSON's strings, numbers and arrays are TOML's as well."""
    metadata = {"host": host.name, "rack": host.rack}
    top: dict[str, object] = {
        "cluster": record.name,
        "etcd": [member.endpoint for member in record.etcd],
        "address": host.address,
    }
    tables: dict[str, Mapping[str, object]] = {"metadata": metadata, "capacity": {"cpus": CPUS}}
    for key, value in record.settings.items():
        if isinstance(value, Mapping):
            tables[key] = {**tables.get(key, {}), **value}
        else:
            top[key] = value
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in table.items())]
    return "\n".join(lines) + "\n"


def host_files(record: Record, host: Host, units: Mapping[str, str]) -> dict[str, str]:
    """Path below the root -> text of every file that a host has of its own."""
    files = {
        "etc/machine-id": f"{host.machine}\n",
        "etc/hostname": f"{host.name}\n",
        "etc/hosts": names_file(record),
        "etc/fstab": "",
    }
    if not record.bare:
        files[str(CONFIG)[1:]] = host_settings(record, host)
        files |= {f"{UNITS}/{name}"[1:]: text for name, text in units.items()}
    return files


def host_links(record: Record, venv: Path) -> dict[str, str]:
    """Path below the root -> target of every symlink that a host has of its own."""
    links = {f"{UNITS}/{unit}"[1:]: "/dev/null" for unit in MASKED}
    links["var/lib/dbus/machine-id"] = "/etc/machine-id"
    if not record.bare:
        wants = f"{UNITS}/multi-user.target.wants/fleetish.service"
        links |= {str(VENV)[1:]: str(venv), wants[1:]: f"{UNITS}/fleetish.service"}
    return links


def unit_files() -> dict[str, str]:
    """The units of the host recipe, by name."""
    folder = checkout() / "host"
    names = ("fleetish.service", "fleetish.slice")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise LabError(f"cannot find {folder / missing[0]}", hint="run from a complete checkout")
    return {name: (folder / name).read_text() for name in names}


def mount_root(places: Places, record: Record, host: Host, venv: Path) -> Path:
    """Make and mount a host's root, unless it is mounted; returns where.

    The disk outlives a power cut: it is made anew only for a host that has none.
    """
    top = places.part(host.name)
    root = top / "root"
    if root.is_mount():
        return root
    for name in ("upper", "work", "root"):
        (top / name).mkdir(parents=True, exist_ok=True)
    for name in EMPTIED:
        _empty(top / "upper" / name, Path("/") / name)
    _write(top / "upper", host_files(record, host, unit_files()))
    _link(top / "upper", host_links(record, venv))
    options = f"lowerdir=/,upperdir={top}/upper,workdir={top}/work"
    run(["mount", "-t", "overlay", f"fleetish-{record.name}", "-o", options, str(root)])
    _let_pass(root, bound(venv))
    return root


def _let_pass(root: Path, trees: Iterable[Path]) -> None:
    """Let every user of a host reach what is bound into it, also below a home that is closed to
    them on this machine."""
    for folder in {parent for tree in trees for parent in tree.parents}:
        inside = root / folder.relative_to("/")
        if inside.is_dir() and inside.stat().st_mode & 0o011 != 0o011:
            inside.chmod(stat.S_IMODE(inside.stat().st_mode) | 0o011)


def _empty(folder: Path, below: Path) -> None:
    """Make a directory that hides the content of the one below it, but has its owner and mode."""
    folder.mkdir(parents=True, exist_ok=True)
    os.setxattr(folder, "trusted.overlay.opaque", b"y")  # overlayfs, whiteouts and opaque dirs
    if below.is_dir():
        found = below.stat()
        os.chown(folder, found.st_uid, found.st_gid)
        folder.chmod(stat.S_IMODE(found.st_mode))


def write_names(places: Places, record: Record) -> None:
    """Let every host that has a disk know all names: the lab may have grown."""
    text = names_file(record)
    for host in record.hosts:
        file = places.part(host.name) / "root" / "etc/hosts"
        if file.parent.is_dir() and file.read_text() != text:
            file.write_text(text)


def _write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)


def _link(root: Path, links: Mapping[str, str]) -> None:
    for name, target in links.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
