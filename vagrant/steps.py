"""Commands that a test runs one after the other, and the lines it prints about them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from fleetish.errors import FleetishError, WaitTimeout

T = TypeVar("T")


class StepFailed(FleetishError):
    """A step of the test did not do what it should."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is done, and how long it took in seconds."""
    begun = time.monotonic()
    print(f"{title} …", flush=True)
    yield
    print(f"    {time.monotonic() - begun:.0f} s", flush=True)


def run(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout: float = 900.0,
) -> str:
    """Run a command to its end and return its output; StepFailed, with what it wrote, if it fails.

    ``environ`` replaces the environment, ``timeout`` is in seconds.
    """
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, env=environ, cwd=folder, timeout=timeout
        )
    except FileNotFoundError:
        raise StepFailed(f"cannot find the command {argv[0]}") from None
    except subprocess.TimeoutExpired:
        raise StepFailed(f"cannot wait longer than {timeout:.0f} s for {_brief(argv)}") from None
    if done.returncode:
        wrote = (done.stdout + done.stderr).strip()[-4000:]
        raise StepFailed(f"cannot run {_brief(argv)}: exit status {done.returncode}\n{wrote}")
    return done.stdout


def follow(
    argv: Sequence[str], *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> None:
    """Run a command whose output goes through as it comes; StepFailed if it fails."""
    done = subprocess.run(argv, env=environ, cwd=folder, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise StepFailed(f"cannot run {_brief(argv)}: exit status {done.returncode}; see above")


def await_true(what: str, look: Callable[[], T | None], seconds: float) -> T:
    """Look every half second until something is seen, and return it; else WaitTimeout."""
    deadline = time.monotonic() + seconds
    while (seen := look()) is None:
        if time.monotonic() > deadline:
            raise WaitTimeout(f"cannot wait longer than {seconds:.0f} s for {what}")
        time.sleep(0.5)
    return seen


def _brief(argv: Sequence[str]) -> str:
    return " ".join(argv[:4]) + (" …" if len(argv) > 4 else "")


def say(text: str) -> None:
    """Print one line of the report."""
    print(f"    {text}", flush=True)


def fail(error: FleetishError) -> None:
    """Print why the test failed."""
    print(f"FAILED: {error}", file=sys.stderr, flush=True)
