"""A unit against what the host's systemd has."""

from __future__ import annotations

from fleetish.agent.needs import Unknown, refusal, unknown
from fleetish.units.file import parse
from fleetish.units.properties import Property, TransientUnit, translate
from fleetish.units.specifiers import Context

TEXT = (
    "[Unit]\nDescription=a\n"
    "[Service]\nExecStart=/bin/true\nMemoryMax=50%\nManagedOOMPreference=avoid\n"
)
KNOWN = {"Description", "ExecStart", "ExecStartEx", "MemoryMax", "ManagedOOMPreference"}


def lacks(known: set[str], text: str = TEXT) -> Unknown | None:
    file = parse(text, "web.service")
    return unknown(file, translate(file, "web.service", Context()), known)


def test_a_unit_may_need_what_systemd_has_also_by_names_that_only_set_it() -> None:
    assert lacks(KNOWN) is None


def test_what_systemd_does_not_have_is_named_with_its_line() -> None:
    found = lacks(KNOWN - {"ManagedOOMPreference"})
    assert found == Unknown("ManagedOOMPreference", "web.service:6")
    assert str(refusal("web.service", found, "247")) == (
        "web.service:6: cannot start web.service: systemd 247 here has no ManagedOOMPreference="
        " (leave it out, or run the unit on machines with a newer systemd)"
    )


def test_what_no_line_set_is_named_by_its_property() -> None:
    unit = TransientUnit("web.service", (Property("LogExtraFields", "aay", []),))
    assert unknown(parse(TEXT), unit, KNOWN) == Unknown("LogExtraFields", "")
