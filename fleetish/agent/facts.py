"""What this machine is: its ids, address, capacity and system, read from the kernel and /etc."""

from __future__ import annotations

import fcntl
import grp
import os
import platform
import pwd
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleetish import __version__
from fleetish.agent.settings import AgentSettings
from fleetish.errors import BadConfig
from fleetish.model import Machine
from fleetish.resources import Resources
from fleetish.units.specifiers import Context

#: The kernel's names of architectures, in systemd's words (%a).
ARCHITECTURES = {"x86_64": "x86-64", "aarch64": "arm64", "i686": "x86", "riscv64": "riscv64"}

_SIOCGIFADDR = 0x8915  # netdevice(7)


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine, as it was read. ``os_release`` holds the fields of os-release(5)."""

    machine_id: str
    boot_id: str
    hostname: str
    address: str
    capacity: Resources
    kernel: str
    os_release: Mapping[str, str]


def read(settings: AgentSettings, root: Path = Path("/")) -> Facts:
    """The facts of the machine below ``root``. Raises BadConfig where it has no machine id."""
    return Facts(
        machine_id=settings.machine_id or machine_id(root),
        boot_id=_text(root / "proc/sys/kernel/random/boot_id").replace("-", ""),
        hostname=socket.gethostname(),
        address=settings.address or default_address(),
        capacity=capacity(settings, root),
        kernel=os.uname().release,
        os_release=_os_release(),
    )


def machine(facts: Facts, settings: AgentSettings, systemd: str, now: float) -> Machine:
    """The record by which this machine registers."""
    return Machine(
        id=facts.machine_id,
        host=facts.hostname,
        address=facts.address,
        endpoint=settings.endpoint,
        metadata=dict(settings.metadata),
        capacity=facts.capacity,
        ports=settings.ports,
        boot=facts.boot_id,
        version=__version__,
        systemd=systemd,
        since=now,
    )


def context(facts: Facts, settings: AgentSettings) -> Context:
    """The facts that specifiers expand to (systemd.unit(5)), as this host's systemd has them."""
    release = facts.os_release
    owner = pwd.getpwuid(os.getuid())
    return Context(
        machine_id=facts.machine_id,
        boot_id=facts.boot_id,
        hostname=facts.hostname,
        pretty_hostname=_pretty() or facts.hostname,
        kernel_release=facts.kernel,
        architecture=ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        os_id=release.get("ID", "linux"),
        os_version_id=release.get("VERSION_ID", ""),
        os_build_id=release.get("BUILD_ID", ""),
        os_variant_id=release.get("VARIANT_ID", ""),
        os_image_id=release.get("IMAGE_ID", ""),
        os_image_version=release.get("IMAGE_VERSION", ""),
        user=owner.pw_name,
        uid=owner.pw_uid,
        group=grp.getgrgid(owner.pw_gid).gr_name,
        gid=owner.pw_gid,
        home=owner.pw_dir,
        shell=owner.pw_shell,
        **(_user_directories(owner.pw_dir, owner.pw_uid) if settings.user else {}),
    )


def _user_directories(home: str, uid: int) -> dict[str, str]:
    """Where a user's manager has what the system's has in /run, /var, /etc (file-hierarchy(7))."""
    given = os.environ
    runtime = given.get("XDG_RUNTIME_DIR", f"/run/user/{uid}")
    configuration = given.get("XDG_CONFIG_HOME", f"{home}/.config")
    return {
        "runtime_dir": runtime,
        "state_dir": configuration,  # systemd 252 still has its state there
        "cache_dir": given.get("XDG_CACHE_HOME", f"{home}/.cache"),
        "logs_dir": f"{configuration}/log",
        "configuration_dir": configuration,
        "unit_dir": f"{runtime}/systemd/transient",
    }


def _pretty() -> str:
    """PRETTY_HOSTNAME of machine-info(5)."""
    try:
        lines = _text(Path("/etc/machine-info")).splitlines()
    except OSError:
        return ""
    found = [line.partition("=")[2] for line in lines if line.startswith("PRETTY_HOSTNAME=")]
    return found[-1].strip("\"'") if found else ""


def machine_id(root: Path = Path("/")) -> str:
    """The id of machine-id(5). Raises BadConfig when the machine has none."""
    try:
        found = _text(root / "etc/machine-id")
    except OSError:
        found = ""
    if len(found) != 32 or not all(char in "0123456789abcdef" for char in found):
        raise BadConfig(
            "cannot use /etc/machine-id: it holds no machine id",
            hint="run systemd-machine-id-setup",
        )
    return found


def capacity(settings: AgentSettings, root: Path = Path("/")) -> Resources:
    """What the machine has, where the settings do not say otherwise."""
    cpus = settings.cpus if settings.cpus is not None else len(os.sched_getaffinity(0))
    memory = settings.memory if settings.memory is not None else _memory(root)
    disk = settings.disk if settings.disk is not None else _disk(root)
    return Resources(millicpus=round(cpus * 1000), memory=memory, disk=disk)


def default_address() -> str:
    """The IPv4 address that the default route leaves from, else the first that is no loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # RFC 5737: nobody's; connecting UDP sends nothing
            return str(sock.getsockname()[0])
        except OSError:
            return next((found for _, name in socket.if_nameindex() if (found := _of(name))), "")


def _of(interface: str) -> str:
    if interface == "lo":
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("256s", interface.encode()[:15])
        try:
            return socket.inet_ntoa(fcntl.ioctl(sock, _SIOCGIFADDR, request)[20:24])
        except OSError:
            return ""


def _memory(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _disk(root: Path) -> int:
    found = os.statvfs(root / "var" if (root / "var").is_dir() else root)
    return found.f_blocks * found.f_frsize


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
