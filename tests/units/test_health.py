"""HealthCheck=, Readiness= and OnUnhealthy= of [X-Fleet]."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.errors import BadOption
from fleetish.units.file import parse
from fleetish.units.health import (
    CheckKind,
    HealthCheck,
    OnUnhealthy,
    Readiness,
    health_check,
    readiness,
    written,
)
from fleetish.units.xfleet import Requirements, requirements


def read(text: str) -> Requirements:
    return requirements(parse(f"{text}\n", "web@.service"), "web@3.service")


def refused(text: str) -> str:
    with pytest.raises(BadOption) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http", HealthCheck()),
        ("https path=/ping index=1", HealthCheck(kind=CheckKind.HTTPS, path="/ping", index=1)),
        (
            "tcp port=5432 interval=1min 30s timeout=500ms",
            "web@.service:3: cannot use HealthCheck=tcp port=5432 interval=1min 30s timeout=500ms:"
            " '30s' is none of index=, port=, interval=, timeout=, delay=, grace=, failures=, "
            "advisory, loopback, ipv6",
        ),
        (
            "tcp port=5432 'interval=1min 30s' timeout=500ms delay=0 grace=0 failures=0",
            HealthCheck(
                kind=CheckKind.TCP,
                port=5432,
                interval=90.0,
                timeout=0.5,
                delay=0.0,
                grace=0.0,
                failures=0,
            ),
        ),
        (
            'command command="test -e /run/%i \\x25i"',
            HealthCheck(kind=CheckKind.COMMAND, command="test -e /run/3 %i"),
        ),
        (
            "http ignore1xx advisory loopback ipv6",
            HealthCheck(ignore1xx=True, advisory=True, loopback=True, ipv6=True),
        ),
    ],
)
def test_a_health_check_is_read(text: str, expected: HealthCheck | str) -> None:
    file = f"[X-Fleet]\nPorts=0 0\nHealthCheck={text}"
    if isinstance(expected, str):
        assert refused(file) == expected
    else:
        assert read(file).health == (expected,)


def test_health_checks_add_up_and_an_empty_one_begins_anew() -> None:
    text = "HealthCheck=tcp port=1\nHealthCheck=\nHealthCheck=tcp port=2\nHealthCheck=tcp port=3"
    assert [check.port for check in read(f"[X-Fleet]\n{text}").health] == [2, 3]


def test_of_readiness_checks_the_last_one_counts() -> None:
    text = "Readiness=http port=1\nReadiness=https port=2 path=/ready codes=200,204 interval=1s"
    expected = Readiness(
        kind=CheckKind.HTTPS, port=2, path="/ready", codes=(200, 204), interval=1.0
    )
    assert read(f"[X-Fleet]\n{text}").readiness == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("HealthCheck=", ""),
        ("HealthCheck=ping", "it begins with none of http, https, tcp, command"),
        ("HealthCheck=command", "it names no command"),
        ("HealthCheck=command command=true path=/", "'path=/' is none of command=, interval="),
        ('HealthCheck=command command="a\\x01b"', "holds a control character"),
        ("HealthCheck=tcp path=/", "'path=/' is none of"),
        ("HealthCheck=http codes=200", "'codes=200' is none of"),
        ("HealthCheck=http ignore1xx=yes", "'ignore1xx=yes' is none of"),
        ("HealthCheck=http path", "'path' is none of"),
        ("HealthCheck=http path=ping", "it is no path such as /ping"),
        ('HealthCheck=http "path=/a b"', "it is no path such as /ping"),
        ("HealthCheck=http port=1 index=0", "it says both index and port"),
        ("HealthCheck=http port=1 port=2", "it says port twice"),
        ("HealthCheck=http port=0", "it is not within 1 … 65535"),
        ("HealthCheck=http interval=0", "it is shorter than 0.1 s"),
        ("HealthCheck=http timeout=infinity", "it is longer than a day"),
        ("HealthCheck=http failures=-1", "it is not within 0 … 1000"),
        ("Readiness=tcp port=1", "it begins with none of http, https"),
        ("Readiness=http port=1 codes=2xx", "it is no list of status codes"),
        ("Readiness=http port=1 failures=1", "'failures=1' is none of"),
        ("HealthCheck=http", "it asks at port index 0, and Ports= names no port"),
        ("Ports=0\nReadiness=http index=1", "it asks at port index 1, and Ports= names 1 port"),
        ("OnUnhealthy=reboot", "it is neither none nor restart"),
        ("OnUnhealthy=restart", "it has no HealthCheck="),
        ("HealthCheck=tcp port=1\nOnUnhealthy=restart", "it stays failed"),
    ],
)
def test_what_is_wrong_with_a_check_is_said_with_its_line(text: str, problem: str) -> None:
    if not problem:
        assert read(f"[X-Fleet]\n{text}").health == ()
        return
    said = refused(f"[X-Fleet]\n{text}")
    assert problem in said
    assert said.startswith(f"web@.service:{1 + len(text.splitlines())}: cannot use ")


def test_more_than_sixteen_checks_are_refused() -> None:
    rows = "\n".join(f"HealthCheck=tcp port={port}" for port in range(1, 18))
    assert "16 health checks at most" in refused(f"[X-Fleet]\n{rows}")


@pytest.mark.parametrize(
    "policy", ["[Service]\nRestart=on-failure", "[X-Fleet]\nReschedule=on-failure"]
)
def test_an_unhealthy_unit_is_restarted_where_something_starts_it_again(policy: str) -> None:
    found = read(f"{policy}\n[X-Fleet]\nHealthCheck=tcp port=1\nOnUnhealthy=restart")
    assert found.on_unhealthy is OnUnhealthy.RESTART


SPAN = st.integers(100_000, 86_400_000_000).map(lambda micros: micros / 1e6)
COMMAND = st.text(
    st.characters(blacklist_categories=("Cc", "Cs", "Cn")) | st.sampled_from("\n\r\t\"'\\%$ "),
    min_size=1,
)


@given(SPAN, st.none() | SPAN, COMMAND)
def test_a_command_check_is_read_as_it_was_written(
    interval: float, delay: float | None, command: str
) -> None:
    kind = CheckKind.COMMAND
    check = HealthCheck(kind=kind, interval=interval, delay=delay, command=command)
    assert health_check(written(check)) == check
    assert read(f"[X-Fleet]\nHealthCheck={written(check)}").health == (check,)


def test_other_checks_are_read_as_they_were_written() -> None:
    check = HealthCheck(path="/a%20b?c=d", index=3, ignore1xx=True, loopback=True, failures=0)
    assert health_check(written(check)) == check
    ready = Readiness(kind=CheckKind.HTTPS, path="/%n", codes=(200, 204), timeout=0.25)
    assert readiness(written(ready)) == ready
    assert written(HealthCheck()) == "http"
