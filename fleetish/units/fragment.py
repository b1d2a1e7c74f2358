"""The text that should stand in systemd's own file of a transient unit.

systemd writes /run/systemd/transient/NAME when a unit is started over the bus, and reads it again
at every daemon-reload, whoever asks for that. Version 252 does not write all that it was told:
commands with one of the prefixes ``+ ! !! :`` are lost, ``$VAR`` in a command becomes ``\\$VAR``,
RestrictNamespaces=yes becomes no, CPUQuota=12.5% becomes 12%, a journal field is cut at its first
space. The processes run on, but a restart would run something else.

The unit's own text, specifiers and all, reads back as what was started. Put in that file's place
(whole, by renaming, with the old file's time of modification, so that systemd does not call it
changed), it makes a daemon-reload harmless. No reload is needed for that.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleetish.units.file import Option, UnitFile, from_options


def fragment(file: UnitFile, added: Iterable[Option] = (), first: Iterable[Option] = ()) -> str:
    """The file without comments, [Install] and [X-…], and with what was ``added`` to its sections:
    (section, directive, value) in unit-file syntax, such as ("Service", "Slice", "a.slice"); and
    with what comes ``first`` among the assignments of its directive that count.

    Raises BadUnit when an added option is no line of a unit file.
    """
    own = [row for row in file.options() if row[0] != "Install" and not row[0].startswith("X-")]
    for option in first:
        own.insert(_before(own, option), option)
    return from_options([*own, *added], file.source).render()


def _before(own: list[Option], option: Option) -> int:
    """Where an option comes before all of its directive that no empty one drops."""
    same = [at for at, row in enumerate(own) if row[:2] == option[:2]]
    dropped = [at for at in same if not own[at][2]]
    if dropped:
        return dropped[-1] + 1
    return same[0] if same else len(own)
