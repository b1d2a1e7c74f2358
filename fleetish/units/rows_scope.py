"""The [Scope] section (systemd.scope(5)): settings for processes that somebody else started, so no
file of a scope can be run; what it shares with other types is elsewhere."""

from __future__ import annotations

from fleetish.units.rows import choice, micros

SCOPE = (
    micros("RuntimeMaxSec"),
    micros("RuntimeRandomizedExtraSec"),
    micros("TimeoutStopSec"),
    choice("OOMPolicy", "continue", "stop", "kill"),
)
