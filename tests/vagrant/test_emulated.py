"""The test on emulated machines leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vagrant.emulated import scratch
from vagrant.hypervisor import confined
from vagrant.steps import StepFailed, run


def test_the_scratch_directory_is_removed_also_after_a_failure(tmp_path: Path) -> None:
    def interrupted() -> None:
        with scratch(tmp_path) as folder:
            (folder / "box").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_test_left_is_removed_and_what_a_living_one_uses_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "fleetish-vagrant-left" / "box").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    with scratch(tmp_path) as first, scratch(tmp_path) as second:
        assert set(tmp_path.iterdir()) == {first, second, tmp_path / "other"}


def test_a_failed_step_says_which_command_and_what_it_wrote() -> None:
    with pytest.raises(StepFailed) as caught:
        run(["sh", "-c", "echo no such box >&2; exit 3"])
    text = "cannot run sh -c echo no such box >&2; exit 3: exit status 3\nno such box"
    assert str(caught.value) == text


@pytest.mark.root
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_everything_in_the_namespaces_dies_with_the_test(how: signal.Signals) -> None:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("cannot make namespaces without root")
        pytest.skip("needs root")
    script = "setsid sleep 1000 & ip link add br0 type bridge; echo ready; exec sleep 1000"
    started = f"import subprocess; subprocess.run({confined(['sh', '-c', script])!r})"
    reader, writer = os.pipe()
    with subprocess.Popen([sys.executable, "-c", started], stdout=writer) as test:
        os.close(writer)
        assert os.read(reader, 100) == b"ready\n"
        test.send_signal(how)
    # All that ran inside held the pipe's other end: it ends when the last of them is gone.
    assert select.select([reader], [], [], 30)[0]
    assert os.read(reader, 100) == b""
    os.close(reader)
