"""Which units a unit activates, and which pull it up."""

from __future__ import annotations

import pytest

from fleetish.units.bonds import Bonds, bonds
from fleetish.units.file import parse


@pytest.mark.parametrize(
    ("name", "text", "triggers"),
    [
        ("web.socket", "[Socket]\nListenStream=80\n", ("web.service",)),
        ("web@1.socket", "[Socket]\nListenStream=80\n", ("web@1.service",)),
        ("web@1.socket", "[Socket]\nService=other@%i.service\n", ("other@1.service",)),
        ("web.timer", "[Timer]\nUnit=job.service\nUnit=\n", ("web.service",)),
        ("web.timer", "[Timer]\nUnit=job.service\n", ("job.service",)),
        ("web.path", "[Path]\nUnit=no name\n", ()),
        ("srv-x.automount", "[Automount]\nWhere=/srv/x\n", ("srv-x.mount",)),
        ("web.service", "[Service]\nExecStart=/bin/true\n", ()),
    ],
)
def test_what_a_unit_activates(name: str, text: str, triggers: tuple[str, ...]) -> None:
    assert bonds(parse(text), name) == Bonds(triggers)


def test_who_pulls_a_unit_up_but_no_target() -> None:
    text = "[Install]\nWantedBy=multi-user.target main.service\nRequiredBy=%p-x.service\nAlias=a\n"
    assert bonds(parse(text), "side.service") == Bonds((), ("main.service",), ("side-x.service",))


def test_an_unfinished_quote_pulls_nothing_up() -> None:
    assert bonds(parse('[Install]\nWantedBy="main.service\n'), "side.service") == Bonds()


def test_what_a_unit_pulls_up_but_no_target_and_mounts_of_all_its_paths() -> None:
    text = (
        "[Unit]\nRequires=db.service a.target\nWants=log@%i.service\nBindsTo=x.socket\n"
        "Upholds=y.service db.service\nAfter=z.service\nRequiresMountsFor=/srv/a-b/%i relative\n"
    )
    assert bonds(parse(text), "web@1.service").pulls == (
        "db.service",
        "log@1.service",
        "x.socket",
        "y.service",
        "srv-a\\x2db-1.mount",
        "srv-a\\x2db.mount",
        "srv.mount",
    )
