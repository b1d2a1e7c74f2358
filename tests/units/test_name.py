"""Unit names: what systemd takes, templates, escaping (systemd-escape is the oracle), slices."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetish.errors import BadName
from fleetish.units.name import (
    CLIENT_TYPES,
    UnitName,
    escape,
    escape_path,
    instantiate,
    is_valid,
    parse_name,
    slice_for,
    unescape,
    unescape_path,
    with_suffix,
)

needs_systemd_escape = pytest.mark.skipif(
    shutil.which("systemd-escape") is None, reason="systemd-escape is not installed"
)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("web.service", UnitName("web", None, "service")),
        ("web@.service", UnitName("web", "", "service")),
        ("web@a@b.service", UnitName("web", "a@b", "service")),
        ("a.b.timer", UnitName("a.b", None, "timer")),
        (r"dev-sd\x2d1.mount", UnitName(r"dev-sd\x2d1", None, "mount")),
        ("x" * 247 + ".service", UnitName("x" * 247, None, "service")),
    ],
)
def test_a_name_is_read_into_its_parts_and_back(name: str, parts: UnitName) -> None:
    assert (parse_name(name), parts.full) == (parts, name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "it is empty"),
        ("web", "it has no type suffix"),
        ("web.", "no unit type ''"),
        ("web.foo", "no unit type 'foo'"),
        (".service", "no name before the suffix"),
        ("@a.service", "no name before the @"),
        ("a b.service", "' ' is not allowed"),
        ("a/b.service", "'/' is not allowed"),
        ("a\n.service", r"'\n' is not allowed"),
        ("ä.service", "'ä' is not allowed"),
        ("x" * 248 + ".service", "longer than 255 bytes"),
    ],
)
def test_a_bad_name_is_refused_with_the_rule_it_breaks(name: str, why: str) -> None:
    with pytest.raises(BadName, match=r"cannot use .* as a unit name") as caught:
        parse_name(name)
    assert why in caught.value.message
    assert not is_valid(name)


def test_a_template_makes_instances() -> None:
    template = parse_name("web@.service")
    instance = parse_name(instantiate("web@.service", "blue"))
    assert (template.is_template, template.is_instance) == (True, False)
    assert (instance.is_template, instance.is_instance) == (False, True)
    assert (str(instance), instance.template, instance.stem) == (
        "web@blue.service",
        "web@.service",
        "web@blue",
    )
    assert parse_name("web.service").template == ""


@pytest.mark.parametrize(
    ("template", "instance"), [("web.service", "a"), ("web@.service", ""), ("web@.service", "a b")]
)
def test_no_instance_is_made_of_what_is_no_template_or_no_instance(
    template: str, instance: str
) -> None:
    with pytest.raises(BadName):
        instantiate(template, instance)


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("web", "web.service"),
        ("web.socket", "web.socket"),
        ("web.service", "web.service"),
        ("web.txt", "web.txt.service"),
        ("service", "service.service"),
    ],
)
def test_a_name_without_a_type_gets_service(given: str, full: str) -> None:
    assert with_suffix(given) == with_suffix(given, CLIENT_TYPES) == full


def test_fleetctl_does_not_know_all_types() -> None:
    assert with_suffix("x.target", CLIENT_TYPES) == "x.target.service"
    assert with_suffix("x.target") == "x.target"


@given(TEXTS)
def test_unescape_turns_escape_round(text: str) -> None:
    assert unescape(escape(text)) == text


@given(st.lists(TEXTS.filter(lambda t: t not in ("", ".", "..") and "/" not in t), max_size=4))
def test_unescape_path_turns_escape_path_round(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert unescape_path(escape_path(path)) == path


@given(TEXTS.filter(bool))
def test_what_is_escaped_may_stand_in_a_name(text: str) -> None:
    if len(escape(text)) < 200:
        assert parse_name(f"x@{escape(text)}.service").instance == escape(text)


@needs_systemd_escape
@settings(max_examples=25, deadline=None)
@given(st.lists(TEXTS.filter(lambda t: bool(t) and "\n" not in t), min_size=1, max_size=20))
def test_escaping_is_that_of_systemd_escape(texts: list[str]) -> None:
    # One per call would be slow; the command joins its answers with spaces, which no escape has.
    assert _oracle("--", *texts) == [escape(text) for text in texts]


@needs_systemd_escape
@pytest.mark.parametrize("path", ["/", "/a", "//a//b/./c/", "/.a", "/a-b/c d", "/ä", "/dev/sd@1"])
def test_path_escaping_is_that_of_systemd_escape(path: str) -> None:
    assert _oracle("--path", "--", path) == [escape_path(path)]


@pytest.mark.parametrize("text", [r"a\x", r"a\xzz", "a\\", r"\x00"])
def test_a_broken_escape_is_refused(text: str) -> None:
    with pytest.raises(BadName, match="cannot unescape"):
        unescape(text)


@pytest.mark.parametrize("text", ["-a", "a-", "a--b", "..", "", r"\x2e\x2e-a"])
def test_what_no_path_gives_is_not_unescaped_as_one(text: str) -> None:
    with pytest.raises(BadName):
        unescape_path(text)


def test_a_path_with_dots_is_not_escaped() -> None:
    with pytest.raises(BadName, match=r"has a \.\. component"):
        escape_path("/a/../b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web.service", "fleetish-web.slice"),
        ("web@1.service", "fleetish-web.slice"),
        ("web@2.service", "fleetish-web.slice"),
        ("web-blue.service", r"fleetish-web\x2dblue.slice"),
        (".hidden.service", r"fleetish-\x2ehidden.slice"),
    ],
)
def test_a_template_has_one_slice_and_a_dash_does_not_nest_it(name: str, expected: str) -> None:
    assert slice_for(name) == expected


def test_slices_of_long_names_stay_valid_and_apart() -> None:
    names = [f"{'-' * 240}{end}.service" for end in "ab"]
    slices = [slice_for(name) for name in names]
    assert len(set(slices)) == 2
    assert all(is_valid(one) and len(one) == 255 for one in slices)


def _oracle(*args: str) -> list[str]:
    done = subprocess.run(["systemd-escape", *args], capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n").split(" ")
