"""Units that activate others: kept ready, and together with what they activate."""

from __future__ import annotations

from fleetish.changes import Assign, Move, Refresh, Release
from fleetish.engine.explain import explain
from fleetish.engine.plan import Plan, plan
from fleetish.model import Target
from fleetish.testing.build import (
    answer,
    apply,
    assigned,
    drop,
    machine,
    overlay,
    placed,
    put,
    unit,
    world,
)
from fleetish.world import Revision, World
from tests.engine.rounds import LONG_AGO, NOW, A, B, C, homes, settled

SOCKET = unit("web.socket", triggers=("web.service",))
SERVICE = unit("web.service", target=Target.INACTIVE)


def told(known: World, name: str) -> dict[str, str]:
    """What the machines of a unit were told to do with it."""
    return {m: known.assigned[m][name].target.value for m in known.homes.get(name, ())}


def together(on: str = "a") -> World:
    """A socket and the service that is kept ready for it, settled on a machine."""
    known = world(A, B, C, placed(SOCKET, on), SERVICE)
    _, placement, _ = placed(SERVICE, on, reason="least reserved")
    put(known, placement)
    put(known, assigned(SERVICE, on, target=Target.LOADED))
    answer(known)
    assert plan(known, NOW) == Plan(())
    return known


def test_a_service_that_nobody_wants_is_placed_with_its_socket_and_kept_ready() -> None:
    known = world(A, B, SOCKET, SERVICE)
    assert plan(known, NOW).changes == (
        Assign("web.service", "a", (), "together with its peers"),
        Assign("web.socket", "a", (), "together with its peers"),
    )
    settled(known)
    assert (told(known, "web.service"), told(known, "web.socket")) == (
        {"a": "loaded"},
        {"a": "launched"},
    )


def test_a_service_goes_when_its_socket_does() -> None:
    known = together()
    put(known, unit("web.socket", target=Target.INACTIVE, triggers=("web.service",)))
    text = "its target is inactive"
    assert plan(known, NOW).changes == (
        Release("web.service", "a", text),
        Release("web.socket", "a", text),
    )
    settled(known)
    assert known.assigned == {}


def test_what_is_wanted_of_the_service_itself_counts_for_more() -> None:
    known = together()
    put(known, unit("web.service", launch=2))
    reason = "its target is launched and launch 2 is asked for"
    assert plan(known, NOW).changes == (Refresh("web.service", "a", reason),)
    settled(known)
    put(known, unit("web.service", target=Target.INACTIVE, launch=2))
    assert plan(known, NOW).changes == (
        Refresh("web.service", "a", "it is kept ready for web.socket"),
    )


def test_a_loaded_socket_keeps_its_service_ready_and_a_destroyed_one_does_not() -> None:
    known = together()
    put(known, unit("web.socket", target=Target.LOADED, triggers=("web.service",)))
    settled(known)
    assert told(known, "web.service") == {"a": "loaded"}
    drop(known, "units", "web.socket")
    settled(known)
    assert known.assigned == {}


def test_a_timer_that_starts_a_path_keeps_the_paths_service_ready_too() -> None:
    timer = unit("x.timer", triggers=("x.path",))
    path = unit("x.path", target=Target.INACTIVE, triggers=("x.service",))
    known = world(A, B, timer, path, unit("x.service", target=Target.INACTIVE))
    settled(known)
    assert told(known, "x.service") == told(known, "x.path") == {"a": "loaded"}
    drop(known, "units", "x.timer")
    settled(known)
    assert known.assigned == {}


def test_units_that_activate_each_other_are_not_wanted_for_that() -> None:
    one = unit("one.timer", target=Target.INACTIVE, triggers=("two.timer",))
    two = unit("two.timer", target=Target.INACTIVE, triggers=("one.timer",))
    assert plan(world(A, one, two), NOW) == Plan(())


def test_without_a_service_in_the_cluster_a_socket_goes_anywhere() -> None:
    known = world(A, B, placed(unit("x.service"), "a"), SOCKET)
    settled(known)
    assert homes(known)["web.socket"] == "b"


def test_a_socket_waits_where_its_service_has_no_place() -> None:
    known = world(A, B, SOCKET, unit("web.service", cpus=9))
    decided = plan(known, NOW)
    assert decided.changes == ()
    assert [one.unit for one in decided.unplaced] == ["web.service", "web.socket"]


def test_a_service_comes_to_the_socket_that_runs_already_where_it_fits() -> None:
    known = world(A, B, placed(SOCKET, "b"), placed(unit("x.service"), "b"), SERVICE)
    assert plan(known, NOW).changes == (Assign("web.service", "b", (), "there is web.socket"),)


def test_the_socket_follows_where_the_service_does_not_fit_beside_it() -> None:
    full = placed(unit("x.service", cpus=4), "a")
    known = world(A, B, full, placed(SOCKET, "a"), unit("web.service", cpus=1))
    settled(known)
    assert homes(known) == {"web.service": "b", "web.socket": "b", "x.service": "a"}


def test_both_move_off_a_lost_and_off_a_drained_machine() -> None:
    known = together("b")
    put(known, overlay("b", draining=True))
    settled(known)
    assert homes(known) == {"web.service": "a", "web.socket": "a"}
    drop(known, "machines", "a")
    moved = plan(known, NOW, lost_since=LONG_AGO).changes
    assert [(one.unit, one.machine) for one in moved if isinstance(one, Move)] == [
        ("web.service", "c"),
        ("web.socket", "c"),
    ]


def test_a_global_service_draws_a_single_socket_to_one_of_its_machines() -> None:
    everywhere = unit("web.service", global_=True, metadata=(("zone", ("x",)),))
    known = world(A, machine("b", metadata={"zone": "x"}), everywhere, SOCKET)
    settled(known)
    assert (homes(known), told(known, "web.service")) == ({"web.socket": "b"}, {"b": "launched"})


def test_a_global_socket_is_where_its_service_is_and_nowhere_else() -> None:
    everywhere = unit("web.socket", global_=True, triggers=("web.service",))
    known = world(A, B, C, everywhere, SERVICE)
    settled(known)
    assert (told(known, "web.socket"), homes(known)) == ({"a": "launched"}, {"web.service": "a"})
    put(known, overlay("a", cordoned=True))
    put(known, unit("web.service", target=Target.INACTIVE, machine_id="c"))
    settled(known)
    assert (told(known, "web.socket"), homes(known)) == ({"c": "launched"}, {"web.service": "c"})


def test_while_the_sockets_record_cannot_be_read_its_service_is_left_alone() -> None:
    known = together()
    known.quarantine(("units", "web.socket"), "no JSON", Revision(99, 99))
    assert plan(known, NOW) == Plan(())
    put(known, SOCKET)
    assert plan(known, NOW) == Plan(())


def test_where_the_services_record_cannot_be_read_the_socket_stays_with_it() -> None:
    known = together()
    known.quarantine(("units", "web.service"), "no JSON", Revision(99, 99))
    assert plan(known, NOW) == Plan(())


def test_a_socket_takes_no_room_from_others_to_be_with_its_service() -> None:
    known = together()
    drop(known, "placement", "web.socket")
    drop(known, "assigned", "a", "web.socket")
    for record in placed(unit("hog.service", cpus=4), "a"):
        put(known, record)
    put(known, unit("web.socket", triggers=("web.service",), cpus=1, priority=9))
    decided = plan(known, NOW)
    assert (decided.changes, [one.unit for one in decided.unplaced]) == ((), ["web.socket"])


def test_people_are_told_for_whom_a_unit_is_kept_ready_and_why_a_socket_is_not_elsewhere() -> None:
    known = together()
    assert explain(known, "web.service").reason == "kept ready for web.socket; least reserved"
    said = {row.machine: row.reason for row in explain(known, "web.socket").machines}
    away = "does not have web.service, which it activates and which is on a"
    assert said == {"a": "has it", "b": away, "c": away}


def test_looking_at_the_socket_alone_is_enough_to_place_both() -> None:
    known = world(A, B, SERVICE)
    settled(known)
    touched = put(known, SOCKET)
    assert touched.units == {"web.service", "web.socket"}
    assert plan(known, NOW, touched=touched) == plan(known, NOW)


def test_a_service_that_leaves_for_other_ports_comes_back_with_its_socket() -> None:
    known = together()
    put(known, unit("web.service", target=Target.INACTIVE, ports=(80,)))
    settled(known)
    assert len({*homes(known).values()}) == 1
    assert known.ports == {homes(known)["web.socket"]: {80: "web.service"}}


def test_of_a_round_that_was_cut_short_the_next_one_does_the_rest() -> None:
    known = world(A, B, SOCKET, SERVICE)
    first, second = plan(known, NOW).changes
    apply(known, (first,))
    assert plan(known, NOW).changes == (Assign("web.socket", "a", (), "there is web.service"),)
    assert second == Assign("web.socket", "a", (), "together with its peers")
