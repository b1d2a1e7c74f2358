"""Command lines as Go's flag packages read them."""

from __future__ import annotations

import pytest

from fleetish.cli.fleetctl.pflag import Form, canonical

FORMS = {
    "full": Form(True, "--full"),
    "l": Form(True, "--full"),
    "strict": Form(True, "--strict", "--no-strict"),
    "lines": Form(False, "--lines"),
}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("--full a", "--full a"),
        ("-full a", "--full a"),
        ("--l a -l", "--full a --full"),
        ("--full=true --full=1 --full=T", "--full --full --full"),
        ("--full=false a --full=0", "a"),
        ("--strict=false --strict=F --strict", "--no-strict --no-strict --strict"),
        ("--full=maybe", "--full=maybe"),
        ("--lines 3 a", "--lines=3 a"),
        ("-lines=3 a", "--lines=3 a"),
        ("--lines -3 a", "--lines=-3 a"),
        ("--lines", "--lines"),
        ("--lines --full", "--lines=--full"),
        ("--unknown=1 -x a", "--unknown=1 -x a"),
        ("a -- -l --lines 3", "a -- -l --lines 3"),
        ("--lines -- -l", "--lines=-- --full"),
        ("- a", "- a"),
    ],
)
def test_flags_become_clicks(given: str, read: str) -> None:
    assert canonical(given.split(), FORMS) == read.split()
