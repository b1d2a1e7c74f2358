"""Labs for tests: real systemd hosts, named after this process so that runs do not meet."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetish.lab.cluster import Lab
from fleetish.lab.layout import BASE
from fleetish.lab.prerequisites import missing

ROOT = Path(__file__).parent.parent.parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip lab tests where no lab can be, and say why; under CI that is a failure."""
    if item.get_closest_marker("lab") is None or not (reason := missing()):
        return
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def no_stale_labs() -> None:
    """Take down the labs of test runs that were killed: named after a process that is gone."""
    if missing():
        return
    for lock in BASE.glob("t*.lock"):
        found = re.fullmatch(r"t[a-z]?(\d+)", lock.stem)
        if found and not Path(f"/proc/{found[1]}").exists():
            Lab(lock.stem).down()


@pytest.fixture(scope="session")
def bare() -> Iterator[Lab]:
    """Two hosts with systemd and dbus but no fleetish, and one etcd member."""
    with Lab(f"tb{os.getpid()}", machines=2, bare=True) as lab:
        yield lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three hosts that are members of a cluster, all registered, and one etcd member."""
    with Lab(f"t{os.getpid()}", machines=3) as lab:
        yield lab


@pytest.fixture(scope="session")
def wheels() -> Path:
    """Wheels of everything that fleetish needs; kept in build/ until the requirements change.

    A lab host has no way to a package index, so pip inside finds them here.
    """
    text = (ROOT / "pyproject.toml").read_bytes()
    project = tomllib.loads(text.decode())
    folder = ROOT / "build" / f"wheels-{hashlib.sha256(text).hexdigest()[:12]}"
    done = folder / "complete"
    if not done.exists():
        needs = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--wheel-dir", folder, *needs], check=True)
        done.touch()
    return folder
