"""A unit's own directory, and what is fetched into it before its commands; pure.

    StateDirectory=     fleetish/sandbox/UNIT, which systemd makes and gives to the unit's user
    WorkingDirectory=   the same, where the file sets none
    Environment=        FLEETISH_SANDBOX
    ExecStartPre=       fleetish fetch …, before the file's own: in the unit's cgroup, as its user

The directory is that of StateDirectory= (systemd.exec(5)), so it can be written to whatever else
the unit may not. It stays from run to run; the agent removes it when it forgets the unit.
"""

from __future__ import annotations

from fleetish.model import Assignment
from fleetish.units.properties import Property, TransientUnit
from fleetish.units.specifiers import Context

#: Below the directory for state: what is removed with a unit, in a folder of the unit's name each.
#: The second is for what a unit keeps beside its sandbox.
BELOW = "fleetish/sandbox"
KINDS = (BELOW, "fleetish/volumes")

#: Below the directory for state: by cluster, an empty file for each unit whose directories are to
#: be removed with it. Another cluster's units on this host are not ours to sweep.
NOTES = "fleetish/kept"

#: Below the directory for caches: where users have their caches of downloads.
CACHES = "fleetish/fetch"

#: In a sandbox: why fetching failed.
REPORT = ".fetch-failed"

#: Seconds by which fetching gives up before systemd ends the start, to say why.
SOONER = 2.0
#: How long a start may take where nobody says so (DefaultTimeoutStartSec= in systemd-system.conf).
DEFAULT_START = 90.0

_NEVER = 2**64 - 1


def path(unit: str, context: Context) -> str:
    """The unit's own directory."""
    return f"{context.state_dir}/{BELOW}/{unit}"


def directory(
    wish: Assignment, unit: TransientUnit, context: Context
) -> tuple[tuple[Property, ...], dict[str, str]]:
    """What gives a unit its directory: properties, and variables that it is told."""
    if not wish.requirements.sandbox:
        return (), {}
    held = {one.name: one.value for one in unit.properties}
    where = path(unit.name, context)
    found = [Property("StateDirectory", "as", [f"{BELOW}/{unit.name}"])]
    if "WorkingDirectory" not in held:
        found.append(Property("WorkingDirectory", "s", where))
    told = {"FLEETISH_SANDBOX": where}
    own = held.get("StateDirectory")
    if isinstance(own, list):  # $STATE_DIRECTORY goes on naming only what the file asked for
        told["STATE_DIRECTORY"] = ":".join(f"{context.state_dir}/{name}" for name in own)
    return tuple(found), told


def fetching(
    wish: Assignment, unit: TransientUnit, context: Context, program: tuple[str, ...]
) -> tuple[Property, ...]:
    """The command that fetches; ``program`` is how ``fleetish fetch`` is run on this machine."""
    items = wish.requirements.fetch
    if not items:
        return ()
    argv = [
        *program,
        f"--into={path(unit.name, context)}",
        f"--report={REPORT}",
        f"--cache={context.cache_dir}/{CACHES}",
        f"--seconds={_seconds(unit):g}",
        "--",
        *(str(item) for item in items),
    ]
    # systemd expands $NAME in the arguments of commands (systemd.service(5)); $$ is a dollar.
    words = [word.replace("$", "$$") for word in argv]
    return (Property("ExecStartPre", "a(sasb)", [[program[0], words, False]]),)


def _seconds(unit: TransientUnit) -> float:
    """How long fetching may take, as part of the start."""
    held = {one.name: one.value for one in unit.properties}
    asked = held.get("TimeoutStartUSec")
    if not isinstance(asked, int):
        asked = _NEVER if held.get("Type") == "oneshot" else round(DEFAULT_START * 1_000_000)
    if asked in (0, _NEVER):
        return 3600.0
    return max(1.0, asked / 1_000_000 - SOONER)
