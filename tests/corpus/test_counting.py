"""Cases, counts and differences of the comparison, without a host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.corpus.cases import NEVER, Case, case
from tests.corpus.count import count, judge
from tests.corpus.differences import complaints, differences, placed_differences
from tests.corpus.fetch import Archive, CannotFetch, unit_files
from tests.corpus.verdict import faults

GOOD = "[Unit]\nAfter=a.service\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=b.target\n"


def test_a_case_has_a_name_of_its_own() -> None:
    assert case(7, "web.service", GOOD) == Case(
        "case7web.service", "case7web.service", GOOD + NEVER, alone=False
    )


def test_a_template_is_tried_as_an_instance() -> None:
    assert case(7, "web@.service", GOOD)[:2] == ("case7web@.service", "case7web@x.service")


def test_a_mount_keeps_its_name_and_is_alone() -> None:
    assert case(7, "srv.mount", "")[:2] == ("srv.mount", "srv.mount")
    assert case(7, "srv.mount", "").alone


@pytest.mark.parametrize(
    ("name", "line", "changed"),
    [
        ("web.socket", "Service=web.service", "Service=case7web.service"),
        ("web.timer", "Unit = web.service", "Unit = case7web.service"),
        ("web@.service", "Sockets=web@%i.socket", "Sockets=case7web@%i.socket"),
        ("web.socket", "Service=other.service", "Service=other.service"),
        ("web.socket", "After=web.service", "After=web.service"),
    ],
)
def test_a_partner_of_the_same_name_follows(name: str, line: str, changed: str) -> None:
    assert case(7, name, f"[X]\n{line}\n").text == f"[X]\n{changed}\n{NEVER}"


def test_directives_are_counted_without_install() -> None:
    verdict = judge("p", "web@.service", GOOD)
    assert (verdict.directives, verdict.installs, verdict.refused) == (2, 1, ())


def test_a_refused_line_is_counted_once_with_its_reason() -> None:
    (refusal,) = judge("p", "a.service", GOOD + "[Service]\nNice=a lot\n").refused
    assert refusal[:2] == ("service", "Nice")
    assert refusal.reason.startswith("cannot use Nice=a lot: ")


def test_the_share_is_of_files_that_can_be_started() -> None:
    bad = GOOD + "[Service]\nNice=a lot\nUMask=9\n"
    files = [("p", "a.service", GOOD), ("p", "b.service", bad), ("q", "c.target", "[Unit]\nA=b\n")]
    found = count(files)
    assert (found.packages, found.directives, len(found.refused)) == (2, 6, 2)
    assert found.share == pytest.approx(4 / 6)
    assert found.others == (("target", 1, 1),)
    assert [one.name for one in found.accepted] == ["a.service"]


NATIVE = {"Id": "web.service", "After": "a b", "Nice": "0", "Transient": "no"}


def test_order_and_named_properties_are_no_difference() -> None:
    assert differences(NATIVE, {**NATIVE, "After": "b a", "Transient": "yes"}) == {}


def test_any_other_difference_is_shown_with_both_values() -> None:
    assert differences(NATIVE, {**NATIVE, "Nice": "5"}) == {"Nice": ("0", "5")}
    assert differences(NATIVE, {**NATIVE, "After": "a"}) == {"After": ("a b", "a")}
    assert differences(NATIVE, {"Id": "web.service", "After": "a b"}) == {"Nice": ("0", "")}


def test_a_slice_may_have_what_systemd_gave_it_too_early() -> None:
    native = {"Id": "a.slice", "Before": ""}
    assert differences(native, {**native, "Before": "shutdown.target"}) == {}
    assert differences(native, {**native, "Before": "x.target"}) == {"Before": ("", "x.target")}


def test_what_an_agent_adds_is_expected_to_the_letter() -> None:
    native = {
        "Id": "web.service",
        "Slice": "system.slice",
        "Environment": "A=1",
        "Requires": "system.slice a.service",
        "After": "system.slice",
        "LogExtraFields": "",
    }
    labels = "FLEETISH_CLUSTER=m FLEETISH_UNIT=web.service FLEETISH_HASH=web.service"
    placed = {
        "Id": "web.service",
        "Slice": "fleetish-web.slice",
        "Environment": "A=1 FLEETISH_MACHINE=m",
        "After": "fleetish-web.slice",
        "Requires": "a.service fleetish-web.slice",
        "LogExtraFields": f"{labels} FLEETISH_LAUNCH=1",
    }
    assert placed_differences(native, placed, "web.service", "m") == {}
    assert placed_differences(native, {**placed, "Slice": "a.slice"}, "web.service", "m") == {
        "Slice": ("fleetish-web.slice", "a.slice")
    }


def test_remarks_are_no_complaints_but_what_is_ignored_is() -> None:
    remark = "/a.service:3: Unit uses KillMode=none. This is unsafe."
    dropped = "/a.service:3: Unknown key name 'A' in section 'Service', ignoring."
    assert complaints([remark, dropped]) == [dropped]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"refused": "cannot use Nice=: no"}, ""),
        ({"refused": "systemd: Invalid"}, "systemd: Invalid"),
        ({"started": {"Id": "a.service", "LoadState": "loaded"}}, ""),
        ({"started": {"Id": "a.service", "LoadState": "error"}}, "LoadState"),
    ],
)
def test_a_fault_is_what_fleetish_takes_and_systemd_does_not(
    row: dict[str, object], problem: str
) -> None:
    native = {"Id": "a.service", "LoadState": "loaded"}
    found = faults({"native": native, "warnings": [], **row})
    assert bool(found) == bool(problem)
    assert all(re.match(problem, text) for text in found)


def test_what_systemd_does_not_load_must_not_be_taken() -> None:
    native = {"Id": "a.service", "LoadState": "bad-setting"}
    row = {"native": native, "warnings": [], "started": native}
    assert faults(row) == ["systemd does not load the file: bad-setting"]


def test_the_cache_knows_versions_apart() -> None:
    one, other = (Archive("a", version, "f" * 64).key for version in ("1%3a2", "1%3a3"))
    assert one == "a_1%3a2-ffffffffffffffff.json" != other


def test_what_is_no_package_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_text("no archive")
    with pytest.raises(CannotFetch, match="cannot read a"):
        list(unit_files(tmp_path / "a.deb"))
