"""Names that stand for numbers in unit files: signals, exit statuses, levels, capabilities, flags.

The numbers are Linux's; a name that a table lacks raises ValueError.
"""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Mapping

from fleetish.units.values import integer

_GROUPS = (
    "default aio basic-io chown clock cpu-emulation debug file-system io-event ipc keyring known "
    "memlock module mount network-io obsolete pkey privileged process raw-io reboot resources "
    "setuid signal swap sync system-service timer"
)
#: systemd's groups of system calls (`systemd-analyze syscall-filter` of version 252).
SYSTEM_CALL_GROUPS = frozenset(f"@{name}" for name in _GROUPS.split())

_ARCHITECTURES = (
    "native x86 x86-64 x32 arm arm64 mips mips64 mips64-n32 mips-le mips64-le mips64-le-n32 "
    "parisc parisc64 ppc ppc64 ppc64-le riscv64 s390 s390x"
)
#: What SystemCallArchitectures= knows (systemd.exec(5)).
ARCHITECTURES = frozenset(_ARCHITECTURES.split())

#: Kinds of machine that a kernel can pretend to be (systemd.exec(5), Personality=).
PERSONALITIES = ("x86", "x86-64", "ppc", "ppc-le", "ppc64", "ppc64-le", "s390", "s390x")

_FAMILIES = (
    "ALG APPLETALK ASH ATMPVC ATMSVC AX25 BLUETOOTH BRIDGE CAIF CAN DECnet ECONET FILE IB "
    "IEEE802154 INET INET6 IPX IRDA ISDN IUCV KCM KEY LLC LOCAL MCTP MPLS NETBEUI NETLINK NETROM "
    "NFC PACKET PHONET PPPOX QIPCRTR RDS ROSE ROUTE RXRPC SECURITY SMC SNA TIPC UNIX VSOCK WANPIPE "
    "X25 XDP"
)
#: Families of sockets (address_families(7)).
ADDRESS_FAMILIES = frozenset(f"AF_{name}" for name in _FAMILIES.split())


def _numbered(words: str, first: int = 0) -> dict[str, int]:
    """The words by number, counted from the first; ``-`` leaves a number out."""
    rows = enumerate(words.split(), first)
    return {word: at for at, word in rows if word != "-"}


SYSLOG_LEVELS = _numbered("emerg alert crit err warning notice info debug")
SYSLOG_FACILITIES = {
    **_numbered("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp"),
    **_numbered("local0 local1 local2 local3 local4 local5 local6 local7", first=16),
}
IO_CLASSES = {"none": 0, "realtime": 1, "best-effort": 2, "idle": 3}
CPU_POLICIES = {"other": 0, "fifo": 1, "rr": 2, "batch": 3, "idle": 5}
NUMA_POLICIES = {"default": 0, "preferred": 1, "bind": 2, "interleave": 3, "local": 4}
MOUNT_FLAGS = {"shared": 1 << 20, "slave": 1 << 19, "private": 1 << 18}
IP_TOS = {"low-delay": 0x10, "throughput": 0x08, "reliability": 0x04, "low-cost": 0x02}
SOCKET_PROTOCOLS = {"sctp": 132, "udplite": 136}
SECURE_BITS = {
    "noroot": 1,
    "noroot-locked": 2,
    "no-setuid-fixup": 4,
    "no-setuid-fixup-locked": 8,
    "keep-caps": 16,
    "keep-caps-locked": 32,
}
NAMESPACES = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "net": 0x40000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "user": 0x10000000,
    "uts": 0x04000000,
}
ALL_NAMESPACES = sum(NAMESPACES.values())

COREDUMP_BITS = _numbered(
    "private-anonymous shared-anonymous private-file-backed shared-file-backed elf-headers "
    "private-huge shared-huge private-dax shared-dax"
)

#: By their numbers in linux/capability.h.
CAPABILITIES = _numbered(
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable "
    "net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio "
    "sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time "
    "sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog "
    "wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
)

#: Exit statuses by name, as ``systemd-analyze exit-status`` lists them.
EXIT_STATUSES = {
    **_numbered(
        "SUCCESS FAILURE INVALIDARGUMENT NOTIMPLEMENTED NOPERMISSION NOTINSTALLED NOTCONFIGURED "
        "NOTRUNNING"
    ),
    **_numbered(
        "USAGE DATAERR NOINPUT NOUSER NOHOST UNAVAILABLE SOFTWARE OSERR OSFILE CANTCREAT IOERR "
        "TEMPFAIL PROTOCOL NOPERM CONFIG",
        first=64,
    ),
    **_numbered(
        "CHDIR NICE FDS EXEC MEMORY LIMITS OOM_ADJUST SIGNAL_MASK STDIN STDOUT CHROOT IOPRIO "
        "TIMERSLACK SECUREBITS SETSCHEDULER CPUAFFINITY GROUP USER CAPABILITIES CGROUP SETSID "
        "CONFIRM STDERR - PAM NETWORK NAMESPACE NO_NEW_PRIVILEGES SECCOMP SELINUX_CONTEXT "
        "PERSONALITY APPARMOR ADDRESS_FAMILIES RUNTIME_DIRECTORY - CHOWN SMACK_PROCESS_LABEL "
        "KEYRING STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY "
        "NUMA_POLICY CREDENTIALS BPF",
        first=200,
    ),
    "EXCEPTION": 255,
}

_SIGNALS = {row.name: int(row) for row in signal.Signals if not row.name.startswith("SIGRT")}
_RT_FIRST, _RT_LAST = 34, 64
_RT = re.compile(r"RT(?:(MIN)(?:\+(\d+))?|(MAX)(?:-(\d+))?)", re.ASCII)


def code(text: str, table: Mapping[str, int]) -> int:
    """The number of a name of the table, or a number that the table has."""
    if text in table:
        return table[text]
    if text.isdecimal() and int(text) in table.values():
        return int(text)
    raise ValueError(f"it is none of {', '.join(table)}")


def bits(words: list[str], table: Mapping[str, int]) -> int:
    """All the flags named, as one number."""
    total = 0
    for word in words:
        total |= code(word, table)
    return total


def signal_number(text: str) -> int:
    """``SIGTERM``, ``TERM``, ``15`` or ``SIGRTMIN+3`` as a number of 1 … 64."""
    if text.isdecimal() and text.isascii():
        return integer(text, 1, _RT_LAST)
    bare = text.removeprefix("SIG")
    if f"SIG{bare}" in _SIGNALS:
        return _SIGNALS[f"SIG{bare}"]
    found = _RT.fullmatch(bare)
    number = 0
    if found:
        number = _RT_FIRST + int(found[2] or 0) if found[1] else _RT_LAST - int(found[4] or 0)
    if not _RT_FIRST <= number <= _RT_LAST:
        raise ValueError(f"{text!r} is no signal")
    return number


def exit_statuses(words: list[str]) -> tuple[list[int], list[int]]:
    """Exit statuses and signals among the words: numbers or names such as TEMPFAIL and SIGTERM."""
    statuses: list[int] = []
    signals: list[int] = []
    for word in words:
        if word.isdecimal() and word.isascii():
            statuses.append(integer(word, 0, 255))
        elif word in EXIT_STATUSES:
            statuses.append(EXIT_STATUSES[word])
        else:
            signals.append(signal_number(word))
    return statuses, signals


def error_number(text: str) -> int:
    """``EPERM`` or a number of 1 … 4095; ``kill`` is systemd's own value for "kill the process"."""
    if text == "kill":
        return 2**31 - 2
    if text.isdecimal() and text.isascii():
        return integer(text, 1, 4095)
    number = getattr(errno, text, None) if text.startswith("E") else None
    if not isinstance(number, int):
        raise ValueError(f"{text!r} is no error name such as EPERM")
    return number


def capabilities(words: list[str]) -> int:
    """Capability names, in any case and with or without CAP_ as systemd has them, as a bit set."""
    total = 0
    for word in words:
        bare = word.lower().removeprefix("cap_")
        if bare.isdecimal():
            total |= 1 << integer(bare, 0, 62)
        elif bare in CAPABILITIES and bare != word.lower():
            total |= 1 << CAPABILITIES[bare]
        else:
            raise ValueError(f"{word!r} is no capability such as CAP_NET_ADMIN")
    return total


def coredump_filter(words: list[str]) -> int:
    """Kinds of memory to dump (core(5)), by name or as hexadecimal numbers, as a bit set."""
    total = 0
    for word in words:
        if word == "all":
            total = 0xFFFFFFFF
        elif word == "default":
            total |= 0x33
        elif word in COREDUMP_BITS:
            total |= 1 << COREDUMP_BITS[word]
        else:
            total |= _hexadecimal(word)
    return total


def _hexadecimal(word: str) -> int:
    try:
        return int(word, 16)
    except ValueError:
        raise ValueError(f"{word!r} is no kind of memory: see core(5)") from None


def cpu_set(words: list[str]) -> bytes:
    """Numbers and ranges ``0-3 5,7`` as systemd's bit field: whole 8-byte words, lowest first."""
    total = 0
    for word in (part for text in words for part in text.split(",") if part):
        first, dash, last = word.partition("-")
        low = integer(first, 0, 8191)
        high = integer(last, low, 8191) if dash else low
        total |= ((1 << (high - low + 1)) - 1) << low
    width = (total.bit_length() + 63) // 64 * 8
    return total.to_bytes(width, "little")
