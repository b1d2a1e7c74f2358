from __future__ import annotations

import msgspec
import pytest

from fleetish.units.constraint import Constraint, Operator, read, read_all, value_of
from fleetish.units.verify import verify_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rack UNIQUE", Constraint("rack", Operator.UNIQUE)),
        ("  rack   CLUSTER ", Constraint("rack", Operator.CLUSTER)),
        ("rack CLUSTER r 1", Constraint("rack", Operator.CLUSTER, "r 1")),
        ("hostname LIKE web-\\d+", Constraint("hostname", Operator.LIKE, "web-\\d+")),
        ("rack MAX_PER 0", Constraint("rack", Operator.MAX_PER, "0")),
        ("rack GROUP_BY", Constraint("rack", Operator.GROUP_BY)),
        ("rack GROUP_BY 3", Constraint("rack", Operator.GROUP_BY, "3")),
    ],
)
def test_a_constraint_is_a_field_an_operator_and_a_value(text: str, expected: Constraint) -> None:
    assert read(text) == expected
    assert read(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rack", "FIELD OPERATOR"),
        ("", "FIELD OPERATOR"),
        ("rack unique", "none of UNIQUE, CLUSTER"),
        ("rack UNIQUE r1", "UNIQUE takes no value"),
        ("rack LIKE", "LIKE needs a value"),
        ("rack IS", "IS needs a value"),
        ("rack MAX_PER x", "whole number from 0"),
        ("rack MAX_PER 0x1", "whole number from 0"),
        ("rack GROUP_BY 0", "whole number from 1"),
        ("rack GROUP_BY -1", "whole number from 1"),
        ("rack GROUP_BY inf", "whole number from 1"),
        ("rack LIKE (", "no regular expression of RE2"),
        ("rack UNLIKE (?=x)", "no regular expression of RE2"),
        ("rack LIKE (a)\\1", "no regular expression of RE2"),
        ("rack LIKE " + "((a{1,100}){1,10})" * 50, "too large"),
        ("rack LIKE " + "a" * 1025, "1024 characters at most"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_reason(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(text)


def test_a_stored_constraint_is_checked_as_a_written_one() -> None:
    with pytest.raises(msgspec.ValidationError, match="RE2"):
        msgspec.json.decode(b'{"field":"a","operator":"LIKE","value":"("}', type=Constraint)


def test_repeats_count_once_and_there_is_a_bound() -> None:
    assert read_all(["a UNIQUE", "a UNIQUE"]) == (Constraint("a", Operator.UNIQUE),)
    with pytest.raises(ValueError, match="100 constraints at most"):
        read_all([f"a{n} UNIQUE" for n in range(101)])


@pytest.mark.parametrize(
    ("text", "allowed", "refused"),
    [
        ("a LIKE web-\\d", ["web-1"], ["xweb-1", "web-1x", "web-"]),
        ("a UNLIKE web-\\d", ["xweb-1", ""], ["web-1"]),
        ("a LIKE \\C+", ["ä"], [""]),
        ("a LIKE (a+)+$", ["a" * 5000], ["a" * 5000 + "b"]),
        ("a IS r1", ["r1"], ["R1", "r1 "]),
        ("a IS 2", ["2", "2.0", "2.0004", "1.9995", "2.0005"], ["2.001", "1.9994", "nan"]),
        ("a IS 1e999999999", [], ["5"]),
        ("a IS nan", ["nan"], ["NaN", "1"]),
        ("a CLUSTER r1", ["r1"], ["r2"]),
        ("a CLUSTER", ["r1", "r2"], []),
    ],
)  # fmt: skip
def test_a_value_alone_is_allowed_or_not(text: str, allowed: list[str], refused: list[str]) -> None:
    one = read(text)
    assert [one.allows(value) for value in allowed] == [True] * len(allowed)
    assert [one.allows(value) for value in refused] == [False] * len(refused)


def test_a_field_is_the_hosts_name_or_a_key_of_its_metadata() -> None:
    metadata = {"rack": "r1", "zone": "z", "region": "", "@zone": "other"}
    fields = ("hostname", "@hostname", "rack", "@zone", "@region", "lacks")
    found = [value_of(field, "node1", metadata) for field in fields]
    assert found == ["node1", "node1", "r1", "z", "", None]


@pytest.mark.parametrize(
    ("constraint", "refused"),
    [("rack GROUP_BY 2", True), ("rack GROUP_BY", True), ("rack IS r1", False)],
)
def test_a_unit_that_runs_everywhere_is_not_spread(constraint: str, refused: bool) -> None:
    text = f"[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\nConstraint={constraint}\n"
    problems = verify_text(text, "web@1.service")
    assert [str(one).startswith("web@1.service:5: Global cannot") for one in problems] == [
        True
    ] * refused
