"""HealthCheck= and Readiness= of [X-Fleet]: how it is told that a unit does what it is there for.

    HealthCheck=http path=/ping interval=5s failures=2
    HealthCheck=tcp port=5432 delay=1min
    HealthCheck=command command="pg_isready -q"
    Readiness=http index=1 path=/ready codes=200,204

The kind comes first, then options as ``key=value`` and flags, in any order. Words are split as
those of ExecStart= are (systemd.syntax(7)): quotes keep spaces, and ``\\n``, ``\\x25`` … stand
for characters. :func:`written` is the way back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

from fleetish.units import values
from fleetish.units.words import Escapes, split

#: Health checks that one unit may have, characters of a command, ports that an index may mean.
MAX_CHECKS, MAX_COMMAND, MAX_INDEX = 16, 32_768, 1023

#: Shortest and longest interval and timeout, in seconds, and the most failures that may be counted.
SHORTEST, LONGEST, MAX_FAILURES = 0.1, 86_400.0, 1000

#: Seconds after a start, at most, until the first probe of a check that does not say ``delay``.
EARLIEST = 5.0


class CheckKind(StrEnum):
    """How a unit is probed."""

    HTTP = "http"
    HTTPS = "https"
    TCP = "tcp"
    COMMAND = "command"


class OnUnhealthy(StrEnum):
    """What its machine does to a unit that is unhealthy."""

    NONE = "none"
    RESTART = "restart"


class Probe(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What health and readiness checks share. Times are in seconds.

    ``port`` 0: the granted port number ``index``. ``loopback``: asked at the loopback address
    rather than the machine's own. ``ipv6``: over IPv6.
    """

    kind: CheckKind = CheckKind.HTTP
    index: int = 0
    port: int = 0
    path: str = "/"
    interval: float = 10.0
    timeout: float = 5.0
    loopback: bool = False
    ipv6: bool = False


class HealthCheck(Probe, frozen=True, omit_defaults=True, kw_only=True):
    """One health check. ``delay`` None: as long as the interval, but :data:`EARLIEST` at most.

    Within ``grace`` seconds of its start a unit may fail until it succeeds for the first time.
    ``failures`` in a row make it unhealthy. ``ignore1xx``: an answer 1xx tells nothing.
    ``advisory``: its answers are told, with their codes, but the unit's health is not judged by it.
    """

    command: str = ""
    delay: float | None = None
    grace: float = 300.0
    failures: int = 3
    ignore1xx: bool = False
    advisory: bool = False

    @property
    def first(self) -> float:
        """Seconds from the start of a run to its first probe."""
        return min(self.interval, EARLIEST) if self.delay is None else self.delay


class Readiness(Probe, frozen=True, omit_defaults=True, kw_only=True):
    """When a unit that was started is ready: as soon as one answer has one of these codes."""

    interval: float = 5.0
    codes: tuple[int, ...] = (200,)


class _Word(NamedTuple):
    """An option: how its text is read, what it is called when it is wrong, who has it."""

    read: Callable[[str], object]
    kinds: tuple[CheckKind, ...] = tuple(CheckKind)
    of: tuple[type[Probe], ...] = (HealthCheck, Readiness)


def health_check(text: str) -> HealthCheck:
    """A health check as it is written. Raises ValueError."""
    return _read(text, HealthCheck)


def readiness(text: str) -> Readiness:
    """A readiness check as it is written. Raises ValueError."""
    return _read(text, Readiness)


def health_checks(rows: list[str]) -> tuple[HealthCheck, ...]:
    """The health checks of all assignments. Raises ValueError."""
    if len(rows) > MAX_CHECKS:
        raise ValueError(f"a unit may have {MAX_CHECKS} health checks at most")
    return tuple(health_check(row) for row in rows)


def on_unhealthy(text: str) -> OnUnhealthy:
    """``none`` or ``restart``. Raises ValueError."""
    try:
        return OnUnhealthy(text)
    except ValueError:
        raise ValueError("it is neither none nor restart") from None


def written(check: Probe) -> str:
    """A check as :func:`health_check` or :func:`readiness` reads it, specifiers and all."""
    given = {
        name: value
        for name, value in msgspec.structs.asdict(check).items()
        if name != "kind" and value != getattr(_PLAIN[type(check)], name)
    }
    return " ".join([check.kind.value, *(_word(name, value) for name, value in given.items())])


def problems(probes: Mapping[str, tuple[Probe, ...]], ports: int) -> Iterator[tuple[str, str]]:
    """What is wrong with the checks of a unit that claims so many ports, by the option that holds
    them: (option, sentence)."""
    named = f"{ports} port{'' if ports == 1 else 's'}" if ports else "no port"
    for option, held in probes.items():
        for probe in held:
            asks = probe.kind is not CheckKind.COMMAND and not probe.port
            if asks and probe.index >= ports:
                text = f"it asks at port index {probe.index}, and Ports= names {named}"
                yield option, f"cannot use {option}=: {text}"


_T = TypeVar("_T", HealthCheck, Readiness)

_NET = (CheckKind.HTTP, CheckKind.HTTPS, CheckKind.TCP)
_WEB = (CheckKind.HTTP, CheckKind.HTTPS)
_HEALTH, _READY = (HealthCheck,), (Readiness,)


def _read(text: str, what: type[_T]) -> _T:
    kind_word, *rest = split(text, Escapes.C) or [""]
    allowed = _WEB if what is Readiness else tuple(CheckKind)
    if kind_word not in [kind.value for kind in allowed]:
        raise ValueError(f"it begins with none of {', '.join(allowed)}")
    kind = CheckKind(kind_word)
    words = {name: row for name, row in _WORDS.items() if kind in row.kinds and what in row.of}
    given: dict[str, object] = {}
    for word in rest:
        name, equals, value = word.partition("=")
        row = words.get(name)
        if row is None or bool(equals) == (row.read is _flag):
            raise ValueError(f"{word!r} is none of {_shown(words)}")
        if name in given:
            raise ValueError(f"it says {name} twice")
        given[name] = _value(name, value, row)
    return _whole(what(kind=kind, **given), given)  # type: ignore[arg-type]


def _whole(check: _T, given: Mapping[str, object]) -> _T:
    """The check, if its options go together."""
    if "index" in given and "port" in given:
        raise ValueError("it says both index and port")
    if isinstance(check, HealthCheck) and check.kind is CheckKind.COMMAND and not check.command:
        raise ValueError('it names no command, such as command="test -e /run/alive"')
    return check


def _shown(words: Mapping[str, _Word]) -> str:
    return ", ".join(f"{name}{'' if row.read is _flag else '='}" for name, row in words.items())


def _value(name: str, text: str, row: _Word) -> object:
    try:
        return row.read(text)
    except ValueError as error:
        raise ValueError(f"{name}={text!r}: {error}") from None


def _flag(_: str) -> bool:
    return True


def _index(text: str) -> int:
    return values.integer(text, 0, MAX_INDEX)


def _port(text: str) -> int:
    return values.integer(text, 1, 65535)


def _failures(text: str) -> int:
    return values.integer(text, 0, MAX_FAILURES)


def _wait(text: str) -> float:
    found = values.seconds(text)
    if found > LONGEST:
        raise ValueError("it is longer than a day")
    return found


def _period(text: str) -> float:
    found = _wait(text)
    if found < SHORTEST:
        raise ValueError(f"it is shorter than {SHORTEST:g} s")
    return found


def _path(text: str) -> str:
    if not re.fullmatch(r"/[\x21-\x7e]{0,4095}", text):
        raise ValueError("it is no path such as /ping (with %20 for a space)")
    return text


def _command(text: str) -> str:
    if not text or len(text) > MAX_COMMAND or re.search(r"[^\n\r\t\x20-\x7e\xa0-\U0010ffff]", text):
        raise ValueError(f"it is empty, longer than {MAX_COMMAND}, or holds a control character")
    return text


def _codes(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(re.fullmatch(r"[1-9]\d\d", word, re.ASCII) for word in words):
        raise ValueError("it is no list of status codes such as 200,204")
    return tuple(dict.fromkeys(int(word) for word in words))


_WORDS = {
    "index": _Word(_index, _NET),
    "port": _Word(_port, _NET),
    "path": _Word(_path, _WEB),
    "command": _Word(_command, (CheckKind.COMMAND,), _HEALTH),
    "codes": _Word(_codes, _WEB, _READY),
    "interval": _Word(_period),
    "timeout": _Word(_period),
    "delay": _Word(_wait, of=_HEALTH),
    "grace": _Word(_wait, of=_HEALTH),
    "failures": _Word(_failures, of=_HEALTH),
    "ignore1xx": _Word(_flag, _WEB, _HEALTH),
    "advisory": _Word(_flag, of=_HEALTH),
    "loopback": _Word(_flag, _NET),
    "ipv6": _Word(_flag, _NET),
}

_PLAIN: dict[type[Probe], Probe] = {HealthCheck: HealthCheck(), Readiness: Readiness()}

#: Characters of a word that are written as escapes: % could be read as a specifier.
_ESCAPED = re.compile(r'[\\"\'%\n\r\t]')


def _word(name: str, value: object) -> str:
    if value is True:
        return name
    text = _text(value)
    escaped = _ESCAPED.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f'{name}="{escaped}"' if " " in escaped else f"{name}={escaped}"


#: Microseconds of a unit of time, longest first.
_SPANS = {1_000_000: "s", 1_000: "ms", 1: "us"}


def _text(value: object) -> str:
    if isinstance(value, float):
        micros = round(value * 1e6)
        per = next(per for per in _SPANS if micros % per == 0)
        return f"{micros // per}{_SPANS[per]}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
