"""The unit files of directives.txt: each tests one directive against systemd itself."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fleetish.units.properties import PROPERTIES


class Sample(NamedTuple):
    """One file: the section, the lines in it, and the whole text."""

    section: str
    lines: tuple[str, ...]
    text: str

    @property
    def label(self) -> str:
        return " && ".join(self.lines)


def _sample(section: str, lines: tuple[str, ...]) -> Sample:
    start = any(line.startswith("ExecStart=") for line in lines)
    base = "[Service]\nRemainAfterExit=yes\n" + ("" if start else "ExecStart=/bin/true\n")
    return Sample(section, lines, f"{base}[{section}]\n" + "\n".join(lines) + "\n")


def _read() -> tuple[Sample, ...]:
    rows: list[Sample] = []
    section = ""
    for line in Path(__file__).with_name("directives.txt").read_text().splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            rows.append(_sample(section, tuple(line.split(" && "))))
    return tuple(rows)


SAMPLES = _read()


def untested() -> set[str]:
    """Directives of the table that no sample has."""
    seen = {line.partition("=")[0] for sample in SAMPLES for line in sample.lines}
    return {key for section in ("Unit", "Service") for key in PROPERTIES[section]} - seen
