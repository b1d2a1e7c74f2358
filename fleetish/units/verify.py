"""All that is wrong with a unit file, not only the first thing: what ``fleetish verify`` shows."""

from __future__ import annotations

from fleetish.errors import BadName, BadUnit
from fleetish.units import file as files
from fleetish.units import name as names
from fleetish.units import xfleet
from fleetish.units.file import UnitFile
from fleetish.units.properties import TransientUnit, read_properties, slice_of
from fleetish.units.sections import TYPE_SECTIONS
from fleetish.units.specifiers import Context

#: The instance that stands in for a template's own while it is verified.
SAMPLE_INSTANCE = "instance"


def read_as(name: str) -> str:
    """The name under which a unit's file is read: of a template, that of one of its instances.

    Raises BadName.
    """
    parts = names.parse_name(name)
    return names.instantiate(name, SAMPLE_INSTANCE) if parts.is_template else name


def verify(unit_file: UnitFile, name: str, context: Context | None = None) -> tuple[BadUnit, ...]:
    """Every problem of the file, in the order of its lines; a template is read as an instance.

    Without a ``context`` the facts of an unnamed host stand in for the specifiers.
    """
    try:
        instance = read_as(name)
    except BadName as error:
        return (BadUnit(error.message, where=unit_file.source, hint=error.hint),)
    found: list[BadUnit] = list(files.problems(unit_file.text, unit_file.source))
    try:
        properties = read_properties(unit_file, instance, context or Context(), found.append)
        found += _slice_problems(unit_file, TransientUnit(instance, properties))
    except BadUnit as error:  # of a type that cannot be translated at all
        found.append(error)
    found += _requirement_problems(unit_file, instance)
    found += _alias_problems(unit_file, instance)
    return tuple(sorted(_unique(found), key=_line))


def verify_text(text: str, name: str, source: str = "") -> tuple[BadUnit, ...]:
    """The same for a text that may not even parse; ``source`` names it in the problems."""

    def go_on(_: BadUnit) -> None:
        """``verify`` reports it again."""

    return verify(files.read(text, source or name, go_on), name)


def _slice_problems(unit_file: UnitFile, unit: TransientUnit) -> list[BadUnit]:
    try:
        slice_of(unit)
    except BadUnit as error:
        own = TYPE_SECTIONS[unit.name.rpartition(".")[2]]
        line = unit_file.last(own, "Slice")
        where = unit_file.where(line) if line else unit_file.source
        return [BadUnit(error.message, where=where, directive="Slice", hint=error.hint)]
    return []


def _alias_problems(unit_file: UnitFile, name: str) -> list[BadUnit]:
    return [
        BadUnit(
            f"cannot use Alias={line.shown}: a transient unit has one name",
            where=unit_file.where(line),
            directive="Alias",
            hint="leave it out, or submit the unit under that name",
        )
        for line in unit_file.values("Install", "Alias")
        if line.value != name
    ]


def _requirement_problems(unit_file: UnitFile, name: str) -> list[BadUnit]:
    found: list[BadUnit] = []
    xfleet.read_requirements(unit_file, name, found.append, strict=True)
    return found


def _unique(problems: list[BadUnit]) -> list[BadUnit]:
    """Each line's problem with a directive once: limits are read for the reservation too."""
    return list(
        {
            (problem.where, problem.directive, problem.message): problem for problem in problems
        }.values()
    )


def _line(problem: BadUnit) -> int:
    _, _, line = problem.where.rpartition(":")
    return int(line) if line.isdecimal() else 0
