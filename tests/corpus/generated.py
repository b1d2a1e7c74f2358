"""Unit files made of the samples: many directives together, and lines that were spoilt.

``whole_files`` are good files in all the ways that systemd.syntax(7) lets one write them;
``spoilt_files`` have lines of one sample each, changed at a few places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.units.samples import SAMPLES, Sample, sample

T = TypeVar("T")

#: Types whose units can have any name.
KINDS = ("service", "socket", "timer", "path", "slice")
#: Two loaded units cannot have one bus name, so no two files of a batch may ask for one.
LEFT_OUT = ("BusName=", "Type=dbus")

USABLE = tuple(
    one
    for one in SAMPLES
    if one.kind in KINDS and not any(line.startswith(LEFT_OUT) for line in one.lines)
)
PLAIN = {
    section: tuple(one for one in USABLE if one.section == section and len(one.lines) == 1)
    for section in ("Unit", *(kind.capitalize() for kind in KINDS))
}

#: Pieces on which the reading of values turns.
TOKENS = (
    *" \t\"'\\%:;,=-+!@|~/.*#$[]{}^&<>0195kKMGTm",
    *("%%", "%i", "%n", "%p", "%H", "%f", "%z", "%", "\\x41", "\\x00", "\\n", "\\t", "\\101"),
    *("\\u00e4", "\\s", "\\ ", "\\;", "é", "\u0085", "\x01", "\u00a0", "  ", '""', "''"),
    *("yes", "no", "infinity", "10%", "0", "-1", "5min", "1.5h", "0x10", "1e3", str(2**64)),
    *("/", "//", "/../", "./", "a.service", "x@.service", "::1", "10.0.0.0/8", "CAP_KILL"),
    "SIGTERM",
)

Kinded = tuple[str, str]


def examples(strategy: st.SearchStrategy[T], count: int, number: int) -> list[T]:
    """``count`` examples; the same ones for the same ``number``."""
    found: list[T] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(one: T) -> None:
        found.append(one)

    collect()
    return found


def _spaced(line: str) -> str:
    key, _, value = line.partition("=")
    return f"  {key} \t= {value}  "


def _continued(line: str) -> str:
    head, _, tail = line.partition(" ")
    return f"{head} \\\n# between\n{tail}" if tail else line


def _commented(line: str) -> str:
    return f"; before\n\n{line}"


def _said_twice(line: str) -> str:
    return f"{line}\n{line}"


def _taken_back(line: str) -> str:
    key, _, _ = line.partition("=")
    return f"{line}\n{key}=\n{line}"


def _as_it_is(line: str) -> str:
    return line


#: Ways to write a line.
WRITTEN: tuple[Callable[[str], str], ...] = (
    _as_it_is,
    _spaced,
    _continued,
    _commented,
    _said_twice,
    _taken_back,
)


@st.composite
def whole_files(draw: st.DrawFn) -> Kinded:
    """The type of unit and the text of a file with up to a dozen directives in any order."""
    kind = draw(st.sampled_from(KINDS))
    own = kind.capitalize()
    parts = [
        (section, draw(st.sampled_from(PLAIN[section])).lines[0])
        for section in draw(st.lists(st.sampled_from((own, own, "Unit")), max_size=12))
    ]
    text = sample(own, tuple(line for _, line in parts)).text.partition(f"[{own}]\n")
    base = "\n".join(line for line in text[2].splitlines() if line not in {row[1] for row in parts})
    body = "".join(
        f"[{section}]\n{draw(st.sampled_from(WRITTEN))(line)}\n" for section, line in parts
    )
    return kind, f"{text[0]}[{own}]\n{base}\n{body}"


@st.composite
def spoilt_files(draw: st.DrawFn) -> Kinded:
    """The type of unit and the text of a file of which a line or two was changed."""
    chosen: Sample = draw(st.sampled_from(USABLE))
    lines = tuple(draw(spoilt(line)) for line in chosen.lines)
    return chosen.kind, sample(chosen.section, lines).text


@st.composite
def spoilt(draw: st.DrawFn, line: str) -> str:
    """A line with pieces of its value cut out, put in or repeated."""
    key, _, value = line.partition("=")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value)))
        end = draw(st.integers(at, min(len(value), at + 4)))
        piece = draw(st.sampled_from(TOKENS) | st.just(value[at:end] * 2))
        value = value[:at] + piece + value[end:]
    for own in ("%y", "%Y"):  # the path of the unit's file, which is another for each kind
        value = value.replace(own, "%n")
    return f"{key}={value}"
