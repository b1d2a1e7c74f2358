"""Which units of a machine come up with which others."""

from __future__ import annotations

from typing import Any

import pytest

from fleetish.agent.companions import Companion, Companions
from fleetish.errors import Refused
from fleetish.model import Assignment, Target
from fleetish.units.xfleet import Class, Requirements


def wish(name: str, target: Target = Target.LAUNCHED, **asks: Any) -> Assignment:
    asked = Requirements(**asks)
    return Assignment(unit=name, machine="m", hash="h", target=target, requirements=asked)


SOCKET = wish("web.socket", triggers=("web.service",))
SERVICE = wish("web.service", Target.LOADED, pulls=("log.service", "docker.service"))
LOG = wish("log.service", Target.LOADED)
SIDE = wish("side.service", Target.LOADED, wanted_by=("web.service",))


def test_a_socket_goes_with_its_service_and_all_that_this_one_brings_up() -> None:
    known = Companions((SOCKET, SERVICE, LOG, SIDE, wish("other.service")))
    assert known.together(SOCKET) == (
        Companion(LOG, pulled=False, needed=False),
        Companion(SIDE, pulled=False, needed=False),
        Companion(SERVICE, pulled=False, needed=True),
    )
    assert known.together(SERVICE) == (
        Companion(LOG, pulled=True, needed=False),
        Companion(SIDE, pulled=True, needed=False),
    )
    assert known.together(LOG) == ()


def test_a_unit_that_requires_its_socket_pulls_it_and_is_no_companion_of_itself() -> None:
    service = wish("web.service", pulls=("web.socket",))
    known = Companions((SOCKET, service))
    assert known.together(service) == (Companion(SOCKET, pulled=True, needed=False),)
    assert known.together(SOCKET) == (Companion(service, pulled=False, needed=True),)


def test_what_is_required_by_a_unit_is_needed_by_it() -> None:
    helper = wish("helper.service", required_by=("web.service",))
    known = Companions((SERVICE, helper))
    assert known.together(SERVICE) == (Companion(helper, pulled=True, needed=True),)
    assert known.sidekicks("web.service") == ((), ("helper.service",))


def test_what_is_being_stopped_here_is_nobodys_companion() -> None:
    known = Companions((SOCKET, wish("web.service", Target.INACTIVE)))
    assert known.together(SOCKET) == ()
    going = wish("side.service", Target.INACTIVE, wanted_by=("web.service",))
    assert Companions((SERVICE, going)).sidekicks("web.service") == ((), ())


def test_a_unit_is_kept_while_one_that_brings_it_up_is_launched() -> None:
    known = Companions((SOCKET, SERVICE, LOG, SIDE))
    assert [known.keeper(name) for name in ("web.service", "log.service", "side.service")] == [
        "web.socket",
        "web.socket",
        "web.socket",
    ]
    known.put("web.socket", wish("web.socket", Target.INACTIVE, triggers=("web.service",)))
    assert [known.keeper(name) for name in ("web.service", "log.service")] == ["", ""]


def test_units_that_bring_up_each_other_keep_nobody_by_that() -> None:
    one = wish("one.service", Target.LOADED, pulls=("two.service",))
    two = wish("two.service", Target.LOADED, pulls=("one.service",))
    known = Companions((one, two))
    assert (known.keeper("one.service"), known.together(one)) == (
        "",
        (Companion(two, pulled=True, needed=False),),
    )


def test_a_unit_that_is_gone_is_still_named_by_what_activates_it() -> None:
    known = Companions((SOCKET, SERVICE))
    known.put("web.service", None)
    assert known.keeper("web.service") == "web.socket"
    assert known.activators("web.service") == ["web.socket"]
    known.put("web.socket", None)
    assert known.keeper("web.service") == ""


def test_a_change_concerns_all_that_the_unit_brings_up() -> None:
    known = Companions((SERVICE, LOG, SIDE))
    below = {"web.service", "log.service", "docker.service", "side.service"}
    assert known.put("web.socket", SOCKET) == below
    assert known.put("web.socket", SOCKET) == set()
    assert known.put("web.socket", None) == below


def test_an_exclusive_unit_is_brought_up_by_nothing() -> None:
    exclusive = wish("web.service", klass=Class.EXCLUSIVE, wanted_by=("main.service",))
    main = wish("main.service", pulls=("web.service",))
    assert Companions((main, exclusive)).together(main) == ()
    assert Companions((main, exclusive)).sidekicks("main.service") == ((), ())
    with pytest.raises(Refused, match=r"web.socket: it brings up web.service.*exclusive"):
        Companions((SOCKET, exclusive)).together(SOCKET)
