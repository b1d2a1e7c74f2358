"""fleetctl as scripts call it: a process, by the name of a symbolic link to ``fleetish``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.cli.conftest import Done

#: Seconds that a command may take in a test.
PATIENCE = 60

Fleetctl = Callable[..., Done]


def link(directory: Path) -> Path:
    """The link that makes ``fleetish`` be fleetctl."""
    program = directory / "bin" / "fleetctl"
    program.parent.mkdir(exist_ok=True)
    program.symlink_to(Path(sys.executable).with_name("fleetish"))
    return program


def environment(url: str = "", **more: str) -> dict[str, str]:
    """The environment of a script that knows the API by fleet's variable."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLEETCTL_", "FLEETISH_"))}
    return {**kept, **({"FLEETCTL_ENDPOINT": url} if url else {}), **more}


def call(program: Path, args: Sequence[str], environ: Mapping[str, str], stdin: str = "") -> Done:
    """One command in the directory above the link's, with exit code, output and error."""
    done = subprocess.run(
        [program, *args], cwd=program.parent.parent, env=environ, input=stdin,
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)
