"""Logging to stderr, in the journal's way where the journal listens (sd-daemon(3))."""

from __future__ import annotations

import logging
import os
import sys

#: Log levels as the journal's priorities.
PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)


class ToJournal(logging.Formatter):
    """A priority before each line, so that a trace keeps its own."""

    def format(self, record: logging.LogRecord) -> str:
        level = next((p for least, p in PRIORITIES if record.levelno >= least), 7)
        text = super().format(record)
        return "\n".join(f"<{level}>{line}" for line in text.splitlines() or [""])


def set_up(level: str) -> None:
    """Log to stderr from this level on; again changes only the level."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    journal = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(
        ToJournal("%(name)s: %(message)s")
        if journal
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    root.addHandler(handler)
    for noisy in ("asyncio", "grpc", "dbus_fast"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
