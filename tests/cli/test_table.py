"""Tables as Go's tabwriter makes them for fleetctl."""

from __future__ import annotations

from fleetish.cli.table import legend, render, short


def test_columns_are_filled_with_tabs_to_a_multiple_of_eight() -> None:
    rows = [
        ["UNIT", "MACHINE", "ACTIVE", "SUB"],
        ["hello.service", "12345678.../10.0.0.1", "active", "running"],
        ["x.service", "-", "inactive", "dead"],
    ]
    assert render(rows) == (
        "UNIT\t\tMACHINE\t\t\tACTIVE\t\tSUB\n"
        "hello.service\t12345678.../10.0.0.1\tactive\t\trunning\n"
        "x.service\t-\t\t\tinactive\tdead\n"
    )


def test_a_cell_of_exactly_eight_characters_takes_another_tab() -> None:
    assert render([["12345678", "x"], ["1", "y"]]) == "12345678\tx\n1\t\ty\n"


def test_no_rows_are_no_lines() -> None:
    assert render([]) == ""


def test_machines_are_shown_as_fleetctl_shows_them() -> None:
    assert short("0123456789", full=False) == "01234567..."
    assert legend("0123456789", "10.0.0.1", full=False) == "01234567.../10.0.0.1"
    assert legend("0123456789", "", full=True) == "0123456789"
