"""Directives of systemd.exec(5) that confine processes: file system view, namespaces, capabilities,
system calls."""

from __future__ import annotations

import re

from fleetish.units import codes, values
from fleetish.units.rows import (
    Empty,
    Given,
    Property,
    Row,
    absolute,
    choice,
    flag,
    flag_or,
    items,
    marked_absolute,
    scalar,
    selection,
    text,
    words,
)
from fleetish.units.rows_exec import decode_base64
from fleetish.units.words import bare_words, split

_SYSCALL = re.compile(r"@?[a-z0-9_-]+(?::[A-Za-z0-9]+)?", re.ASCII)
_FILE_SYSTEM = re.compile(r"@?[a-z0-9._-]+", re.ASCII)

_RECURSIVE = 16384  # MS_REC of mount(2)
_ALL_CAPABILITIES = 2**64 - 1


def _syscall(word: str) -> str:
    if not _SYSCALL.fullmatch(word):
        raise ValueError(f"{word!r} is no system call or @group")
    name, colon, error = word.partition(":")
    if name.startswith("@") and name not in codes.SYSTEM_CALL_GROUPS:
        raise ValueError(f"{name} is no group of system calls")
    if colon:
        codes.error_number(error)
    return word


def _allowed_syscall(word: str) -> str:
    # The bus refuses what a file could say here (systemd 252's dbus-execute).
    if ":" in word:
        raise ValueError("an error number can be given only for what is denied, after ~")
    return word


def _architecture(word: str) -> str:
    if word not in codes.ARCHITECTURES:
        raise ValueError(f"{word!r} is no architecture such as native or x86-64")
    return word


def _allowed_family(word: str) -> str:
    return "" if word == "none" else word  # no family at all is an empty list on the bus


def _family(word: str) -> str:
    if word != "none" and word not in codes.ADDRESS_FAMILIES:
        raise ValueError(f"{word!r} is no address family such as AF_INET")
    return word


def _file_system(word: str) -> str:
    if not _FILE_SYSTEM.fullmatch(word):
        raise ValueError(f"{word!r} is no file system type")
    return word


def _capability_set(name: str, initial: int) -> Row:
    """A bit set: the first line replaces it, later ones add, or after ``~`` take away; an empty
    line counts as a set without members."""

    def read(given: Given) -> tuple[bool, int]:
        bare = given.text.removeprefix("~")
        return bare != given.text, codes.capabilities(split(bare))

    def build(found: list[tuple[bool, int]]) -> tuple[Property]:
        held = initial
        for inverted, named in found:
            if named == 0 or held == initial:
                held = _ALL_CAPABILITIES & ~named if inverted else named
            else:
                held = held & ~named if inverted else held | named
        return (Property(name, "t", held),)

    return Row((name,), ((name, "t"),), read, build, empty=Empty.COUNTS)


def _namespaces() -> Row:
    """RestrictNamespaces=: a boolean, or the kinds that stay allowed; ``~`` takes kinds away."""
    name = "RestrictNamespaces"

    def read(given: Given) -> tuple[bool, int, bool]:
        try:
            return True, 0 if values.boolean(given.text) else codes.ALL_NAMESPACES, False
        except ValueError:
            bare = given.text.removeprefix("~")
            return False, codes.bits(bare_words(bare), codes.NAMESPACES), bare != given.text

    def build(found: list[tuple[bool, int, bool]]) -> tuple[Property]:
        allowed: int | None = None
        for whole, kinds, inverted in found:
            if whole or allowed is None:
                allowed = codes.ALL_NAMESPACES & ~kinds if inverted else kinds
            else:
                allowed = allowed & ~kinds if inverted else allowed | kinds
        return (Property(name, "t", allowed),)

    return Row((name,), ((name, "t"),), read, build)


def _binds(given: Given) -> list[object]:
    """``source[:destination[:rbind|norbind]]`` words; ``-`` before: may be missing."""
    rows: list[object] = []
    for parts in given.tuples():
        source = parts[0].removeprefix("-")
        target = parts[1] if len(parts) > 1 and parts[1] else source
        option = parts[2] if len(parts) > 2 else ""
        if len(parts) > 3 or option not in ("", "rbind", "norbind"):
            raise ValueError(f"{':'.join(parts)!r} is not source:destination:rbind")
        recursive = 0 if option == "norbind" else _RECURSIVE
        rows.append([absolute(source), absolute(target), source != parts[0], recursive])
    return rows


def _temporary(given: Given) -> list[object]:
    pairs = [word.partition(":")[::2] for word in split(given.text)]
    return [[absolute(given.scope.expand(path)), options] for path, options in pairs]


_PARTITIONS = frozenset(
    {"root", "usr", "home", "srv", "esp", "xbootldr", "tmp", "var", "root-secondary"}
)


def _mount_options(parts: list[str]) -> list[object]:
    """``partition:options`` pairs, or options alone, which are the root partition's."""
    if len(parts) == 1:
        return [["root", parts[0]]]
    pairs = list(zip(parts[::2], parts[1::2], strict=False))
    if len(parts) % 2 or any(partition not in _PARTITIONS for partition, _ in pairs):
        raise ValueError("its mount options are not partition:options")
    return [list(pair) for pair in pairs]


def _root_image_options(given: Given) -> list[object]:
    if "\\" in given.text:
        raise ValueError("there is a backslash in it")
    return [row for word in given.words() for row in _root_options(word.split(":"))]


def _root_options(parts: list[str]) -> list[object]:
    if len(parts) > 2:
        raise ValueError("it is not partition:options")
    return _mount_options(parts)


def _extension_images(given: Given) -> list[object]:
    rows: list[object] = []
    for path, *rest in given.tuples():
        bare = path.removeprefix("-")
        rows.append([absolute(bare), bare != path, _mount_options(rest) if rest else []])
    return rows


def _mount_images(given: Given) -> list[object]:
    rows: list[object] = []
    for path, *rest in given.tuples():
        target, *options = rest or [""]
        bare = path.removeprefix("-")
        found = _mount_options(options) if options else []
        rows.append([absolute(bare), absolute(target), bare != path, found])
    return rows


def _verity(name: str, is_content: re.Pattern[str]) -> Row:
    """Verity data given as it is, or as the path of a file that holds it."""

    def read(given: Given) -> Property:
        if given.text.startswith("/"):
            return Property(f"{name}Path", "s", given.text)  # no specifiers
        if not is_content.fullmatch(given.text):
            raise ValueError("it is neither an absolute path nor the data itself")
        encoded = given.text.removeprefix("base64:")
        data = decode_base64(encoded) if encoded != given.text else bytes.fromhex(encoded)
        return Property(name, "ay", data)

    properties = ((name, "ay"), (f"{name}Path", "s"))
    return Row((name,), properties, read, lambda found: (found[-1],))


def _labelled(name: str) -> Row:
    """A security label; ``-`` before: go on without it where it cannot be set."""

    def read(given: Given) -> list[object]:
        label = given.scope.expand(given.text)
        bare = label.removeprefix("-")
        return [bare != label, bare]

    def build(found: list[list[object]]) -> tuple[Property]:
        return (Property(name, "(bs)", found[-1]),)

    return Row((name,), ((name, "(bs)"),), read, build)


FILE_SYSTEM = (
    text("RootDirectory", check=absolute),
    text("RootImage", check=absolute),
    items("RootImageOptions", "a(ss)", _root_image_options),
    _verity("RootHash", re.compile(r"(?:[0-9a-fA-F]{2}){16,}", re.ASCII)),
    _verity("RootHashSignature", re.compile(r"base64:.+")),
    text("RootVerity", check=absolute),
    items("MountImages", "a(ssba(ss))", _mount_images),
    items("ExtensionImages", "a(sba(ss))", _extension_images),
    words("ExtensionDirectories", check=marked_absolute),
    flag("MountAPIVFS", Empty.RESETS),
    words(("ReadWritePaths", "ReadWriteDirectories"), check=marked_absolute),
    words(("ReadOnlyPaths", "ReadOnlyDirectories"), check=marked_absolute),
    words(("InaccessiblePaths", "InaccessibleDirectories"), check=marked_absolute),
    words("ExecPaths", check=marked_absolute),
    words("NoExecPaths", check=marked_absolute),
    items("BindPaths", "a(ssbt)", _binds),
    items("BindReadOnlyPaths", "a(ssbt)", _binds),
    items("TemporaryFileSystem", "a(ss)", _temporary),
    scalar("MountFlags", "t", lambda text: codes.code(text, codes.MOUNT_FLAGS)),
    flag_or("ProtectHome", "read-only", "tmpfs"),
    flag_or("ProtectSystem", "full", "strict"),
    choice("ProtectProc", "noaccess", "invisible", "ptraceable", "default"),
    choice("ProcSubset", "all", "pid"),
)

ISOLATION = (
    *(
        flag(name)
        for name in (
            "PrivateTmp",
            "PrivateDevices",
            "PrivateNetwork",
            "PrivateUsers",
            "PrivateMounts",
            "PrivateIPC",
            "ProtectHostname",
            "ProtectClock",
            "ProtectKernelTunables",
            "ProtectKernelModules",
            "ProtectKernelLogs",
            "ProtectControlGroups",
            "RestrictRealtime",
            "RestrictSUIDSGID",
            "LockPersonality",
            "MemoryDenyWriteExecute",
            "NoNewPrivileges",
            "RemoveIPC",
        )
    ),
    text("NetworkNamespacePath", check=absolute),
    text("IPCNamespacePath", check=absolute),
    _namespaces(),
    _capability_set("CapabilityBoundingSet", _ALL_CAPABILITIES),
    _capability_set("AmbientCapabilities", 0),
    selection("SystemCallFilter", _syscall, _allowed_syscall),
    selection("SystemCallLog", _syscall),
    words("SystemCallArchitectures", check=_architecture),
    scalar("SystemCallErrorNumber", "i", codes.error_number),
    selection("RestrictAddressFamilies", _family, _allowed_family),
    selection("RestrictFileSystems", _file_system),
    text("SELinuxContext"),
    _labelled("AppArmorProfile"),
    _labelled("SmackProcessLabel"),
)

SANDBOX = (*FILE_SYSTEM, *ISOLATION)
