"""systemd's value grammars, words, Exec lines and names for numbers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.units import codes, values
from fleetish.units.execline import Command, commands
from fleetish.units.values import INFINITY
from fleetish.units.words import Escapes, colon_words, split

S = 1_000_000


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (values.boolean, "YES", True),
        (values.boolean, "off", False),
        (values.span, "90", 90 * S),
        (values.span, "1min 30s", 90 * S),
        (values.span, "1min30", 90 * S),
        (values.span, "1.5s", 1_500_000),
        (values.span, ".5", 500_000),
        (values.span, "5 ms", 5000),
        (values.span, "1us", 1),
        (values.span, "2M", 2 * 2_629_800 * S),
        (values.span, "1y 1w", (31_557_600 + 604_800) * S),
        (values.span, "infinity", INFINITY),
        (values.span_or_never, "0", INFINITY),
        (values.nanoseconds, "50", 50),
        (values.nanoseconds, "5ms", 5_000_000),
        (values.nanoseconds, "infinity", INFINITY),
        (values.size, "512M", 512 << 20),
        (values.size, "1.5G", 3 << 29),
        (values.size, "1G 512M", 3 << 29),
        (values.size, "100", 100),
        (values.size, "5B", 5),
        (values.permyriad, "12.5%", 1250),
        (values.permyriad, "125‰", 1250),
        (values.permyriad, "1250‱", 1250),
        (values.scale, "50%", 2**31),
        (values.scale, "100%", 2**32 - 1),
        (values.integer, "0x10", 16),
        (values.integer, "010", 8),
        (values.mode, "0755", 0o755),
        (codes.signal_number, "SIGTERM", 15),
        (codes.signal_number, "HUP", 1),
        (codes.signal_number, "9", 9),
        (codes.signal_number, "SIGRTMIN+3", 37),
        (codes.signal_number, "RTMAX-1", 63),
        (codes.error_number, "EPERM", 1),
        (codes.error_number, "kill", 2**31 - 2),
    ],
)
def test_a_value_is_read_as_systemd_reads_it(
    read: Callable[[str], object], text: str, expected: object
) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((values.boolean, text) for text in ("", "maybe", "2")),
        *((values.span, text) for text in ("", " ", "x", "5x", "-1", "3.", "3. 1", "1e3", "٣")),
        *((values.span, text) for text in ("600000y", "infinity 1")),
        *((values.size, text) for text in ("", "x", "-1", "1K 1M", "1X", "1M 1M", "99999999E")),
        *((values.permyriad, text) for text in ("", "5", "101%", "1.555%", "-1%", "%")),
        *((values.integer, text) for text in ("", "1_0", "x", "1.0", "-1", "08", " 1")),
        *((values.mode, text) for text in ("", "9", "0o7", "77777")),
        *((codes.signal_number, text) for text in ("0", "65", "SIGFOO", "RTMIN+31", "CHILD")),
        *((codes.error_number, text) for text in ("0", "4096", "EFOO", "eperm")),
    ],
)
def test_a_value_outside_the_grammar_is_refused(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


@given(st.integers(0, 10**15))
def test_a_span_in_its_smallest_unit_is_itself(micros: int) -> None:
    assert values.span(f"{micros}us") == micros


@pytest.mark.parametrize(
    ("text", "escapes", "expected"),
    [
        ("a  b\tc", Escapes.DROP, ["a", "b", "c"]),
        ("\"a b\" 'c d' e", Escapes.DROP, ["a b", "c d", "e"]),
        ('a"b c"d', Escapes.DROP, ["ab cd"]),
        ('""', Escapes.DROP, [""]),
        (r"a\ b", Escapes.DROP, ["a b"]),
        (r"a\x2db", Escapes.KEEP, [r"a\x2db"]),
        (r"a\x2db", Escapes.C, ["a-b"]),
        (r'"\n\t\s\\\"" \101 \u00e4 \xc3\xa4', Escapes.C, ['\n\t \\"', "A", "ä", "ä"]),
        (r"\d \z", Escapes.C, [r"\d", r"\z"]),
        ("x\u00a0y", Escapes.C, ["x\u00a0y"]),
        ("", Escapes.C, []),
    ],
)
def test_words_are_split_like_systemds(text: str, escapes: Escapes, expected: list[str]) -> None:
    assert split(text, escapes) == expected


@pytest.mark.parametrize("text", ['"a', "a 'b", 'a"', r'"\x00"', r"\xff", r"\ud800", r"\777"])
def test_words_that_cannot_be_text_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        split(text, Escapes.C)


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"])), max_size=6))
def test_quoted_words_come_back_whole(words: list[str]) -> None:
    quoted = " ".join('"' + w.replace("\\", r"\\").replace('"', r"\"") + '"' for w in words)
    assert split(quoted, Escapes.C) == words
    assert split(quoted, Escapes.DROP) == words


def test_quotes_and_backslashes_keep_a_colon_from_parting() -> None:
    assert colon_words(r'/a:/b "/c:d" /e\:f "x y":"z"') == [
        ["/a", "/b"],
        ["/c:d"],
        ["/e:f"],
        ["x y", "z"],
    ]


def one(path: str, *argv: str, flags: tuple[str, ...] = ()) -> Command:
    return Command(path, argv, flags)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/bin/a b", [one("/bin/a", "/bin/a", "b")]),
        ("a", [one("a", "a")]),
        ("-/bin/a", [one("/bin/a", "/bin/a", flags=("ignore-failure",))]),
        ("@/bin/sh sh -c 'x y'", [one("/bin/sh", "sh", "-c", "x y")]),
        ("@-:/bin/sh sh", [one("/bin/sh", "sh", flags=("ignore-failure", "no-env-expand"))]),
        ("+/a", [one("/a", "/a", flags=("privileged",))]),
        ("!/a", [one("/a", "/a", flags=("no-setuid",))]),
        ("!!/a", [one("/a", "/a", flags=("ambient",))]),
        ("/a ; -/b c", [one("/a", "/a"), one("/b", "/b", "c", flags=("ignore-failure",))]),
        (r"/a \; ;", [one("/a", "/a", ";")]),
        ('/a "b;c" ";"', [one("/a", "/a", "b;c", ";")]),
        (r'/a "x\ny" \d $HOME', [one("/a", "/a", "x\ny", r"\d", "$HOME")]),
        ("/a//b/./c x", [one("/a/b/c", "/a//b/./c", "x")]),
    ],
)
def test_an_exec_line_becomes_commands(line: str, expected: list[Command]) -> None:
    assert commands(line) == expected


@pytest.mark.parametrize(
    "line", ["-", "@/a", "a/b", "/a/", "..", "+!/a", "--/a", "!!!/a", '/a "b', '"" x']
)
def test_an_exec_line_that_systemd_would_not_take_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        commands(line)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize(
    ("verb", "table"),
    [
        ("exit-status", codes.EXIT_STATUSES),
        ("capability", {f"cap_{name}": at for name, at in codes.CAPABILITIES.items()}),
    ],
)
def test_the_tables_of_names_are_those_of_systemd_analyze(verb: str, table: dict[str, int]) -> None:
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", verb], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    theirs = {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdecimal()}
    # Each side may know newer names than the other; those that both know must agree.
    assert theirs
    assert {k: v for k, v in table.items() if k in theirs} == {
        k: v for k, v in theirs.items() if k in table
    }
    assert set(table) - set(theirs) == set()
