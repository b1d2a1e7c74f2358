"""Units that are to be where others are."""

from __future__ import annotations

from fleetish.changes import Assign, Move
from fleetish.engine.plan import Plan, plan
from fleetish.model import Target
from fleetish.testing.build import drop, placed, put, unit, world
from tests.engine.rounds import LONG_AGO, NOW, A, B, C, homes, settled


def test_peers_are_placed_together_whatever_their_order() -> None:
    pair = (unit("a.service", machine_of=("z.service",), cpus=2), unit("z.service", cpus=2))
    half_full = placed(unit("x.service", cpus=1), "a")
    known = world(A, B, half_full, *pair)
    settled(known)
    assert homes(known) == {"a.service": "b", "x.service": "a", "z.service": "b"}


def test_units_that_follow_each_other_are_placed_together() -> None:
    pair = (
        unit("p.service", machine_of=("q.service",)),
        unit("q.service", machine_of=("p.service",)),
    )
    known = world(A, B, *pair)
    decided = plan(known, NOW).changes
    assert decided == (
        Assign("p.service", "a", (), "together with its peers"),
        Assign("q.service", "a", (), "together with its peers"),
    )
    settled(known)
    assert plan(known, NOW) == Plan(())


def test_a_peer_is_placed_though_its_follower_fits_nowhere() -> None:
    pair = (unit("a.service", machine_of=("z.service",), cpus=9), unit("z.service", cpus=2))
    known = world(A, B, *pair)
    settled(known)
    assert homes(known) == {"z.service": "a"}


def test_followers_move_with_their_peer_off_a_lost_machine() -> None:
    follower = unit("ping.service", machine_of=("pong.service",))
    known = world(B, C, placed(unit("pong.service"), "a"), placed(follower, "a"))
    decided = plan(known, NOW, lost_since=LONG_AGO).changes
    assert {(change.unit, change.machine) for change in decided if isinstance(change, Move)} == {
        ("ping.service", "b"),
        ("pong.service", "b"),
    }


def test_a_follower_leaves_when_its_peer_is_stopped() -> None:
    follower = unit("ping.service", machine_of=("pong.service",))
    known = world(A, placed(unit("pong.service"), "a"), placed(follower, "a"))
    put(known, unit("pong.service", target=Target.INACTIVE))
    settled(known)
    assert homes(known) == {}


def test_a_helper_goes_where_one_of_those_is_that_its_pattern_means() -> None:
    helper = unit("h.service", machine_of=("web@*",))
    known = world(A, B, helper, placed(unit("web@1.service"), "b"), unit("other.service"))
    settled(known)
    assert homes(known)["h.service"] == "b"


def test_a_helper_stays_while_any_of_those_is_there_and_else_follows_another() -> None:
    helper = placed(unit("h.service", machine_of=("web@*",)), "a")
    webs = [placed(unit(f"web@{n}.service"), on) for n, on in enumerate("aab")]
    known = world(A, B, helper, *webs)
    drop(known, "units", "web@0.service")
    settled(known)
    assert homes(known)["h.service"] == "a"
    drop(known, "units", "web@1.service")
    settled(known)
    assert homes(known)["h.service"] == "b"


def test_a_new_unit_is_noticed_by_the_pattern_that_means_it() -> None:
    known = world(A, B, unit("h.service", machine_of=("web@*",)))
    assert settled(known) == []
    touched = put(known, unit("web@1.service"))
    assert plan(known, NOW, touched=touched) == plan(known, NOW)
    settled(known)
    assert set(homes(known)) == {"h.service", "web@1.service"}


def test_a_pattern_does_not_hold_all_that_it_means_together() -> None:
    webs = (unit(f"web@{n}.service") for n in range(3))
    known = world(A, B, C, unit("h.service", machine_of=("web@*",)), *webs)
    settled(known)
    assert sorted(homes(known).values()) == ["a", "a", "b", "c"]


def test_pairs_that_follow_each_other_by_pattern_are_each_placed_together() -> None:
    pings = (unit(f"ping@{n}.service", machine_of=("pong@*",), cpus=2) for n in range(2))
    pongs = (unit(f"pong@{n}.service", machine_of=("ping@*",), cpus=2) for n in range(2))
    known = world(A, B, *pings, *pongs)
    settled(known)
    assert homes(known) == {
        "ping@0.service": "a",
        "ping@1.service": "b",
        "pong@0.service": "a",
        "pong@1.service": "b",
    }
