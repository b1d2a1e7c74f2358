"""Reference pages from the tables that the code itself reads: `.venv/bin/python docs/generate.py`.

`tests/test_docs.py` says when a page is older than its table.
"""

from __future__ import annotations

from pathlib import Path

from fleetish.config import SETTINGS
from fleetish.units.xfleet import OPTIONS

HERE = Path(__file__).parent / "reference"


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


PAGES = {"x-fleet.md": x_fleet, "settings.md": settings}


def main() -> None:
    """Write every page."""
    HERE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (HERE / name).write_text(page())


if __name__ == "__main__":
    main()
