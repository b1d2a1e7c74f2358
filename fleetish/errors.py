"""Every error that fleetish raises on purpose.

FleetishError               base; its text is one line for a person, its hint the way out
├── Refused                 the request is wrong or contradictory; nothing was changed
│   ├── BadName             a unit name that systemd or fleet would not take
│   ├── BadUnit             a unit file that cannot be taken: names file, line, directive
│   ├── BadOption           an [X-Fleet] option, or a combination of them
│   ├── BadTemplate         a Jinja2 template that does not render
│   └── BadConfig           a configuration setting
├── NotFound                no such unit, machine, lab or host
├── Conflict                somebody else changed it first, or the name is taken
├── Unavailable             the store, a machine or the API does not answer (for now)
│   ├── StoreUnavailable    etcd does not answer
│   └── OutcomeUnknown      sent, but no answer came: read again, then decide
├── LeadershipLost          another engine holds the leader key; ends the leader's loop
├── LeaseLost               this machine's lease is gone; the agent registers anew
├── SystemdError            systemd or the bus refused; carries the D-Bus error name
├── WaitTimeout             what was waited for did not happen in time; nothing rolled back
└── LabError                the test cluster could not do what was asked
"""

from __future__ import annotations


class FleetishError(Exception):
    """An error whose text is meant for the person who reads it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Refused(FleetishError):
    """The request is wrong; nothing was changed."""


class BadName(Refused):
    """A unit name that cannot be taken."""


class BadUnit(Refused):
    """A unit file that cannot be taken; ``where`` is ``file:line`` when known."""

    def __init__(
        self, message: str, *, where: str = "", directive: str = "", hint: str = ""
    ) -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where
        self.directive = directive


class BadOption(BadUnit):
    """An [X-Fleet] option with a bad value, or options that exclude each other."""


class BadTemplate(Refused):
    """A Jinja2 template that cannot be rendered."""


class BadConfig(Refused):
    """A configuration setting that cannot be used."""


class NotFound(FleetishError):
    """The named thing does not exist."""


class Conflict(FleetishError):
    """Somebody else changed it first, or the name is taken."""


class Unavailable(FleetishError):
    """A part that is needed does not answer for now."""


class StoreUnavailable(Unavailable):
    """etcd does not answer."""


class OutcomeUnknown(Unavailable):
    """The request was sent but no answer came: it may or may not have happened."""


class LeadershipLost(FleetishError):
    """Another engine holds the leader key, or nobody does."""


class LeaseLost(FleetishError):
    """The lease under which this machine is registered is gone."""


class SystemdError(FleetishError):
    """systemd or the message bus refused; ``name`` is the D-Bus error name."""

    def __init__(self, message: str, *, name: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.name = name


class FetchFailed(FleetishError):
    """A file that a unit needs cannot be had, or cannot be unpacked."""


class WaitTimeout(FleetishError):
    """What was waited for did not happen in time; nothing is rolled back."""


class LabError(FleetishError):
    """The test cluster could not do what was asked."""
