"""Reference pages from the tables that the code itself reads: `.venv/bin/python docs/generate.py`.

`tests/test_docs.py` says when a page is older than its table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fleetish.config import SETTINGS
from fleetish.units import (
    rows_exec,
    rows_mount,
    rows_path,
    rows_resource,
    rows_sandbox,
    rows_scope,
    rows_service,
    rows_socket,
    rows_timer,
    rows_unit,
)
from fleetish.units.rows import Empty, Row
from fleetish.units.sections import NOT_TRANSIENT, SECTIONS
from fleetish.units.xfleet import OPTIONS

HERE = Path(__file__).parent / "reference"

#: systemd's manual pages, and the rows of the directives that each describes.
MANUAL: dict[str, tuple[Row, ...]] = {
    "systemd.unit(5)": rows_unit.UNIT,
    "systemd.service(5)": rows_service.SERVICE,
    "systemd.socket(5)": rows_socket.SOCKET,
    "systemd.timer(5)": rows_timer.TIMER,
    "systemd.path(5)": rows_path.PATH,
    "systemd.mount(5)": rows_mount.MOUNT,
    "systemd.automount(5)": rows_mount.AUTOMOUNT,
    "systemd.scope(5)": rows_scope.SCOPE,
    "systemd.exec(5)": (*rows_exec.EXEC, *rows_sandbox.SANDBOX),
    "systemd.kill(5)": rows_service.KILL,
    "systemd.resource-control(5)": (
        rows_resource.SLICE,
        *rows_resource.RESOURCE,
        rows_resource.DELEGATE,
        *rows_resource.MANAGED_OOM,
    ),
}
#: What an assignment with nothing after the ``=`` does.
EMPTY = {
    Empty.RESETS: "takes back what was said before",
    Empty.COUNTS: "is a value",
    Empty.NOTHING: "says nothing",
    Empty.REFUSED: "refused",
}


def x_fleet() -> str:
    """Every option of [X-Fleet]."""
    head = (
        "# [X-Fleet]\n\n"
        "Made from the table in `fleetish/units/xfleet_options.py`. Options of fleet 1.0 mean\n"
        "what they meant there; their older spellings are taken too.\n\n"
        "| option | meaning | empty resets | also spelled |\n|---|---|---|---|\n"
    )
    rows = (
        f"| `{o.key}=` | {o.doc} | {'yes' if o.resets else 'no'} "
        f"| {', '.join(f'`{alias}`' for alias in o.aliases) or '–'} |\n"
        for o in OPTIONS
    )
    return head + "".join(rows)


def settings() -> str:
    """Every setting of the daemon."""
    head = (
        "# Settings of the daemon\n\n"
        "Made from the table in `fleetish/config.py`. Read from `/etc/fleetish/fleetish.toml`,\n"
        "then from the environment, then from flags of `fleetish serve`; later sources win.\n\n"
        "| setting | environment | meaning |\n|---|---|---|\n"
    )
    return head + "".join(f"| `{s.name}` | `{s.variable}` | {s.help} |\n" for s in SETTINGS)


def directives() -> str:
    """Every directive of a unit file: the property that it sets, or why it cannot be used."""
    head = (
        "# Directives of unit files\n\n"
        "Made from the tables in `fleetish/units/rows_*.py`. A unit is started over D-Bus with\n"
        "the properties named here; what a directive means is in systemd's manual page. Scopes\n"
        "hold processes that somebody else started, so [Scope] is here for its settings only.\n"
        "How this compares with systemd's own reading: [corpus](corpus.md).\n"
    )
    return head + "".join(_manual_pages()) + "".join(_not_transient())


def _manual_pages() -> Iterator[str]:
    """A table for each manual page; a row that two pages could have is in the first."""
    done: set[Row] = set()
    for page, rows in MANUAL.items():
        yield f"\n## {page}\n\n"
        yield "| directive | in | property (D-Bus signature) | left empty |\n|---|---|---|---|\n"
        for row in dict.fromkeys(rows):
            if row not in done:
                yield _directive(row)
        done.update(rows)


def _directive(row: Row) -> str:
    names = ", ".join(f"`{name}=`" for name in row.directives)
    places = ", ".join(section for section, rows in SECTIONS.items() if row in rows)
    sets = ", ".join(f"`{name}` ({signature})" for name, signature in row.properties)
    return f"| {names} | {places} | {sets} | {EMPTY[row.empty]} |\n"


def _not_transient() -> Iterator[str]:
    """What systemd has for files only."""
    yield "\n## Refused\n\nsystemd reads these from files, and takes none over the bus.\n\n"
    yield "| directive | in | instead |\n|---|---|---|\n"
    places: dict[tuple[str, str], list[str]] = {}
    for section, rows in NOT_TRANSIENT.items():
        for name, instead in rows.items():
            places.setdefault((name, instead), []).append(section)
    for (name, instead), sections in sorted(places.items()):
        yield f"| `{name}=` | {', '.join(sections)} | {instead} |\n"


PAGES = {"x-fleet.md": x_fleet, "settings.md": settings, "directives.md": directives}


def main() -> None:
    """Write every page."""
    HERE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (HERE / name).write_text(page())


if __name__ == "__main__":
    main()
