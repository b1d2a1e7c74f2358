"""What goes over the wire in fleet's words; empty fields are left out, as fleet leaves them out."""

from __future__ import annotations

import msgspec

from fleetish.errors import FleetishError


class FleetError(FleetishError):
    """A refusal with the status and the text that fleet has for it."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


class Words(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Base of everything that fleet's clients read or send."""


class Option(Words, frozen=True):
    """One line of a unit file."""

    section: str = ""
    name: str = ""
    value: str = ""


NO_OPTIONS = msgspec.Raw(b"[]")


class Unit(Words, frozen=True, kw_only=True):
    """A unit; ``options`` is a list of :class:`Option`, encoded."""

    name: str
    options: msgspec.Raw = NO_OPTIONS
    desired_state: str = ""
    current_state: str = ""
    machine_id: str = msgspec.field(default="", name="machineID")


class UnitPage(Words, frozen=True, kw_only=True):
    units: tuple[Unit, ...] = ()
    next_page_token: str = ""


class UnitState(Words, frozen=True, kw_only=True):
    """A unit on a machine, in systemd's words."""

    name: str
    hash: str = ""
    machine_id: str = msgspec.field(default="", name="machineID")
    systemd_load_state: str = ""
    systemd_active_state: str = ""
    systemd_sub_state: str = ""


class UnitStatePage(Words, frozen=True, kw_only=True):
    states: tuple[UnitState, ...] = ()
    next_page_token: str = ""


class Machine(Words, frozen=True, kw_only=True):
    id: str
    primary_ip: str = msgspec.field(default="", name="primaryIP")
    metadata: dict[str, str] = {}


class MachinePage(Words, frozen=True, kw_only=True):
    machines: tuple[Machine, ...] = ()
    next_page_token: str = ""


class UnitWish(Words, frozen=True, kw_only=True):
    """The body of a PUT; what is null counts as absent."""

    name: str | None = None
    desired_state: str | None = None
    options: tuple[Option, ...] | None = None


class Value(msgspec.Struct, frozen=True):
    value: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a PATCH. fleet's documentation has the value as a string, its code as an object:
    both are taken."""

    op: str = ""
    path: str = ""
    value: str | Value | None = None
