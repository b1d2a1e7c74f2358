"""Directives of systemd.exec(5): who runs, where, with what environment, streams, limits and
directories. Shared by all types that run processes; what confines them is in rows_sandbox."""

from __future__ import annotations

import base64
import binascii
import re

from fleetish.units import codes, values
from fleetish.units.execline import simplify
from fleetish.units.file import CONTROL
from fleetish.units.rows import (
    Empty,
    Given,
    Property,
    Row,
    absolute,
    choice,
    coded,
    file_mode,
    flag,
    items,
    micros,
    number,
    one_of,
    scalar,
    text,
    words,
)
from fleetish.units.words import Escapes, passable, split, unescape_bytes

_USER = re.compile(r"(?!-\d*\Z|\.\.?\Z)[^\s:/]{1,255}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_FIELD = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_CREDENTIAL = re.compile(r"(?!\.\.?\Z)[^\x00-\x1f\x7f-\U0010ffff:/\\]{1,255}")
_LOG_NAMESPACE = re.compile(r"(?!\.)[A-Za-z0-9:_.@-]{1,222}", re.ASCII)
_DESCRIPTOR = re.compile(r"[\x20-\x39\x3b-\x7e]{1,255}")

_INPUTS = ("null", "tty", "tty-force", "tty-fail", "socket", "data", "fd")
_OUTPUTS = (
    *("inherit", "null", "tty", "journal", "journal+console", "kmsg", "kmsg+console"),
    *("socket", "fd"),
)
#: systemd reads the old names so.
_NOW_JOURNAL = {"syslog": "journal", "syslog+console": "journal+console"}
_FILE_KINDS = {"file": "File", "append": "FileToAppend", "truncate": "FileToTruncate"}

_LIMITS = "CPU FSIZE DATA STACK CORE RSS NOFILE AS NPROC MEMLOCK LOCKS SIGPENDING MSGQUEUE NICE "
_LIMITS += "RTPRIO RTTIME"
_SIZE_LIMITS = frozenset({"FSIZE", "DATA", "STACK", "CORE", "RSS", "AS", "MEMLOCK", "MSGQUEUE"})


def user_or_group(name: str) -> str:
    """The name or number of a user or group."""
    if not _USER.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a user or group")
    return name


def _assignment(word: str) -> str:
    name, equals, _ = word.partition("=")
    if not equals or not _VARIABLE.fullmatch(name):
        raise ValueError(f"{word!r} is not NAME=value")
    return word


def _variable(word: str) -> str:
    if not _VARIABLE.fullmatch(word.partition("=")[0]):
        raise ValueError(f"{word!r} is no name of a variable")
    return word


def _environment() -> Row:
    """Variables of all lines; a name given again keeps its place and takes the later value."""

    def build(found: list[list[str]]) -> tuple[Property]:
        latest = {word.partition("=")[0]: word for part in found for word in part}
        return (Property("Environment", "as", list(latest.values())),)

    def read(given: Given) -> list[str]:
        return [_assignment(passable(word)) for word in given.words(Escapes.C)]

    return Row(("Environment",), (("Environment", "as"),), read, build, controls=True)


def _environment_file(given: Given) -> list[object]:
    path = given.scope.expand(given.text)
    bare = path.removeprefix("-")
    return [[absolute(bare), bare != path]]


def _log_fields(given: Given) -> list[object]:
    fields = given.words(Escapes.C)
    for field in fields:
        name, equals, _ = field.partition("=")
        if not equals or len(name) > 64 or not _FIELD.fullmatch(name):
            raise ValueError(f"{field!r} is not FIELD=value with an upper-case journal field")
        if CONTROL.search(field) or "\n" in field:
            raise ValueError("its value would hold a control character")
    return [field.encode() for field in fields]


def _descriptor(name: str) -> str:
    if not _DESCRIPTOR.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a file descriptor")
    return name


def _stream(name: str, plain: tuple[str, ...], kinds: tuple[str, ...]) -> Row:
    """A standard stream: a word, ``fd:NAME`` or a file; each form has its own property."""

    def read(given: Given) -> Property:
        kind, colon, rest = given.text.partition(":")
        if colon and kind == "fd":
            told = _descriptor(given.scope.expand(rest) or name.lower())
            return Property(f"{name}FileDescriptorName", "s", told)
        if colon and kind in kinds:
            path = absolute(given.scope.expand(rest))
            return Property(f"{name}{_FILE_KINDS[kind]}", "s", path)
        return Property(name, "s", one_of(_NOW_JOURNAL.get(given.text, given.text), plain))

    forms = ["", "FileDescriptorName", *(_FILE_KINDS[kind] for kind in kinds)]
    properties = tuple((f"{name}{form}", "s") for form in forms)
    return Row((name,), properties, read, lambda found: (found[-1],), empty=Empty.REFUSED)


def _input_data() -> Row:
    """StandardInputText= and StandardInputData= add to the same bytes, in file order."""

    def read(given: Given) -> bytes:
        if given.directive == "StandardInputText":
            text = unescape_bytes(given.text).decode("utf-8", "surrogateescape")
            return given.scope.expand(text).encode("utf-8", "surrogateescape") + b"\n"
        return decode_base64(given.text)

    def build(found: list[bytes]) -> tuple[Property]:
        return (Property("StandardInputData", "ay", b"".join(found)),)

    names = ("StandardInputData", "StandardInputText")
    return Row(names, (("StandardInputData", "ay"),), read, build)


def decode_base64(text: str) -> bytes:
    """The bytes of a base64 text, white space in it ignored. Raises ValueError."""
    packed = re.sub(r"\s", "", text)
    try:
        found = base64.b64decode(packed, validate=True)
    except binascii.Error:
        raise ValueError("it is no base64 text") from None
    if base64.b64encode(found).decode() != packed:  # more padding, or bits, than it needs
        raise ValueError("it is no base64 text")
    return found


def _limit(kind: str) -> Row:
    """A resource limit, ``soft:hard`` or one value for both."""
    name = f"Limit{kind}"

    def read(given: Given) -> tuple[int, int]:
        soft, colon, hard = given.text.partition(":")
        low = _limit_value(kind, soft)
        high = _limit_value(kind, hard) if colon else low
        if low > high:
            raise ValueError("the soft limit is above the hard one")
        return low, high

    def build(found: list[tuple[int, int]]) -> tuple[Property, ...]:
        low, high = found[-1]
        return Property(name, "t", high), Property(f"{name}Soft", "t", low)

    properties = ((name, "t"), (f"{name}Soft", "t"))
    return Row((name,), properties, read, build, empty=Empty.REFUSED)


def _limit_value(kind: str, text: str) -> int:
    if text == "infinity":
        return values.INFINITY
    if kind in _SIZE_LIMITS:
        return values.size(text)
    if kind == "CPU":
        return -(-values.span(text) // 1_000_000)
    if kind == "RTTIME":
        return values.span(text, default=1)
    if kind == "NICE":
        nice = values.integer(text, -20, 40)
        signed = text[:1] in ("+", "-")
        return 20 - values.integer(text, -20, 19) if signed else nice
    return values.integer(text)


def _numa_mask(words: list[str]) -> bytes:
    if not all(words):
        raise ValueError("a word in it is empty")
    if words == ["all"]:
        raise ValueError("which nodes are all depends on the machine: name them")
    return codes.cpu_set(words)


def _affinity() -> Row:
    """CPUs, or ``numa`` for those of NUMAMask=."""

    def read(given: Given) -> list[str]:
        if given.text == "numa":
            return ["numa"]
        found = split(given.text)
        codes.cpu_set(found)
        return found

    def build(found: list[list[str]]) -> tuple[Property]:
        if found[-1] == ["numa"]:
            return (Property("CPUAffinityFromNUMA", "b", True),)
        start = max((at + 1 for at, part in enumerate(found) if part == ["numa"]), default=0)
        joined = [word for part in found[start:] for word in part]
        return (Property("CPUAffinity", "ay", codes.cpu_set(joined)),)

    properties = (("CPUAffinity", "ay"), ("CPUAffinityFromNUMA", "b"))
    return Row(("CPUAffinity",), properties, read, build)


def _directories(kind: str) -> Row:
    """Directories below the root of their kind, each with an optional ``:symlink``."""
    plain, linked = f"{kind}Directory", f"{kind}DirectorySymlink"

    def read(given: Given) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        for directory, *rest in given.tuples():
            link = rest[0] if rest else ""
            if len(rest) > 1 or _below(link or directory) == _below(directory) == link:
                raise ValueError("it is not directory or directory:symlink")
            pairs.append((simplify(directory), simplify(link)))
        if kind == "Configuration" and any(link for _, link in pairs):
            raise ValueError("a configuration directory has no symlinks")
        return pairs

    def build(found: list[list[tuple[str, str]]]) -> tuple[Property, ...]:
        pairs = [pair for part in found for pair in part]
        names = [directory for directory, link in pairs if not link]
        links = [[directory, link, 0] for directory, link in pairs if link]
        rows = (Property(plain, "as", names), Property(linked, "a(sst)", links))
        return tuple(row for row in rows if row.value)

    properties = ((plain, "as"), (linked, "a(sst)"))
    return Row((plain,), properties[: 1 if kind == "Configuration" else 2], read, build)


def _below(path: str) -> str:
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} is no relative path without ..")
    return path


def _credential(name: str) -> str:
    if not _CREDENTIAL.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a credential")
    return name


def _set_credential(name: str, decode: bool) -> Row:
    """``ID:data``; only the ID has specifiers."""

    def read(given: Given) -> list[object]:
        ident, _, data = given.text.partition(":")
        if not data:
            raise ValueError("it is not ID:data")
        content = decode_base64(data) if decode else unescape_bytes(data, nul=True)
        return [[_credential(given.scope.expand(ident)), content]]

    return items(name, "a(say)", read)


def _load_credential(given: Given) -> list[object]:
    """``ID:path``, or the name of one that systemd was given itself, which may be the same ID."""
    ident, _, path = given.text.partition(":")
    name = _credential(given.scope.expand(ident))
    source = given.scope.expand(path) or name
    if source.startswith("/"):
        if absolute(source) != source:
            raise ValueError(f"{source!r} has more slashes or dots than it needs")
    else:
        _credential(source)
    return [[name, source]]


def _working_directory(path: str) -> str:
    bare = path.removeprefix("-")
    return path if bare == "~" else path[: len(path) - len(bare)] + absolute(bare)


def _search_path(given: Given) -> list[object]:
    if set("\"'\\").intersection(given.text):
        raise ValueError("paths with quotes or backslashes cannot be joined by colons")
    return [absolute(part) for part in given.scope.expand(given.text).removesuffix(":").split(":")]


IDENTITY = (
    text("WorkingDirectory", check=_working_directory),
    text("User", check=user_or_group),
    text("Group", check=user_or_group),
    words("SupplementaryGroups", check=user_or_group),
    flag("DynamicUser"),
    text("PAMName"),
    file_mode("UMask"),
    items("ExecSearchPath", "as", _search_path),
    text("UtmpIdentifier"),
    choice("UtmpMode", "init", "login", "user"),
    choice("KeyringMode", "inherit", "private", "shared"),
    scalar("SecureBits", "i", lambda text: codes.bits(split(text), codes.SECURE_BITS)),
    scalar("Personality", "s", lambda text: one_of(text, codes.PERSONALITIES)),
)

SCHEDULING = (
    number("Nice", "i", -20, 19, Empty.RESETS),
    number("OOMScoreAdjust", "i", -1000, 1000, Empty.RESETS),
    coded("CoredumpFilter", "t", codes.coredump_filter),
    scalar("IOSchedulingClass", "i", lambda text: codes.code(text, codes.IO_CLASSES)),
    number("IOSchedulingPriority", "i", 0, 7, Empty.RESETS),
    scalar("CPUSchedulingPolicy", "i", lambda text: codes.code(text, codes.CPU_POLICIES)),
    number("CPUSchedulingPriority", "i", 0, 99),
    flag("CPUSchedulingResetOnFork"),
    _affinity(),
    scalar("NUMAPolicy", "i", lambda text: codes.code(text, codes.NUMA_POLICIES)),
    coded("NUMAMask", "ay", _numa_mask),
    scalar("TimerSlackNSec", "t", values.nanoseconds, empty=Empty.REFUSED),
    *(_limit(kind) for kind in _LIMITS.split()),
)

ENVIRONMENT = (
    _environment(),
    items(("EnvironmentFile",), "a(sb)", _environment_file, "EnvironmentFiles"),
    words("PassEnvironment", check=_variable, once=True),
    words("UnsetEnvironment", escapes=Escapes.C, check=_variable, once=True),
    _set_credential("SetCredential", decode=False),
    _set_credential("SetCredentialEncrypted", decode=True),
    items("LoadCredential", "a(ss)", _load_credential),
    items("LoadCredentialEncrypted", "a(ss)", _load_credential),
)


def _level(text: str) -> int:
    return codes.code(text, codes.SYSLOG_LEVELS)


def _facility(text: str) -> int:
    return codes.code(text, codes.SYSLOG_FACILITIES)


def _log_namespace(name: str) -> str:
    if not _LOG_NAMESPACE.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a journal namespace")
    return name


STREAMS = (
    _stream("StandardInput", _INPUTS, ("file",)),
    _stream("StandardOutput", _OUTPUTS, ("file", "append", "truncate")),
    _stream("StandardError", _OUTPUTS, ("file", "append", "truncate")),
    _input_data(),
    scalar("LogLevelMax", "i", _level, empty=Empty.REFUSED),
    items("LogExtraFields", "aay", _log_fields),
    text("LogNamespace", check=_log_namespace),
    micros("LogRateLimitIntervalSec"),
    number("LogRateLimitBurst", "u", 0, 2**32 - 1),
    text("SyslogIdentifier"),
    scalar("SyslogFacility", "i", _facility, empty=Empty.REFUSED),
    scalar("SyslogLevel", "i", _level, empty=Empty.REFUSED),
    flag("SyslogLevelPrefix"),
    text("TTYPath", check=absolute),
    flag("TTYReset"),
    flag("TTYVHangup"),
    flag("TTYVTDisallocate"),
    number("TTYRows", "u", 0, 65535, Empty.RESETS),
    number("TTYColumns", "u", 0, 65535, Empty.RESETS),
    flag("IgnoreSIGPIPE"),
)

_KINDS = ("Runtime", "State", "Cache", "Logs", "Configuration")


def _preserve(text: str) -> str:
    if text == "restart":
        return text
    return "yes" if values.boolean(text) else "no"


DIRECTORIES = (
    *(_directories(kind) for kind in _KINDS),
    *(file_mode(f"{kind}DirectoryMode") for kind in _KINDS),
    scalar("RuntimeDirectoryPreserve", "s", _preserve, empty=Empty.REFUSED),
)

EXEC = (*IDENTITY, *SCHEDULING, *ENVIRONMENT, *STREAMS, *DIRECTORIES)

#: Why some directives of systemd.exec(5) are not taken.
EXEC_NOT_TRANSIENT = {
    "Capabilities": "systemd ignores it; use CapabilityBoundingSet=",
    "TimeoutCleanSec": "it only bounds systemctl clean",
}
