"""The table has every directive that systemd has, with its own property names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fleetish.units.sections import NOT_TRANSIENT, PROPERTIES, SECTIONS
from tests.units.samples import untested

SYSTEMD = Path("/lib/systemd/systemd")
ORACLE = pytest.mark.skipif(not SYSTEMD.exists(), reason="systemd not installed")

#: Set under a name by which nobody can ask for it.
WRITE_ONLY = {"PermissionsStartOnly", "SELinuxContextFromNet", "SmackLabelIPin"}
#: What is written in other forms than it is read.
FORMS = ("Scale", "FileToAppend", "FileToTruncate", "File")


def asked(switch: str) -> list[str]:
    done = subprocess.run([SYSTEMD, switch], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def read_by_systemd() -> dict[str, set[str]]:
    """Section to the directives that systemd lists for it."""
    found: dict[str, set[str]] = {}
    section = ""
    for line in asked("--dump-configuration-items"):
        if line.startswith("["):
            section = line[1:-1]
        elif "=" in line:
            found.setdefault(section, set()).add(line.partition("=")[0])
    return found


@ORACLE
def test_every_directive_of_systemd_is_taken_or_refused_with_a_reason() -> None:
    listed = read_by_systemd()
    known = {
        section: set(rows) | set(NOT_TRANSIENT.get(section, {}))
        for section, rows in PROPERTIES.items()
    }
    # What systemd only warns of is not listed by it.
    ignored = {
        key for rows in NOT_TRANSIENT.values() for key, why in rows.items() if "ignores it" in why
    }
    # A slice and what has no processes to kill refuse by name what they would ignore.
    for section, keys in known.items():
        assert keys - ignored == listed[section], section


@ORACLE
def test_every_property_is_one_that_systemd_shows() -> None:
    shown = set(asked("--dump-bus-properties"))
    ours = {name for rows in SECTIONS.values() for row in rows for name, _ in row.properties}
    strange = {
        name
        for name in ours - shown - WRITE_ONLY
        if not any(name.removesuffix(form) in shown for form in FORMS if name.endswith(form))
    }
    assert strange == set()


def test_no_directive_has_two_rows_or_is_taken_and_refused() -> None:
    for section, rows in SECTIONS.items():
        names = [name for row in rows for name in row.directives]
        assert sorted(names) == sorted(set(names)), section
        assert not set(names) & set(NOT_TRANSIENT.get(section, {})), section


def test_every_directive_has_a_sample() -> None:
    assert untested() == set()


def test_every_refusal_says_in_one_line_what_to_do() -> None:
    reasons = [why for rows in NOT_TRANSIENT.values() for why in rows.values()]
    assert all(why and "\n" not in why and len(why) < 100 for why in reasons)
