"""What a lab needs of the machine it runs on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence

from fleetish.errors import LabError
from fleetish.lab.guest import PATH

PACKAGES: Mapping[str, str] = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nft": "nftables",
    "etcd": "etcd-server",
    "dbus-daemon": "dbus",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}


def missing() -> str:
    """What stands against a lab on this machine, as ``obstacle`` says it."""
    absent = [command for command in PACKAGES if shutil.which(command, path=PATH) is None]
    return obstacle(sys.platform, os.geteuid(), absent)


def obstacle(platform: str, user: int, absent: Sequence[str]) -> str:
    """What stands against a lab, in a sentence with the way out; empty when nothing does."""
    if platform != "linux":
        return "cannot run a lab on another kernel than Linux"
    if user != 0:
        return "cannot run a lab without root (try sudo)"
    if absent:
        packages = " ".join(sorted({PACKAGES[command] for command in absent}))
        return f"cannot run a lab without {', '.join(absent)} (apt-get install {packages})"
    return ""


def check() -> None:
    """LabError when something is missing."""
    if reason := missing():
        raise LabError(reason)
