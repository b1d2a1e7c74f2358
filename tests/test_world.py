"""The world's sums stay true whatever is put and dropped, in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetish.model import (
    Assignment,
    Document,
    Leader,
    Machine,
    Overlay,
    Placement,
    Record,
    Target,
    Unit,
    UnitState,
)
from fleetish.resources import NOTHING, Resources
from fleetish.units.xfleet import Requirements
from fleetish.world import ABSENT, Ident, Revision, Touched, World, ident, touch

AT = Revision(create=3, mod=5)


def assignment(unit: str, machine: str, cpus: int, ports: tuple[int, ...] = ()) -> Assignment:
    wish = Requirements(resources=Resources(millicpus=cpus))
    return Assignment(
        unit=unit,
        machine=machine,
        hash="h",
        target=Target.LAUNCHED,
        ports=ports,
        requirements=wish,
    )


def test_each_record_has_its_place_and_is_found_there() -> None:
    records: list[Record] = [
        Machine(id="m", host="node1"),
        Overlay(machine="m"),
        Unit(name="a.service", hash="h"),
        Placement(unit="a.service", machine="m"),
        assignment("a.service", "m", 100),
        UnitState(unit="a.service", machine="m"),
        Leader(machine="m"),
        Document(kind="group", id="/"),
    ]
    world = World()
    for record in records:
        world.put(record, AT)
    assert [world.revision_of(ident(record)) for record in records] == [AT] * len(records)
    for record in records:
        world.drop(ident(record))
    empty = World()
    assert vars(world) == vars(empty)
    assert world.revision_of(("units", "a.service")) == ABSENT


def test_a_rewritten_assignment_counts_once() -> None:
    world = World()
    world.put(assignment("a.service", "m", 100, (80,)), AT)
    world.put(assignment("a.service", "m", 300, (81,)), AT)
    assert (world.used["m"], world.ports["m"]) == (Resources(millicpus=300), {81: "a.service"})


def test_an_unreadable_value_replaces_what_was_known() -> None:
    world = World()
    world.put(Unit(name="a.service", hash="h"), AT)
    world.quarantine(("units", "a.service"), "not JSON", Revision(3, 6))
    assert (world.units, world.quarantined) == ({}, {("units", "a.service"): "not JSON"})
    world.put(Unit(name="a.service", hash="h"), Revision(3, 7))
    assert world.quarantined == {}


def test_an_overlay_wins_over_what_the_machine_says() -> None:
    world = World()
    world.put(Machine(id="m", host="node1", metadata={"rack": "r1", "disk": "ssd"}), AT)
    world.put(Overlay(machine="m", metadata={"rack": "r2", "disk": None, "zone": "z"}), AT)
    assert world.metadata("m") == {"rack": "r2", "zone": "z"}


def test_a_change_touches_whom_it_concerns() -> None:
    touched = Touched()
    assert not touched
    places: list[Ident] = [
        ("units", "a"),
        ("placement", "b"),
        ("assigned", "m", "c"),
        ("states", "m", "d"),
        ("machines", "m"),
        ("metadata", "n"),
        ("docs", "group", "/"),
        ("leader",),
    ]
    for where in places:
        touch(touched, where)
    assert touched == Touched({"a", "b", "c", "d"}, {"m", "n"}, {("group", "/")})


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "drop"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["m", "n"]),
        st.integers(0, 5),
    ),
    max_size=40,
)


@given(steps)
def test_sums_equal_the_assignments_whatever_happened(
    steps: list[tuple[str, str, str, int]],
) -> None:
    world = World()
    for verb, unit, machine, cpus in steps:
        if verb == "put":
            world.put(assignment(unit, machine, cpus, (100 + ord(unit),)), AT)
        else:
            world.drop(("assigned", machine, unit))
    for machine in ("m", "n"):
        held = world.assignments(machine).values()
        total = sum((a.requirements.resources for a in held), NOTHING)
        assert world.used.get(machine, NOTHING) == total
        assert world.ports.get(machine, {}) == {a.ports[0]: a.unit for a in held}


def bound(name: str, *triggers: str, target: Target = Target.INACTIVE) -> Unit:
    return Unit(name=name, hash="h", target=target, requirements=Requirements(triggers=triggers))


def test_a_unit_is_kept_ready_while_one_is_wanted_that_activates_it() -> None:
    world = World()
    world.put(bound("web.service"), AT)
    world.put(bound("web.socket", "web.service", target=Target.LAUNCHED), AT)
    assert (world.target("web.service"), world.keeper("web.service")) == (
        Target.LOADED,
        "web.socket",
    )
    assert world.activated("web.socket") == {"web.service"}
    world.put(bound("web.socket", "other.service", target=Target.LAUNCHED), AT)
    assert (world.target("web.service"), world.keeper("web.service")) == (Target.INACTIVE, "")
    assert world.target("other.service") is Target.INACTIVE, "there is no such unit"


def test_a_machine_is_absent_while_something_is_assigned_to_it_and_its_key_is_not_there() -> None:
    world = World()
    world.put(assignment("a.service", "m", 100), AT)
    assert world.absent == {"m"}
    world.quarantine(("machines", "m"), "not JSON", AT)
    assert world.absent == set()
    world.drop(("machines", "m"))
    assert world.absent == {"m"}
    world.put(Machine(id="m", host="node1"), AT)
    assert world.absent == set()
    world.drop(("machines", "m"))
    world.drop(("assigned", "m", "a.service"))
    assert world.absent == set()


@given(steps)
def test_who_activates_whom_and_who_is_where_is_as_the_records_say(
    steps: list[tuple[str, str, str, int]],
) -> None:
    world = World()
    for verb, unit, machine, number in steps:
        if verb == "drop":
            world.drop(("units", unit) if number % 2 else ("assigned", machine, unit))
        elif number == 5:
            world.quarantine(("units", unit), "not JSON", AT)
        elif number % 2:
            world.put(bound(unit, *"abc"[number // 2 :]), AT)
        else:
            world.put(assignment(unit, machine, 100), AT)
    assert world.activators == {
        name: near
        for name in "abc"
        if (near := {u.name for u in world.units.values() if name in u.requirements.triggers})
    }
    assert world.homes == {
        name: on
        for name in "abc"
        if (on := {m for m, held in world.assigned.items() if name in held})
    }


def test_a_lost_machine_is_known_while_something_is_assigned_to_it() -> None:
    world, node = World(), Machine(id="m", host="node1")
    held = assignment("a.service", "m", 100)
    for record in (node, held):
        world.put(record, AT)
    world.drop(ident(node))
    assert (world.machine("m"), world.machines, world.absent) == (node, {}, {"m"})
    world.drop(ident(held))
    assert (world.machine("m"), world.lost) == (None, {})
