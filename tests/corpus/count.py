"""What of the unit files translates, and what is refused with what reason; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fleetish.errors import BadUnit
from fleetish.units.file import UnitFile, parse, read
from fleetish.units.properties import read_properties
from fleetish.units.sections import TYPE_SECTIONS
from fleetish.units.specifiers import Context
from tests.corpus.cases import instance


class Refusal(NamedTuple):
    """A directive that cannot be taken: the type of unit, the directive, the sentence, the file."""

    kind: str
    directive: str
    reason: str
    file: str


class Verdict(NamedTuple):
    """One file: how many directives it has (without [Install]), and those that are refused."""

    package: str
    name: str
    directives: int
    installs: int
    refused: tuple[Refusal, ...]

    @property
    def kind(self) -> str:
        """The type of unit."""
        return self.name.rpartition(".")[2]


def judge(package: str, name: str, text: str) -> Verdict:
    """The verdict on a file of a type that can be started here."""
    problems: list[BadUnit] = []
    file = read(text, name, problems.append)
    read_properties(file, instance(name), Context(), problems.append)
    return Verdict(
        package,
        name,
        directives=sum(not _is_install(file, at) for at in range(len(file.entries))),
        installs=sum(_is_install(file, at) for at in range(len(file.entries))),
        refused=tuple(_refusals(name, problems)),
    )


def _is_install(file: UnitFile, at: int) -> bool:
    return file.entries[at].section == "Install"


def _refusals(name: str, problems: Iterable[BadUnit]) -> Iterable[Refusal]:
    """Each line once, with the first thing that is wrong with it."""
    lines = {(one.where, one.directive): one for one in reversed(list(problems))}
    for one in reversed(lines.values()):
        reason = one.message.removeprefix(f"{one.where}: ")
        yield Refusal(name.rpartition(".")[2], one.directive, reason, name)


def startable(name: str) -> bool:
    """Whether systemd makes transient units of the type of this file."""
    return name.rpartition(".")[2] in TYPE_SECTIONS


class Count(NamedTuple):
    """The sums over all files.

    ``others``: types that systemd makes no transient units of, with the files and directives.
    """

    packages: int
    verdicts: tuple[Verdict, ...]
    others: tuple[tuple[str, int, int], ...]

    @property
    def directives(self) -> int:
        """Assignments in all files of types that can be started, without [Install]."""
        return sum(one.directives for one in self.verdicts)

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """Every assignment that is refused."""
        return tuple(row for one in self.verdicts for row in one.refused)

    @property
    def share(self) -> float:
        """Translated assignments among all, from 0 to 1."""
        return 1 - len(self.refused) / self.directives

    @property
    def accepted(self) -> tuple[Verdict, ...]:
        """The files of which nothing is refused."""
        return tuple(one for one in self.verdicts if not one.refused)


def count(files: Sequence[tuple[str, str, str]]) -> Count:
    """The sums over (package, name, text)."""
    return Count(
        packages=len({package for package, _, _ in files}),
        verdicts=tuple(judge(*one) for one in files if startable(one[1])),
        others=tuple(_others([one for one in files if not startable(one[1])])),
    )


def _others(files: Sequence[tuple[str, str, str]]) -> Iterable[tuple[str, int, int]]:
    kinds: dict[str, list[int]] = {}
    for _, name, text in files:
        file = parse(text, name)
        lines = sum(not _is_install(file, at) for at in range(len(file.entries)))
        kinds.setdefault(name.rpartition(".")[2], []).append(lines)
    for kind, found in sorted(kinds.items()):
        yield kind, len(found), sum(found)
