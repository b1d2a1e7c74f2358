"""Calendar expressions; ``systemd-analyze calendar`` is the oracle."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetish.units.calendar import Calendar, Range, normal, parse

NO_ORACLE = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze not installed"
)

EXPRESSIONS = """
minutely
Hourly
daily
WEEKLY
monthly
quarterly
yearly
annually
anually
biannually
bi-annually
semiannually
semi-annually
Mon
Mon,
Monday
sat,Thu,Mon..Wed,Sat..Sun
Mon-Fri
Mon..Sun
Mon, 08:00
Mon,Sun 12-*-* 2,1:23
Wed *-1
Wed..Wed,Wed *-1
Wed, 17:48
Wed..Sat,Tue 12-10-15 1:2:3
*-*-7 0:0:0
10-15
monday *-12-* 17:00
Mon,Fri *-*-3,1,2 *:30:45
12,14,13,12:20,10,30
12..14:10,20,30
mon,fri *-1/2-1,3 *:30:45
03-05 08:05:40
08:05:40
05:40
Sat,Sun 12-05 08:05:40
2003-03-05 05:40
05:40:23.4200004/3.1700005
2003-02..04-05
2003-03-05 05:40 UTC
2003-03-05
03-05
daily UTC
monthly Europe/Berlin
weekly Pacific/Auckland
*:2/3
2015-10-25 01:00:00 utc
2016-03-27 03:17:00.4200005
2016-03-27 03:17:00/0.42
9..11,13:00,30
1..3-1..3 1..3:1..3
00:00:1.125..2.125
00:00:1.0..3.8
00:00:01..03
00:00:01/2,02..03
*:4,30:00..3
*:*:*
*-*~1 Utc
*-*~05,3
*-*~3,27
*-*~*
*~1
05~08
*-*-~1
2019~05~08
*-*~29
*-*~7/1 Mon
Mon *-05~07/1
*-2~15/9
@1493187147
@0
@+5
@ 5 UTC
Mon @5
@5 Europe/Berlin
@99999999999
@-5
@
70-1-1
69-1-1
99-1-1
100-1-1
2200-1-1
1969-12-31
2199-12-31
80..90-1-1
30..80-1-1
1990..2000/3-1-1
*-13-1
*-0-1
*-1-32
*-*-31
24:00
23:60
00:00:60
00:00:59.9999999
00:00:59.9999994
0:0:0/60
0:0:0/59
0:0:0/0.5
0:0:0..1/0.25
0:0:0.5..1
0:0:0.5..1.5
0:0:0/0
1/0:00
*/2:00
*:0/61
*:0/30
*:00..10/30
*:10..00
5..5:00
5..5/2:00
1..6/2:00
1,*:00
2012-1,2,3..4,2-5/2
0008:008
1:2:3:4
1
12
2019
2019-
-1-1
2019-1-1-1
1:2:
:2
Mon..
Mon...Tue
Mon..Tue..Wed
Tue..Mon
Mon,,Tue
Mond
Mon Tue
Mon*
Mon 1
Mon Europe/Berlin
Europe/Berlin
 UTC
UTC
12:00 Mars/Phobos
12:00 Europe
12:00 Europe/
12:00 ../etc
12:00  UTC
daily  UTC
Mon   *-*-*   08:00
2019-01-01	08:00
1.5:00
00:1.5
*-*-1.5
0:0:1.
0:0:.5
0:0:1.2.3
bogus
Mon daily
٣:00
99999999999999999999:00
00:00:00,1..2,1..2/1
1..2,1..2/1:00
""".strip("\n").split("\n")


def verdicts(expressions: list[str]) -> list[str]:
    """What systemd-analyze makes of each: the normal form, "" where it refuses."""
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--", *expressions],
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "SYSTEMD_LOG_TARGET": "console"},
        check=False,
    )
    refused = re.findall(r"^Failed to parse calendar \S+ '(.*)': ", done.stderr, re.MULTILINE)
    found = iter(re.findall(r"^ *Normalized form: (.*)$", done.stdout, re.MULTILINE))
    return ["" if text in refused else next(found) for text in expressions]


def verdict(text: str) -> str:
    try:
        return normal(parse(text))
    except ValueError:
        return ""


@NO_ORACLE
def test_an_expression_is_taken_and_shown_as_by_systemd_analyze() -> None:
    ours = {text: verdict(text) for text in EXPRESSIONS}
    assert ours == dict(zip(EXPRESSIONS, verdicts(EXPRESSIONS), strict=True))
    assert 80 < sum(1 for shown in ours.values() if shown) < len(ours) - 50


NUMBERS = st.integers(0, 70).map(str) | st.sampled_from(["0", "1", "5", "10", "28", "2030", "1.5"])
RANGES = st.builds(
    lambda start, stop, step: start + (f"..{stop}" if stop else "") + (f"/{step}" if step else ""),
    NUMBERS,
    st.none() | NUMBERS,
    st.none() | NUMBERS,
)
FIELDS = st.just("*") | st.lists(RANGES, min_size=1, max_size=3).map(",".join)
DAYS = st.sampled_from(["", "Mon ", "mon..wed,Sun ", "Fri-Sat, ", "Tuesday,Mon ", "Mon.Tue "])
DATES = st.builds(
    lambda year, month, by, day: year + month + by + day + " ",
    FIELDS.map(lambda text: text + "-") | st.just(""),
    FIELDS,
    st.sampled_from(["-", "~"]),
    FIELDS,
)
TIMES = st.lists(FIELDS, min_size=1, max_size=3).map(":".join)
ZONES = st.sampled_from(["", " UTC", " Europe/Berlin", " Nowhere/Land"])
WHOLE = st.tuples(DAYS, st.just("") | DATES, st.just("") | TIMES, ZONES).map("".join)
NOISE = st.text("0123456789*-~:/.,@ MonTuedaily", min_size=1, max_size=12)


@NO_ORACLE
@settings(max_examples=10, derandomize=True, deadline=None)
@given(st.lists((WHOLE | NOISE).map(str.strip).filter(bool), min_size=80, max_size=80))
def test_generated_expressions_are_taken_and_shown_as_by_systemd_analyze(
    expressions: list[str],
) -> None:
    ours = {text: verdict(text) for text in expressions}
    assert ours == dict(zip(expressions, verdicts(expressions), strict=True))


def test_an_expression_becomes_its_parts() -> None:
    assert parse("Mon,Sun 2030-*~7/1 8,18..20:30:0/0.5 Europe/Berlin") == Calendar(
        weekdays=frozenset({0, 6}),
        year=(Range(2030),),
        month=(),
        day=(Range(7, None, 1),),
        hour=(Range(8), Range(18, 20, 1)),
        minute=(Range(30),),
        seconds=(Range(0, None, 500_000),),
        from_end=True,
        zone="Europe/Berlin",
    )


@given(WHOLE.map(str.strip).filter(lambda text: verdict(text) != ""))
def test_the_normal_form_means_the_same(text: str) -> None:
    once = parse(text)
    assert parse(normal(once)) == once


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Mon *-*-* 25:00", "there is no such hour"),
        ("12:00 Mars/Phobos", "'Mars/Phobos' is no time zone such as UTC or Europe/Berlin"),
        ("Sun..Mon", "the weekdays 'sun..mon' are not in order"),
        ("*:0/0", "'0/0' repeats nothing"),
        ("08:00.5", "'00.5' has decimals, which only seconds may have"),
        ("tomorrow", "'tomorrow' is no calendar expression such as Mon..Fri *-*-* 08:00"),
        (",".join(["1"] * 242) + ":00", "a list in it has more than 241 numbers"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert str(caught.value) == why
