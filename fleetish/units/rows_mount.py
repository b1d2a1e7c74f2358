"""The [Mount] and [Automount] sections (systemd.mount(5), systemd.automount(5)); what a mount
shares with other types is elsewhere."""

from __future__ import annotations

from fleetish.units import values
from fleetish.units.rows import absolute, file_mode, flag, micros, text

MOUNT = (
    text("What"),
    text("Where", check=absolute),
    text("Type"),
    text("Options"),
    micros("TimeoutSec", read=values.span_or_never),
    file_mode("DirectoryMode"),
    flag("SloppyOptions"),
    flag("LazyUnmount"),
    flag("ForceUnmount"),
    flag("ReadWriteOnly"),
)

AUTOMOUNT = (
    text("Where", check=absolute),
    text("ExtraOptions"),
    file_mode("DirectoryMode"),
    micros("TimeoutIdleSec", read=values.span_or_never),
)
