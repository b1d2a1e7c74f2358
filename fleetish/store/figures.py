"""What the store counts about itself, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Figures:
    """Counts since the start of the process.

    ``errors``: calls that failed; ``unknown``: writes without an answer; ``reconnects``: changes to
    another etcd member; ``resumed``: watches that went on over a new connection; ``listings``: full
    lists; ``divergence``: differences that a watch did not tell of; ``conflicts``: refused writes.
    """

    errors: int = 0
    unknown: int = 0
    reconnects: int = 0
    resumed: int = 0
    listings: int = 0
    divergence: int = 0
    conflicts: int = 0
