"""Specifiers: each of systemd.unit(5), and what is none."""

from __future__ import annotations

import pytest

from fleetish.errors import BadUnit
from fleetish.units.name import parse_name
from fleetish.units.specifiers import SPECIFIERS, Context, expand

HOST = Context(
    machine_id="m1",
    boot_id="b1",
    hostname="node1.example",
    kernel_release="6.1.0",
    os_id="debian",
    os_version_id="12",
    os_build_id="bld",
    os_variant_id="var",
    os_image_id="img",
    os_image_version="7",
)
NAME = parse_name(r"my-web\x2dapp@a-b\x2dc.service")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%n", r"my-web\x2dapp@a-b\x2dc.service"),
        ("%N", r"my-web\x2dapp@a-b\x2dc"),
        ("%p", r"my-web\x2dapp"),
        ("%P", "my/web-app"),
        ("%i", r"a-b\x2dc"),
        ("%I", "a/b-c"),
        ("%j", r"web\x2dapp"),
        ("%J", "web-app"),
        ("%f", "/a/b-c"),
        ("%H %l %q", "node1.example node1 node1.example"),
        ("%m %b %v %a", "m1 b1 6.1.0 x86-64"),
        ("%o %w %B %W %M %A", "debian 12 bld var img 7"),
        ("%t %S %C %L %E %T %V", "/run /var/lib /var/cache /var/log /etc /tmp /var/tmp"),
        ("%u %U %g %G %h %s", "root 0 root 0 /root /bin/sh"),
        ("%d", r"/run/credentials/my-web\x2dapp@a-b\x2dc.service"),
        ("%Y", "/run/systemd/transient"),
        ("%y", r"/run/systemd/transient/my-web\x2dapp@a-b\x2dc.service"),
        ("100%% %%n", "100% %n"),
        ("none", "none"),
    ],
)
def test_a_specifier_stands_for_its_fact(text: str, expected: str) -> None:
    assert expand(text, NAME, HOST) == expected


def test_a_plain_unit_has_no_instance_and_its_prefix_as_path() -> None:
    assert expand("[%i] [%I] %f", parse_name("srv-data.service"), HOST) == "[] [] /srv/data"


@pytest.mark.parametrize("text", ["%", "50%", "%Z", "%z", "% n", "%\u00e4"])
def test_what_is_no_specifier_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(BadUnit, match="write %% for a percent sign"):
        expand(text, NAME, HOST)


def test_an_instance_that_is_no_escaped_text_has_no_unescaped_form() -> None:
    with pytest.raises(BadUnit, match="cannot expand '%I'"):
        expand("%I", parse_name(r"web@a\b.service"), HOST)


def test_every_specifier_of_the_manual_is_there() -> None:
    assert set(SPECIFIERS) == set("aAbBCdEfgGhHiIjJlLmMnNopPqsStTuUvVwWyY%")
