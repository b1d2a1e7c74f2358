"""Debian's Vagrant takes the Vagrantfile; no machine is started here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent.parent / "vagrant"
Vagrant = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def vagrant(tmp_path: Path) -> Vagrant:
    """Run Vagrant with its state in a directory of the test; keywords are its environment."""
    if shutil.which("vagrant") is None:
        reason = "vagrant is not installed: apt-get install vagrant vagrant-libvirt"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    def run(*argv: str, **settings: str) -> subprocess.CompletedProcess[str]:
        own = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CWD": str(FOLDER)}
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot"),
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "VAGRANT_CHECKPOINT_DISABLE": "1",
        }
        environ |= own | settings
        command = ["vagrant", *argv]
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    return run


def machines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The names in the output of ``vagrant status --machine-readable``."""
    rows = [line.split(",") for line in done.stdout.splitlines()]
    return [row[1] for row in rows if row[2:4] == ["state", "not_created"]]


def test_the_vagrantfile_is_valid(vagrant: Vagrant, tmp_path: Path) -> None:
    for settings in ({}, {"NODES": "1", "CPUS": "1", "MEMORY": "512", "WHEELS": str(tmp_path)}):
        done = vagrant("validate", **settings)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "Vagrantfile validated successfully.\n"


def test_a_setting_that_the_provider_does_not_have_would_be_found(
    vagrant: Vagrant, tmp_path: Path
) -> None:
    text = (FOLDER / "Vagrantfile").read_text()
    (tmp_path / "Vagrantfile").write_text(text.replace("machine.cpus =", "machine.cpuz ="))
    done = vagrant("validate", VAGRANT_CWD=str(tmp_path))
    assert done.returncode == 1
    assert "settings shouldn't exist: cpuz" in done.stderr


def test_nodes_says_how_many_machines_there_are(vagrant: Vagrant) -> None:
    status = ["status", "--machine-readable"]
    assert machines(vagrant(*status)) == ["node1", "node2", "node3"]
    assert machines(vagrant(*status, NODES="4")) == ["node1", "node2", "node3", "node4"]


def test_numbers_that_cannot_be_are_refused(vagrant: Vagrant) -> None:
    for settings, reason in (
        ({"NODES": "0"}, "cannot use NODES=0: it must be in 1..99"),
        ({"NODES": "three"}, "cannot use NODES=three: it must be in 1..99"),
        ({"MEMORY": "64"}, "cannot use MEMORY=64: it must be in 256..1048576"),
    ):
        done = vagrant("validate", **settings)
        assert (done.returncode, done.stderr) == (1, f"{reason}\n")
