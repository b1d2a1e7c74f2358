"""systemd over D-Bus: the only place that speaks it."""

from fleetish.agent.systemd.bus import SystemdBus

__all__ = ["SystemdBus"]
