"""What a machine has and a unit asks for: amounts that are added, subtracted and compared.

Whole numbers only, so that sums over thousands of units come back to exactly where they began:
CPU in thousandths of a core, memory and disk in bytes.
"""

from __future__ import annotations

import msgspec

MIB = 1024 * 1024


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """An amount of each resource; every field is 0 or more in what is stored."""

    millicpus: int = 0
    memory: int = 0
    disk: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.millicpus + other.millicpus, self.memory + other.memory, self.disk + other.disk
        )

    def __sub__(self, other: Resources) -> Resources:
        return Resources(
            self.millicpus - other.millicpus, self.memory - other.memory, self.disk - other.disk
        )

    def fits(self, free: Resources) -> bool:
        """True when every amount is at most what ``free`` has left of it."""
        return (
            self.millicpus <= free.millicpus
            and self.memory <= free.memory
            and self.disk <= free.disk
        )

    def lacks(self, free: Resources) -> tuple[str, ...]:
        """Which amounts ``free`` does not cover, as in ``needs 512 MiB memory, 100 free``."""
        rows = (
            ("CPUs", self.millicpus / 1000, free.millicpus / 1000),
            ("MiB memory", self.memory / MIB, free.memory / MIB),
            ("MiB disk", self.disk / MIB, free.disk / MIB),
        )
        return tuple(
            f"needs {want:g} {what}, {max(have, 0):g} free"
            for what, want, have in rows
            if want > have
        )

    def dominant_share(self, total: Resources) -> float:
        """The largest share that this is of ``total``; ``inf`` where total has none of it."""
        pairs = (
            (self.millicpus, total.millicpus),
            (self.memory, total.memory),
            (self.disk, total.disk),
        )
        shares = [part / whole if whole else float("inf") for part, whole in pairs if part]
        return max(shares, default=0.0)


NOTHING = Resources()
