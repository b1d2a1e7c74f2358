"""Environment= of [X-Fleet]."""

from __future__ import annotations

import pytest

from fleetish.units.variables import facts, filled, problems, read_all
from fleetish.units.verify import verify_text


def test_facts_are_filled_in() -> None:
    known = facts((31000, 31001), 2, "m1")
    text = "X=${PORT} ${PORT1} ${PORTS} ${LAUNCH} ${MACHINE} $PORT {PORT}"
    assert filled(text, known) == ("X", "31000 31001 31000,31001 2 m1 $PORT {PORT}")


def test_the_last_of_a_name_counts() -> None:
    assert read_all(["A=1", "B=", "A=${LAUNCH}"]) == ("A=${LAUNCH}", "B=")


@pytest.mark.parametrize(
    "row", ["", "A", "1A=x", "A B=x", "=x", "A=${HOME}", "A=${PORT01}", "A=${}", "A=\n", "A=\x1b"]
)
def test_what_is_no_variable_of_known_facts_is_refused(row: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        read_all([row])


def test_a_port_that_is_not_claimed_is_refused() -> None:
    assert list(problems(("A=${PORT1}", "B=${PORT0} ${LAUNCH}"), 1)) == [
        "cannot use Environment=A=${PORT1}: Ports= names too few, 1"
    ]
    text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nEnvironment=A=${PORT}\n"
    (problem,) = verify_text(text, "a.service")
    assert "Ports= names too few, 0" in problem.message
