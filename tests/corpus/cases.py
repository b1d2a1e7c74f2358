"""Unit files as cases to compare: under what name each is loaded, and what keeps it from running;
pure.

Each case has a name of its own, ``case17`` before the name that its file has, so that no case is
named by another or by the host. Where a file names its own partner, so does the partner's name
there. Units of mounts keep their names: systemd wants them to be paths.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fleetish.units.name import instantiate, parse_name

#: What stands in for the instance of a template.
INSTANCE = "x"
#: Types whose name says what they do (systemd.mount(5), systemd.automount(5)).
OWN_NAME = frozenset({"mount", "automount"})
#: Never true. Appended to the file, so that both readings have it and neither runs anything.
NEVER = "\n\n[Unit]\nConditionPathExists=!/\n"
#: Where a socket, timer or path says what it activates, and a service what activates it.
_PARTNER = r"^((?:Service|Unit|Sockets)[ \t]*=[ \t]*)({}\w+[ \t]*)$"


class Case(NamedTuple):
    """One unit file: the file's name for systemd, the name of the unit, and the text.

    ``alone``: it has the name of a real unit, so no other may be loaded beside it.
    """

    file: str
    unit: str
    text: str
    alone: bool


def instance(file: str) -> str:
    """The unit of a file: its own name, or for a template that of an instance."""
    return instantiate(file, INSTANCE) if parse_name(file).is_template else file


def case(number: int, name: str, text: str) -> Case:
    """The case of a unit file with this name; a template is tried as its instance ``x``."""
    stem, _, suffix = name.rpartition(".")
    if suffix in OWN_NAME:
        return Case(name, instance(name), text + NEVER, alone=True)
    mark = f"case{number}"
    partner = _PARTNER.format(
        re.escape(stem) + ("(?:%[iI])?" if stem.endswith("@") else "") + r"\."
    )
    text = re.sub(partner, rf"\g<1>{mark}\g<2>", text, flags=re.MULTILINE)
    return Case(mark + name, instance(mark + name), text + NEVER, alone=False)


def cases(files: list[tuple[str, str]]) -> tuple[Case, ...]:
    """A case for each name and text."""
    return tuple(case(number, name, text) for number, (name, text) in enumerate(files))
