"""A libvirtd of the test's own, in which nothing outlives the test.

`confined` runs a command in new mount, network and process namespaces: when it ends, however it
ends, every virtual machine, daemon, bridge, firewall rule and mount in there goes with it, and a
libvirt that this machine has already is neither seen nor touched. `begin` sets up the inside.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from vagrant.steps import await_true, run

URI = "qemu:///system"
_ALL_STATE = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
# Root may do everything in here; what guards other people's machines would only be in the way.
_QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
"""
_LIBVIRTD_CONF = 'auth_unix_rw = "none"\nauth_unix_ro = "none"\n'


def confined(argv: Sequence[str], *, network: bool = False) -> list[str]:
    """The command line that runs ``argv`` so that it dies with its parent and takes all along.

    With ``network`` it has this machine's network, else one of its own.
    """
    namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
    namespaces += [] if network else ["--net"]
    # The shell is the namespace's process 1: it reaps what daemons leave, libvirt waits for that.
    reaping = ["/bin/sh", "-c", '"$@"; exit $?', "sh", *argv]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--", *reaping]


def begin(folder: Path) -> None:
    """Start virtlogd and libvirtd inside the namespaces; their state is kept below ``folder``."""
    run(["ip", "link", "set", "lo", "up"])
    run(["mount", "-t", "sysfs", "sysfs", "/sys"])  # shows this network's bridges, not the outer's
    run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
    for place in _ALL_STATE:
        _replace(Path(place), folder / place[1:].replace("/", "-"))
    _configure(Path("/etc/libvirt"))
    _hide_kvm(folder)
    _start("virtlogd", Path("/run/libvirt/virtlogd-sock"), folder)
    _start("libvirtd", Path("/run/libvirt/libvirt-sock"), folder)
    run(["virsh", "--connect", URI, "version"])


def _replace(place: Path, private: Path) -> None:
    """Put a copy of a directory's configuration, or an empty directory, in its place."""
    if place.is_relative_to("/etc"):
        shutil.copytree(place, private, symlinks=True)
    else:
        private.mkdir(parents=True)
        private.chmod(0o755)
    run(["mount", "--bind", str(private), str(place)])


def _configure(etc: Path) -> None:
    (etc / "qemu.conf").write_text(_QEMU_CONF)
    (etc / "libvirtd.conf").write_text(_LIBVIRTD_CONF)
    for network in (etc / "qemu/networks").rglob("*.xml"):
        network.unlink()


def _hide_kvm(folder: Path) -> None:
    """A KVM that is there but does not work makes libvirt ask for it again and again."""
    if Path("/dev/kvm").exists():
        (folder / "no-kvm").touch(mode=0o000)
        run(["mount", "--bind", str(folder / "no-kvm"), "/dev/kvm"])


def _start(daemon: str, socket: Path, folder: Path) -> None:
    """Start a daemon and wait until its socket is there; what it writes goes to a file."""
    with (folder / f"{daemon}.log").open("wb") as out:
        subprocess.Popen([daemon], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    await_true(f"{daemon} to listen", lambda: socket.exists() or None, 60)


def power_cut(domain: str) -> None:
    """End a virtual machine as if its plug were pulled."""
    run(["virsh", "--connect", URI, "destroy", domain])


def domains() -> tuple[str, ...]:
    """The names of the virtual machines that run."""
    return tuple(run(["virsh", "--connect", URI, "list", "--name"]).split())
