"""Whether what systemd read and what fleetish started are one unit; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.corpus.differences import REFUSALS, complaints, differences

#: Properties that say whether systemd took a file at all.
LOADED = "loaded"


def faults(row: Mapping[str, Any]) -> list[str]:
    """What must not be, of a row of on_host.py's answer; a file that is refused has no fault.

    A file that fleetish takes must be one that systemd takes without a word, over the bus too, and
    must be shown the same.
    """
    native = row["native"]
    if "started" not in row:
        said: str = row["refused"]
        foreseen = any(one.fullmatch(said) for one in REFUSALS.values())
        return [said] if said.startswith("systemd: ") and not foreseen else []
    if native["LoadState"] != LOADED:
        return [f"systemd does not load the file: {native['LoadState']}"]
    return [
        *complaints(row["warnings"]),
        *(
            f"{name}: {was!r} in the file, {now!r} when started"
            for name, (was, now) in differences(native, row["started"]).items()
        ),
    ]
