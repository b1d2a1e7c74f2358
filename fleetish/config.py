"""The daemon's settings: one table, read from a TOML file, the environment and flags.

    SETTINGS ──► fleetish.toml  <  FLEETISH_<NAME>  <  flags  ──► Config

Later sources win, setting by setting. The table also makes ``fleetish serve --help`` and the
reference page. An unknown key is an error that names the file and the key that was likely meant.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from fleetish.errors import BadConfig, FleetishError
from fleetish.resources import NOTHING, Resources
from fleetish.units import values

DEFAULT_PATH = Path("/etc/fleetish/fleetish.toml")
ROLES = ("agent", "engine", "api")
#: Group of the entry points by which other packages add roles.
ROLE_GROUP = "fleetish.roles"
#: Where the faces of such roles listen; "" turns one off.
FACES = MappingProxyType({"marathon": ":8080", "chronos": ":4400", "mesos": ":5050"})
#: Networks that units may not have files fetched from, unless the settings say otherwise: this
#: machine itself, and what is only on its links, such as a cloud's metadata (RFC 6890).
CLOSED = ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10", "0.0.0.0/8", "::/128")
BUSES = ("system", "user")
LOG_LEVELS = ("debug", "info", "warning", "error")
CAPACITY = ("cpus", "memory", "disk", "ports")


@cache
def installed_roles() -> tuple[str, ...]:
    """The roles that this installation can run: fleetish's own, then those of other packages."""
    added = {found.name for found in entry_points(group=ROLE_GROUP)}
    return (*ROLES, *sorted(added - set(ROLES)))


@dataclass(frozen=True, slots=True)
class Config:
    """What ``fleetish serve`` runs with. Times are seconds.

    ``capacity`` amounts that are 0, and ``ports`` None, are measured or left at their default.
    ``fetch_size`` and ``fetch_cache`` are bytes.
    """

    etcd: tuple[str, ...] = ("http://127.0.0.1:2379",)
    etcd_ca: str = ""
    etcd_cert: str = ""
    etcd_key: str = ""
    etcd_user: str = ""
    etcd_password_file: str = ""
    prefix: str = "/fleetish/v1"
    cluster: str = "default"
    roles: tuple[str, ...] = field(default_factory=installed_roles)
    listen: tuple[str, ...] = ("unix:/run/fleetish/api.sock", ":7100")
    faces: Mapping[str, str] = field(default_factory=lambda: FACES)
    faces_credentials_file: str = ""
    faces_origins: tuple[str, ...] = ()
    faces_requests: int = 0
    address: str = ""
    machine_ttl: int = 10
    engine_ttl: int = 5
    metadata: Mapping[str, str] = field(default_factory=dict)
    capacity: Resources = NOTHING
    ports: tuple[int, int] | None = None
    fetch_file_roots: tuple[str, ...] = ()
    fetch_closed: tuple[str, ...] = CLOSED
    fetch_size: int = 4 << 30
    fetch_cache: int = 2 << 30
    run_directory: str = "/run/fleetish"
    bus: str = "system"
    log_level: str = "info"


class Setting(NamedTuple):
    """One row: how a setting is read from TOML and from text, and what it means.

    Both readers raise ValueError saying what would be right.
    """

    name: str
    from_toml: Callable[[Any], Any]
    from_text: Callable[[str], Any]
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"FLEETISH_{self.name.upper()}"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be a string")
    return value


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("it must be a whole number")
    return value


def _number_text(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ValueError("it must be a whole number")
    return int(value)


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("it must be a list of strings")
    return tuple(value)


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _pairs(value: str) -> dict[str, str]:
    pairs = [word.partition("=") for word in _words(value)]
    if not all(key and equals for key, equals, _ in pairs):
        raise ValueError("it must be key=value,key=value")
    return {key.strip(): text.strip() for key, _, text in pairs}


def _table(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError("it must be a table whose values are strings")
    return dict(value)


def _amounts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("it must be a table with " + ", ".join(CAPACITY))
    return {key: str(amount) for key, amount in value.items()}


def _size(value: Any) -> int:
    amount = values.size(_text(value))
    if not 0 < amount < 2**63:
        raise ValueError("it must be an amount such as 4G")
    return amount


def _one_of(words: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError("it must be one of " + ", ".join(words))
        return str(value)

    return read


SETTINGS = (
    Setting("etcd", _strings, _words, "URLs of the etcd members, such as http://10.0.0.1:2379."),
    Setting("etcd_ca", _text, str, "File with the certificates that etcd's are checked against."),
    Setting("etcd_cert", _text, str, "File with this client's certificate for etcd."),
    Setting("etcd_key", _text, str, "File with the key of that certificate."),
    Setting("etcd_user", _text, str, "User name for etcd."),
    Setting("etcd_password_file", _text, str, "File whose first line is that user's password."),
    Setting("prefix", _text, str, "What every key in etcd begins with."),
    Setting("cluster", _text, str, "The cluster's name: clusters on one host tell units by it."),
    Setting("roles", _strings, _words, "Which of agent, engine, api, marathon run here."),
    Setting("listen", _strings, _words, "Where the api listens: unix:/path or address:port."),
    Setting("faces", _table, _pairs, "Where other roles listen: marathon=:8080; empty: not."),
    Setting("faces_credentials_file", _text, str, "File with user:password to ask for."),
    Setting("faces_origins", _strings, _words, "Sites whose pages may read faces; * for all."),
    Setting("faces_requests", _number, _number_text, "Requests a face answers at once; 0: any."),
    Setting("address", _text, str, "Address told to others; else that of the default route."),
    Setting("machine_ttl", _number, _number_text, "Seconds until a silent machine is lost."),
    Setting("engine_ttl", _number, _number_text, "Seconds until a silent leader is replaced."),
    Setting("metadata", _table, _pairs, "Facts to place by, such as rack=r1."),
    Setting("capacity", _amounts, _pairs, "cpus, memory, disk, ports (a-b), where not measured."),
    Setting("fetch_file_roots", _strings, _words, "Directories that Fetch=file:// may read below."),
    Setting("fetch_closed", _strings, _words, "Networks that Fetch= takes nothing from."),
    Setting("fetch_size", _size, _size, "Largest file, and content of an archive, to fetch."),
    Setting("fetch_cache", _size, _size, "Most that is cached of one user's downloads."),
    Setting("run_directory", _text, str, "Directory for markers and sockets; gone with the boot."),
    Setting("bus", _one_of(BUSES), _one_of(BUSES), "Message bus of the systemd that runs units."),
    Setting("log_level", _one_of(LOG_LEVELS), _one_of(LOG_LEVELS), "Least level that is logged."),
)  # fmt: skip

_BY_NAME = MappingProxyType({setting.name: setting for setting in SETTINGS})


def load(
    path: Path | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
    flags: Mapping[str, str] = MappingProxyType({}),
) -> Config:
    """Read the settings of a daemon.

    ``path`` None means the default file, which may be absent; a named file must exist. ``flags``
    are texts by setting name. Raises BadConfig naming the source and the setting.
    """
    found = _from_file(path or DEFAULT_PATH, required=path is not None)
    for setting in SETTINGS:
        if setting.variable in environ:
            text = environ[setting.variable]
            found[setting.name] = _read(setting, setting.from_text, text, setting.variable)
        if setting.name in flags:
            flag = "--" + setting.name.replace("_", "-")
            found[setting.name] = _read(setting, setting.from_text, flags[setting.name], flag)
    if "faces" in found:
        found["faces"] = _all_faces(found["faces"])
    config = Config(**_split_capacity(found))
    check(config)
    return config


def _all_faces(given: Mapping[str, str]) -> dict[str, str]:
    """Where every face listens, when some are given. Raises BadConfig."""
    for name in given:
        if name not in FACES:
            raise unknown(name, "[faces]", tuple(FACES))
    return {**FACES, **given}


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        if required:
            raise BadConfig(f"cannot read {path}: there is no such file") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"cannot read {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"cannot read {path}: {error}") from None
    found = {}
    for key, value in content.items():
        if key not in _BY_NAME:
            raise unknown(key, str(path), tuple(_BY_NAME))
        found[key] = _read(_BY_NAME[key], _BY_NAME[key].from_toml, value, f"{path}: {key}")
    return found


def unknown(key: str, source: str, known: tuple[str, ...]) -> BadConfig:
    """The error for a key that does not exist, with the one that was likely meant."""
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(known)
    return BadConfig(f"cannot use {key!r} in {source}: there is no such setting", hint=hint)


def _read(setting: Setting, read: Callable[[Any], Any], value: Any, source: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise BadConfig(f"cannot use {value!r} for {source}: {error}", hint=setting.help) from None


def _split_capacity(found: dict[str, Any]) -> dict[str, Any]:
    """Turn the [capacity] table into resources and ports."""
    given = found.pop("capacity", {})
    for key in given:
        if key not in CAPACITY:
            raise unknown(key, "[capacity]", CAPACITY)
    try:
        amounts = Resources(
            millicpus=round(float(given.get("cpus", 0)) * 1000),
            memory=values.size(given["memory"]) if "memory" in given else 0,
            disk=values.size(given["disk"]) if "disk" in given else 0,
        )
        ports = _port_range(given["ports"]) if "ports" in given else None
    except (ValueError, FleetishError) as error:
        raise BadConfig(f"cannot use [capacity]: {error}", hint="such as memory = '8G'") from None
    return {**found, "capacity": amounts, "ports": ports}


def _port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) <= 65535):
        raise ValueError(f"ports {text!r} is not a range such as 31000-32000")
    return int(first), int(last)


def check(config: Config) -> None:
    """Refuse settings that contradict each other. Raises BadConfig."""
    wrong = next((text for text, holds in _rules(config) if not holds), None)
    if wrong:
        raise BadConfig(f"cannot use these settings: {wrong}")


def _rules(config: Config) -> tuple[tuple[str, bool], ...]:
    encrypted = [url.startswith("https://") for url in config.etcd]
    return (
        ("etcd names no member", bool(config.etcd)),
        (
            "etcd takes URLs such as http://10.0.0.1:2379",
            all(url.startswith(("http://", "https://")) for url in config.etcd),
        ),
        ("etcd mixes http and https", len(set(encrypted)) < 2),
        ("etcd_ca and etcd_cert need https URLs", all(encrypted) or not _uses_tls(config)),
        ("etcd_cert and etcd_key go together", bool(config.etcd_cert) == bool(config.etcd_key)),
        (
            "etcd_user and etcd_password_file go together",
            bool(config.etcd_user) == bool(config.etcd_password_file),
        ),
        ("prefix must begin with / and not end with it", _is_prefix(config.prefix)),
        ("cluster must be letters, digits, - and _", _is_word(config.cluster)),
        (
            "roles are " + ", ".join(installed_roles()),
            set(config.roles) <= set(installed_roles()) and bool(config.roles),
        ),
        ("machine_ttl must be 4 to 600 seconds", 4 <= config.machine_ttl <= 600),
        (
            "engine_ttl must be at least 2 seconds and at most machine_ttl, "
            "or machines would be lost before a leader is",
            2 <= config.engine_ttl <= config.machine_ttl,
        ),
        (
            "faces_requests must be 0 or more",
            config.faces_requests >= 0,
        ),
        (
            "the api needs something in listen",
            bool(config.listen) or "api" not in config.roles,
        ),
        (
            "fetch_file_roots must be absolute paths",
            all(root.startswith("/") for root in config.fetch_file_roots),
        ),
        (
            "fetch_closed must be networks such as 10.0.0.0/8",
            all(map(_is_network, config.fetch_closed)),
        ),
        ("run_directory must be an absolute path", config.run_directory.startswith("/")),
    )


def _uses_tls(config: Config) -> bool:
    return bool(config.etcd_ca or config.etcd_cert)


def _is_prefix(text: str) -> bool:
    return len(text) > 1 and text.startswith("/") and not text.endswith("/")


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _is_word(text: str) -> bool:
    return text.isascii() and bool(text) and text.replace("-", "").replace("_", "").isalnum()
