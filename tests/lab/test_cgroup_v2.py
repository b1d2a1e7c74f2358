"""The lab on cgroup v2 alone, also where this machine has v1 beside it.

In a mount namespace of its own the test sees nothing but the one v2 hierarchy. Controllers that v1
holds are missing there; boot, freeze, kill and removal do not need them.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.lab.traces import NONE, traces

pytestmark = pytest.mark.lab

ONLY_V2 = """
for mount in $(awk '$2 ~ "^/sys/fs/cgroup/" {print $2}' /proc/mounts); do umount "$mount"; done
umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"
"""
STORY = """
import sys
from fleetish.lab.cluster import Lab

def tell():
    print(*(f"{part.name} {state}" for part, state in lab.status()))

with Lab(sys.argv[1], machines=1, bare=True) as lab:
    kind = lab.exec("node1", ["stat", "--file-system", "--format=%T", "/sys/fs/cgroup"])
    print(kind.stdout.strip())
    tell()
    lab.freeze("node1")
    tell()
    lab.thaw("node1")
    print(lab.exec("node1", ["systemctl", "is-system-running"]).stdout.strip())
    lab.freeze("node1")
    lab.kill("node1")
    tell()
    lab.start("node1")
    tell()
"""


def test_a_lab_works_on_cgroup_v2_alone() -> None:
    name = f"t2{os.getpid()}"
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ONLY_V2, "sh"]
    argv = [*alone, sys.executable, "-c", STORY, name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines() == [
        "cgroup2fs",
        "etcd1 running node1 running",
        "etcd1 running node1 frozen",
        "running",
        "etcd1 running node1 dead",
        "etcd1 running node1 running",
    ], done.stderr
    assert traces(name) == NONE
