"""A real three-node ``vagrant up`` without KVM: ``make vagrant-test``. Needs root and a network.

    packages ─▶ box, wheels ─▶ [ libvirtd ─▶ vagrant up ─▶ scenario ─▶ vagrant destroy ]
                               in namespaces of its own: nothing in there outlives the test

Files are kept in a directory below /var/tmp, which is removed at the end; one that a killed test
left behind is removed by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetish.errors import FleetishError
from vagrant import box, hypervisor, scenario, wheels
from vagrant.steps import StepFailed, await_true, fail, run, step

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "dnsmasq-base",
    "e2fsprogs",
    "iproute2",
    "iptables",
    "kmod",
    "libvirt-clients",
    "libvirt-daemon-driver-qemu",
    "libvirt-daemon-system",
    "mmdebstrap",
    "openssh-client",
    "qemu-system-x86",
    "qemu-utils",
    "rsync",
    "vagrant",
    "vagrant-libvirt",
)
_PREFIX = "fleetish-vagrant-"
_NODES = 3
_MEMORY_MIB = 1024


def main() -> int:
    """Run the whole test, or with arguments its inner half; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        if sys.argv[1:2] == ["inside"]:
            inside(Path(sys.argv[2]))
        else:
            outside()
    except FleetishError as error:
        fail(error)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def outside() -> None:
    """Install and build what is needed, then enter the namespaces."""
    if os.geteuid() != 0:
        raise StepFailed("cannot start virtual machines without root (try sudo)")
    with step("Debian packages"):
        install_packages()
    with scratch() as folder:
        with step(f"box of Debian {box.release()}"):
            (folder / "box").mkdir()
            box.build(folder / "box", public_key(), os.environ.get("MIRROR", ""))
        with step("wheels"):
            wheels.build(CHECKOUT, folder / "wheels")
        inner = [sys.executable, "-m", __spec__.name, "inside", str(folder)]
        if subprocess.run(hypervisor.confined(inner), cwd=CHECKOUT).returncode:
            raise StepFailed("cannot pass: see above")


def inside(folder: Path) -> None:
    """Bring the machines up, put them to the test, and destroy them."""
    with step("libvirtd"):
        (folder / "libvirt").mkdir()
        hypervisor.begin(folder / "libvirt")
    site = scenario.Site(CHECKOUT, folder, environment(folder))
    with step("vagrant box add"):
        site.vagrant("box", "add", "--name", scenario.BOX, str(folder / "box" / "debian.box"))
    try:
        with step(f"vagrant up: {_NODES} machines"):
            site.vagrant("up", "--provider=libvirt")
        scenario.play(site, _NODES)
    except FleetishError:
        scenario.tell(site, _NODES)
        raise
    with step("vagrant destroy"):
        site.vagrant("destroy", "--force")


def environment(folder: Path) -> dict[str, str]:
    """What Vagrant finds in its environment: all of its state is below ``folder``."""
    (folder / "home").mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder / "home"),
        "VAGRANT_HOME": str(folder / "home" / "vagrant"),
        "VAGRANT_DOTFILE_PATH": str(folder / "home" / "dot"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "NODES": str(_NODES),
        "CPUS": "1",
        "MEMORY": str(_MEMORY_MIB),
        "BOX": scenario.BOX,
        "WHEELS": str(folder / "wheels"),
    }


def install_packages() -> None:
    """Install those Debian packages that are missing."""
    missing = [name for name in PACKAGES if not _installed(name)]
    if missing:
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run([*apt, "update"], environ=environ)
        run([*apt, "install", "-y", "--no-install-recommends", *missing], environ=environ)


def _installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout == "installed"


def public_key() -> str:
    """The public half of the key that every Vagrant brings, and that opens only such boxes."""
    listed = run(["dpkg", "-L", "vagrant"]).splitlines()
    return Path(next(name for name in listed if name.endswith("/vagrant.pub"))).read_text()


@contextmanager
def scratch(parent: Path = Path("/var/tmp")) -> Iterator[Path]:
    """A directory that is removed at the end, as are those which no living test holds."""
    for left in parent.glob(f"{_PREFIX}*"):
        with _held(left) as ours:
            if ours:
                _remove(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with _held(folder):
            yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a directory, into which a machine that is being killed may still write."""

    def removed() -> bool | None:
        shutil.rmtree(folder, ignore_errors=True)
        return None if folder.exists() else True

    await_true(f"{folder} to be removed", removed, 30)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a directory as long as this process lives; False when another one holds it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.exit(main())
