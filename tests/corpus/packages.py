"""Which Debian packages are compared; pure but for reading the list beside it."""

from __future__ import annotations

from pathlib import Path

#: `make test` takes every so manieth name of the list.
STEP = 16
#: systemd ships units of every type, and those of its own that nothing else could try.
ALWAYS = ("systemd",)


def listed() -> tuple[str, ...]:
    """The names in packages.txt, in its order."""
    lines = Path(__file__).with_name("packages.txt").read_text().splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def sample(names: tuple[str, ...]) -> tuple[str, ...]:
    """What `make test` compares: every sixteenth name from the first on, and systemd."""
    return tuple(sorted({*names[::STEP], *ALWAYS}))
