"""The text for systemd's own file of a transient unit."""

from __future__ import annotations

import pytest

from fleetish.errors import BadUnit
from fleetish.units.file import parse
from fleetish.units.fragment import fragment

TEXT = """\
# c
[Unit]
Description=%i
[Service]
ExecStart=+/a \\
  $B
[Install]
Alias=b.service
[X-Fleet]
Global=no
"""


def test_the_fragment_is_what_systemd_reads_of_the_file_and_what_was_added() -> None:
    added = [("Service", "Slice", "fleetish-a.slice"), ("Unit", "After", "b.service")]
    assert fragment(parse(TEXT), added) == (
        "[Unit]\nDescription=%i\nAfter=b.service\n\n"
        "[Service]\nExecStart=+/a \\\n  $B\nSlice=fleetish-a.slice\n"
    )


def test_what_is_added_cannot_bring_in_another_line() -> None:
    with pytest.raises(BadUnit):
        fragment(parse(TEXT), [("Service", "Slice", "a.slice\nUser=root")])
