"""The unit files of directives.txt: each tests one directive against systemd itself."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fleetish.units.properties import PROPERTIES

#: Section to what a unit needs besides the sample's lines, unless one of them begins so: its
#: section is opened again for them.
BASES: dict[str, tuple[tuple[str, str | tuple[str, ...]], ...]] = {
    "Service": (("RemainAfterExit=yes", "RemainAfterExit"), ("ExecStart=/bin/true", "ExecStart=")),
    "Socket": (("ListenStream=/run/base", "Listen"),),
    "Timer": (("OnBootSec=1week", "On"),),
    "Path": (("PathExists=/nonexistent", ("Path", "DirectoryNotEmpty")),),
    "Mount": (("What=tmpfs", "What"),),
}
#: No unit but services, slices and scopes really starts: what it does to the host is not the
#: question, and a mount that is up is shown as the kernel has it.
IDLE = "[Unit]\nConditionPathExists=!/\n"


class Sample(NamedTuple):
    """One file: the section, the lines in it, the whole text, and the type of unit that it is."""

    section: str
    lines: tuple[str, ...]
    text: str
    kind: str

    @property
    def label(self) -> str:
        return " && ".join(self.lines)

    @property
    def title(self) -> str:
        """The label with its section, which no other sample has."""
        return f"[{self.section}] {self.label}"


def sample(section: str, lines: tuple[str, ...]) -> Sample:
    """The file that tests the lines; [Unit] is tested in services."""
    own = "Service" if section == "Unit" else section
    needed = [
        line
        for line, begin in BASES.get(own, ())
        if not any(given.startswith(begin) for given in lines)
    ]
    text = "" if own in ("Service", "Slice") else IDLE
    text += "\n".join((f"[{own}]", *needed, f"[{section}]", *lines, ""))
    return Sample(section, lines, text, own.lower())


def _read() -> tuple[Sample, ...]:
    rows: list[Sample] = []
    section = ""
    for line in Path(__file__).with_name("directives.txt").read_text().splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            rows.append(sample(section, tuple(line.split(" && "))))
    return tuple(rows)


SAMPLES = _read()


def untested() -> set[tuple[str, str]]:
    """Directives that no sample has; what sections share needs a sample in one of them."""
    seen = {
        PROPERTIES[one.section][key]
        for one in SAMPLES
        for key in (line.partition("=")[0] for line in one.lines)
    }
    spelled = {line.partition("=")[0] for one in SAMPLES for line in one.lines}
    return {
        (section, key)
        for section, rows in PROPERTIES.items()
        for key, row in rows.items()
        if row not in seen or key not in spelled
    }
