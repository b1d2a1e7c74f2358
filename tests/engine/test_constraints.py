"""Each of fleet's scheduling rules, and ours, one test each: what is said of a machine."""

from __future__ import annotations

import pytest

from fleetish.engine.constraints import Rejection, reject
from fleetish.engine.draft import Draft
from fleetish.engine.roster import Roster
from fleetish.model import Record, Unit
from fleetish.testing.build import machine, overlay, placed, unit, world
from fleetish.world import Revision

NODE = machine("0123456789abcdef", host="node1", metadata={"zone": "x", "disk": "ssd"})
OTHER = machine("fedcba9876543210", host="node2")

Records = Record | tuple[Record, ...]


def said(one: Unit, *records: Records, avoid: tuple[str, ...] = ()) -> str:
    """What NODE says against a unit; "" when it takes it."""
    known = world(NODE, OTHER, one, *records)
    draft = Draft(known, Roster.of(known))
    found = reject(draft.room(NODE.id), one, draft, avoid)
    assert found is None or found.machine == NODE.id
    return found.reason if found else ""


def test_a_rejection_is_a_value() -> None:
    assert Rejection("m", "lacks metadata zone=x") == Rejection("m", "lacks metadata zone=x")


@pytest.mark.parametrize("wanted", [NODE.id, NODE.id[:8], ""])
def test_machine_id_takes_the_whole_id_or_its_first_eight_characters(wanted: str) -> None:
    assert said(unit("a.service", machine_id=wanted)) == ""


@pytest.mark.parametrize("wanted", [OTHER.id, NODE.id[:7], NODE.id[:9]])
def test_machine_id_takes_nothing_else(wanted: str) -> None:
    assert said(unit("a.service", machine_id=wanted)) == f"is not machine {wanted}"


def test_metadata_is_or_within_a_key_and_and_between_keys() -> None:
    both = (("zone", ("w", "x")), ("disk", ("ssd",)))
    assert said(unit("a.service", metadata=both)) == ""
    one = (("zone", ("w", "x")), ("disk", ("hdd", "tape")))
    assert said(unit("a.service", metadata=one)) == "lacks metadata disk=hdd or disk=tape"


def test_the_operators_metadata_wins_over_the_machines_own() -> None:
    wish = unit("a.service", metadata=(("zone", ("x",)),))
    assert said(wish, overlay(NODE.id, metadata={"zone": "y"})) == "lacks metadata zone=x"
    assert said(wish, overlay(NODE.id, metadata={"zone": None})) == "lacks metadata zone=x"


def test_machine_of_wants_all_peers_placed_there() -> None:
    wish = unit("a.service", machine_of=("p.service", "q.service"))
    here = placed(unit("p.service"), NODE.id)
    assert said(wish, here, placed(unit("q.service"), NODE.id)) == ""
    away = placed(unit("q.service"), OTHER.id)
    assert said(wish, here, away) == "does not have q.service, which is on node2"
    assert said(wish, here, unit("q.service")) == "does not have q.service, which is not placed"
    assert said(wish, here) == "does not have q.service, which is not a unit"


def test_machine_of_counts_a_global_peer_that_is_there() -> None:
    peer = unit("p.service", global_=True)
    _, _, held = placed(peer, NODE.id)
    wish = unit("a.service", machine_of=("p.service",))
    assert said(wish, peer, held) == ""
    assert said(wish, peer) == "does not have p.service, which is not placed"


def test_machine_of_with_a_pattern_wants_one_of_those_that_it_means() -> None:
    wish = unit("a.service", machine_of=("p*.service",))
    assert said(wish, placed(unit("p1.service"), NODE.id), unit("p2.service")) == ""
    away = placed(unit("p1.service"), OTHER.id)
    assert said(wish, away) == "has no unit that p*.service means"
    both = unit("a.service", machine_of=("p*.service", "q.service"))
    assert said(both, placed(unit("p1.service"), NODE.id)) == (
        "does not have q.service, which is not a unit"
    )


def test_a_pattern_means_neither_the_unit_itself_nor_one_that_it_replaces() -> None:
    wish = unit("p1.service", machine_of=("p*.service",), replaces=("p2*",))
    here = placed(unit("p2.service"), NODE.id)
    assert said(wish, here) == "has no unit that p*.service means"
    assert said(wish, here, placed(unit("p3.service"), NODE.id)) == ""


def test_what_a_unit_activates_must_be_here_if_the_cluster_has_it() -> None:
    wish = unit("web.socket", triggers=("web.service",))
    assert said(wish) == ""
    text = "does not have web.service, which it activates and which is"
    assert said(wish, unit("web.service")) == f"{text} not placed"
    assert said(wish, placed(unit("web.service"), OTHER.id)) == f"{text} on node2"
    assert said(wish, placed(unit("web.service"), NODE.id)) == ""


def test_conflicts_hold_both_ways_by_pattern() -> None:
    here = placed(unit("web@1.service"), NODE.id)
    text = "has web@1.service, which the unit conflicts with"
    assert said(unit("a.service", conflicts=("web@*",)), here) == text
    picky = placed(unit("web@1.service", conflicts=("a.*",)), NODE.id)
    assert said(unit("a.service"), picky) == "has web@1.service, which conflicts with the unit"
    assert said(unit("b.service"), picky) == ""


def test_conflicts_count_global_units() -> None:
    everywhere = unit("g.service", global_=True)
    _, _, held = placed(everywhere, NODE.id)
    text = "has g.service, which the unit conflicts with"
    assert said(unit("a.service", conflicts=("g*",)), everywhere, held) == text


def test_a_unit_does_not_conflict_with_itself() -> None:
    wish = unit("web@1.service", conflicts=("web@*",))
    _, placement, held = placed(wish, NODE.id)
    assert said(wish, placement, held) == ""


def test_a_unit_is_not_placed_beside_one_that_replaces_it() -> None:
    taker = placed(unit("new.service", replaces=("old*",)), NODE.id)
    assert said(unit("old.service"), taker) == "has new.service, which replaces the unit"


def test_of_two_units_that_replace_each_other_only_one_has_a_place() -> None:
    first = placed(unit("a.service", replaces=("b.service",)), OTHER.id)
    second = unit("b.service", replaces=("a.service",))
    assert said(second, first) == "cannot take it: a.service runs, and the two replace each other"


def test_reserved_amounts_are_compared_with_what_is_left() -> None:
    hog = placed(unit("hog.service", cpus=3.5, memory=100), NODE.id)
    assert said(unit("a.service", cpus=0.5), hog) == ""
    assert said(unit("a.service", cpus=1, memory=9000), hog) == (
        "needs 1 CPUs, 0.5 free, needs 9000 MiB memory, 8092 free"
    )


def test_a_unit_that_reserves_nothing_fits_a_full_machine() -> None:
    assert said(unit("a.service"), placed(unit("hog.service", cpus=9), NODE.id)) == ""


def test_ports_are_taken_once() -> None:
    here = placed(unit("web.service", ports=(80,)), NODE.id, ports=(80,))
    assert said(unit("a.service", ports=(80, 443)), here) == "port 80 is taken by web.service"
    assert said(unit("a.service", ports=(443,)), here) == ""


def test_assigned_ports_run_out() -> None:
    small = machine(NODE.id, ports=(31000, 31001))
    here = placed(unit("web.service", ports=(0,)), NODE.id, ports=(31000,))
    assert said(unit("a.service", ports=(0,)), small, here) == ""
    text = "no port is free in 31000-31001"
    assert said(unit("a.service", ports=(0, 0)), small, here) == text
    assert said(unit("a.service", ports=(31001, 0)), small, here) == text


def test_cordoned_and_draining_machines_take_nothing_and_say_why() -> None:
    assert said(unit("a.service"), overlay(NODE.id, cordoned=True)) == "is cordoned"
    drained = overlay(NODE.id, draining=True, reason="new disk")
    assert said(unit("a.service"), drained) == "is draining: new disk"


def test_a_machine_whose_operators_record_is_unreadable_takes_nothing() -> None:
    one = unit("a.service")
    known = world(NODE, one)
    known.quarantine(("metadata", NODE.id), "no JSON", Revision(9, 9))
    draft = Draft(known, Roster.of(known))
    text = "has an operator's record that cannot be read"
    assert reject(draft.room(NODE.id), one, draft) == Rejection(NODE.id, text)


def test_a_unit_does_not_return_to_where_it_kept_failing() -> None:
    assert said(unit("a.service"), avoid=(NODE.id,)) == "is where it kept failing"


def test_the_cheapest_reason_is_said_first() -> None:
    wish = unit("a.service", metadata=(("zone", ("y",)),), cpus=99, ports=(80,))
    assert said(wish) == "lacks metadata zone=y"
