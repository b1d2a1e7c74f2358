"""Specifiers of systemd.unit(5): ``%i``, ``%n``, ``%H`` … expanded from an explicit record.

Transient units get their values after systemd would have expanded them, so the machine that runs a
unit does it, with a Context of its own facts. Here a specifier that does not exist is an error;
systemd would leave it in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from fleetish.errors import BadName, BadUnit
from fleetish.units import name as names
from fleetish.units.name import UnitName


class Context(NamedTuple):
    """Facts about a host, as its systemd sees them. Empty os-release fields expand to "".

    ``user`` … ``shell`` describe whom the service manager runs as (root for the system's own), not
    the unit's User=.
    """

    machine_id: str = "00000000000000000000000000000000"
    boot_id: str = "00000000000000000000000000000000"
    hostname: str = "localhost"
    pretty_hostname: str = ""
    kernel_release: str = "0"
    architecture: str = "x86-64"
    os_id: str = "linux"
    os_version_id: str = ""
    os_build_id: str = ""
    os_variant_id: str = ""
    os_image_id: str = ""
    os_image_version: str = ""
    user: str = "root"
    uid: int = 0
    group: str = "root"
    gid: int = 0
    home: str = "/root"
    shell: str = "/bin/sh"
    runtime_dir: str = "/run"
    state_dir: str = "/var/lib"
    cache_dir: str = "/var/cache"
    logs_dir: str = "/var/log"
    configuration_dir: str = "/etc"
    tmp_dir: str = "/tmp"
    var_tmp_dir: str = "/var/tmp"
    unit_dir: str = "/run/systemd/transient"


Expansion = Callable[[UnitName, Context], str]

_MARK = re.compile(r"%(.?)", re.DOTALL)


def expand(text: str, name: UnitName, context: Context) -> str:
    """The text with all specifiers replaced.

    Raises BadUnit on a specifier that systemd.unit(5) does not have, a ``%`` at the end, or one
    that this unit's name cannot give (``%I`` of an instance that is not escaped text).
    """
    if "%" not in text:
        return text

    def one(found: re.Match[str]) -> str:
        row = SPECIFIERS.get(found[1])
        if row is None:
            raise BadUnit(
                f"cannot expand {found[0]!r}: there is no such specifier",
                hint="write %% for a percent sign",
            )
        try:
            return row[0](name, context)
        except BadName as error:
            raise BadUnit(f"cannot expand {found[0]!r}: {error.message}") from None

    return _MARK.sub(one, text)


def _instance(name: UnitName, _: Context) -> str:
    return name.instance or ""


def _last_component(name: UnitName, _: Context) -> str:
    return name.prefix.rpartition("-")[2]


def _file_path(name: UnitName, _: Context) -> str:
    return names.unescape_path(name.instance or name.prefix)


def _short_hostname(_: UnitName, context: Context) -> str:
    return context.hostname.partition(".")[0]


#: Specifier letter to what it stands for and how the manual puts it, in the manual's order.
SPECIFIERS: dict[str, tuple[Expansion, str]] = {
    "a": (lambda _, c: c.architecture, "architecture"),
    "A": (lambda _, c: c.os_image_version, "operating system image version"),
    "b": (lambda _, c: c.boot_id, "boot id"),
    "B": (lambda _, c: c.os_build_id, "operating system build id"),
    "C": (lambda _, c: c.cache_dir, "cache directory root"),
    "d": (lambda n, c: f"{c.runtime_dir}/credentials/{n.full}", "credentials directory"),
    "E": (lambda _, c: c.configuration_dir, "configuration directory root"),
    "f": (_file_path, "unescaped instance or prefix as a path"),
    "g": (lambda _, c: c.group, "group of the service manager"),
    "G": (lambda _, c: str(c.gid), "group id of the service manager"),
    "h": (lambda _, c: c.home, "home directory of the service manager's user"),
    "H": (lambda _, c: c.hostname, "host name"),
    "i": (_instance, "instance name"),
    "I": (lambda n, _: names.unescape(n.instance or ""), "unescaped instance name"),
    "j": (_last_component, "final component of the prefix, after its last -"),
    "J": (lambda n, c: names.unescape(_last_component(n, c)), "the same, unescaped"),
    "l": (_short_hostname, "short host name"),
    "L": (lambda _, c: c.logs_dir, "log directory root"),
    "m": (lambda _, c: c.machine_id, "machine id"),
    "M": (lambda _, c: c.os_image_id, "operating system image id"),
    "n": (lambda n, _: n.full, "full unit name"),
    "N": (lambda n, _: n.stem, "unit name without the type suffix"),
    "o": (lambda _, c: c.os_id, "operating system id"),
    "p": (lambda n, _: n.prefix, "prefix name"),
    "P": (lambda n, _: names.unescape(n.prefix), "unescaped prefix name"),
    "q": (lambda _, c: c.pretty_hostname or c.hostname, "pretty host name"),
    "s": (lambda _, c: c.shell, "shell of the service manager's user"),
    "S": (lambda _, c: c.state_dir, "state directory root"),
    "t": (lambda _, c: c.runtime_dir, "runtime directory root"),
    "T": (lambda _, c: c.tmp_dir, "directory for temporary files"),
    "u": (lambda _, c: c.user, "user of the service manager"),
    "U": (lambda _, c: str(c.uid), "user id of the service manager"),
    "v": (lambda _, c: c.kernel_release, "kernel release"),
    "V": (lambda _, c: c.var_tmp_dir, "directory for larger temporary files"),
    "w": (lambda _, c: c.os_version_id, "operating system version id"),
    "W": (lambda _, c: c.os_variant_id, "operating system variant id"),
    "y": (lambda n, c: f"{c.unit_dir}/{n.full}", "path of the unit's file"),
    "Y": (lambda _, c: c.unit_dir, "directory of the unit's file"),
    "%": (lambda _, __: "%", "a percent sign"),
}
