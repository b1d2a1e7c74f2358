"""A Debian box for Vagrant's libvirt provider, made for machines that are emulated.

    mmdebstrap ─▶ root/ ─▶ FILES, a user ─▶ ext4 image ─▶ qcow2 ─┐
                   └─ kernel, initrd ────────────────────────────┴▶ box (a tar file)

libvirt boots the kernel that lies beside the image, so there is no boot loader and no partition.
What emulated hardware needs (qemu in place of KVM, one processor, a disk that never syncs, long
patience) stands in the box's own Vagrantfile; the user's Vagrantfile knows nothing of it.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from vagrant.hypervisor import confined
from vagrant.steps import run

# What Vagrant needs of a guest, and what host/install.sh would fetch if the guest had a network.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "etcd-server",
    "ifupdown",
    "initramfs-tools",
    "iproute2",
    "isc-dhcp-client",
    "kmod",
    "linux-image-cloud-amd64",
    "openssh-server",
    "procps",
    "python3",
    "python3-venv",
    "rsync",
    "sudo",
    "systemd-sysv",
    "udev",
)
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
# Of no use in a machine that lives for minutes; etcd.service is enabled by host/install.sh.
DISABLED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "etcd.service",
)
DISK_GIB = 3
FILES: Mapping[str, str] = {
    "etc/hostname": "debian\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/machine-id": "",  # each machine makes its own at its first boot
    "etc/fstab": "/dev/vda / ext4 noatime 0 1\n",
    "etc/network/interfaces": (
        "auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n"
    ),
    # Vagrant and udev may both bring an interface up; the second one is not a failed unit.
    "etc/systemd/system/ifup@.service.d/twice.conf": (
        "[Service]\nExecStart=\nExecStart=-/bin/sh -ec 'ifup --allow=hotplug %I;"
        " ifquery --state %I'\n"
    ),
    "etc/sudoers.d/vagrant": "vagrant ALL=(ALL) NOPASSWD: ALL\n",
}
# Page table isolation and the like cost most of all where page tables are emulated.
KERNEL_LINE = "root=/dev/vda ro net.ifnames=0 biosdevname=0 console=ttyS0 quiet mitigations=off"
VAGRANTFILE = """\
Vagrant.configure("2") do |config|
  config.vm.boot_timeout = 600
  config.ssh.insert_key = false
  config.vm.provider "libvirt" do |machine|
    machine.driver = "qemu"
    machine.graphics_type = "none"
    machine.disk_driver cache: "unsafe"
    machine.kernel = File.join(File.dirname(__FILE__), "vmlinuz")
    machine.initrd = File.join(File.dirname(__FILE__), "initrd.img")
    machine.cmd_line = "%s"
  end
end
"""


def release() -> str:
    """The code name of this machine's Debian: a box of the same can use wheels built here."""
    lines = Path("/etc/os-release").read_text().splitlines()
    names = dict(line.partition("=")[::2] for line in lines)
    return names.get("VERSION_CODENAME", "bookworm").strip('"')


def build(folder: Path, public_key: str, mirror: str = "") -> Path:
    """Build the box in ``folder`` and return its path.

    ``mirror`` is a Debian mirror's URL (default: mmdebstrap's). Raises StepFailed.
    """
    root = folder / "root"
    bootstrap(root, mirror)
    furnish(root, public_key)
    content = folder / "content"
    content.mkdir()
    for name in ("vmlinuz", "initrd.img"):
        next((root / "boot").glob(f"{name}-*")).rename(content / name)
    raw = folder / "root.ext4"
    with raw.open("wb") as image:
        image.truncate(DISK_GIB << 30)
    run(["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0", "-d", str(root), str(raw)])
    shutil.rmtree(root)
    run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(content / "box.img")])
    raw.unlink()
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_GIB}
    (content / "metadata.json").write_text(json.dumps(metadata))
    (content / "Vagrantfile").write_text(VAGRANTFILE % KERNEL_LINE)
    box = folder / "debian.box"
    with tarfile.open(box, "w") as archive:
        for part in sorted(content.iterdir()):
            archive.add(part, part.name)
    return box


def bootstrap(root: Path, mirror: str) -> None:
    """Install Debian into a directory."""
    left_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    included = f"--include={','.join(PACKAGES)}"
    where = [release(), str(root), *([mirror] if mirror else [])]
    install = ["mmdebstrap", "--mode=root", "--variant=minbase", *left_out, included, *where]
    run(confined(install, network=True))  # an interrupted dpkg shall not go on behind our back


def furnish(root: Path, public_key: str) -> None:
    """Write what makes a Debian system a box: FILES, and a user whom Vagrant can log in as."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    run(["chroot", str(root), "useradd", "--create-home", "--shell=/bin/bash", "vagrant"])
    keys = root / "home/vagrant/.ssh/authorized_keys"
    keys.parent.mkdir(mode=0o700)
    keys.write_text(public_key)
    run(["chroot", str(root), "chown", "-R", "vagrant:vagrant", "/home/vagrant/.ssh"])
    run(["systemctl", "--root", str(root), "--quiet", "disable", *DISABLED])
