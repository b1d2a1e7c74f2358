"""What each change compares and writes, and how changes share transactions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetish.changes import (
    Assign,
    Change,
    CreateUnit,
    DestroyUnit,
    DropContent,
    DropDocument,
    DropState,
    Move,
    PublishState,
    PutContent,
    PutDocument,
    PutOverlay,
    Refresh,
    Release,
    ReplaceUnit,
    SetTarget,
    Unassign,
)
from fleetish.errors import Conflict, FleetishError, LeadershipLost, LeaseLost, NotFound, Refused
from fleetish.model import (
    Assignment,
    Content,
    Document,
    Machine,
    Overlay,
    Placement,
    Record,
    Target,
    Unit,
    UnitState,
)
from fleetish.store.base import Compare, Delete, Guard, KeyValue, Put, TxnResult
from fleetish.store.codec import encode
from fleetish.store.keys import Keys
from fleetish.store.pack import MAX_BYTES, MAX_OPERATIONS, Step, pack, refusal
from fleetish.store.txn import Compiler, compile_changes
from fleetish.units.xfleet import Requirements
from fleetish.world import Revision, World

KEYS = Keys("/f")
WEB = Unit(name="web.service", hash="h", target=Target.LAUNCHED, launch=3)
GLOBAL = Unit(name="log.service", hash="h", requirements=Requirements(global_=True))
LEADER = Guard("/f/leader", 7, "leadership")


def world(*records: Record) -> World:
    """Records written one after the other: born at 10, 20, 30 … and rewritten one later."""
    made = World()
    for number, record in enumerate(records, 1):
        made.put(record, Revision(number * 10, number * 10 + 1))
    made.revision = 500
    return made


def step(change: Change, held: World) -> Step:
    return Compiler(KEYS, held, now=99.0).step(change)


def mod(key: str, value: int) -> Compare:
    return Compare(f"/f/{key}", "mod", "=", value)


def create(key: str, value: int) -> Compare:
    return Compare(f"/f/{key}", "create", "=", value)


def put(key: str, record: Record) -> Put:
    return Put(f"/f/{key}", encode(record))


ON_A = Assignment(unit="web.service", machine="a", hash="h", target=Target.LAUNCHED, launch=3)
STOP = Assignment(unit="web.service", machine="a", hash="h", target=Target.INACTIVE, generation=2)
PLACED = Placement(unit="web.service", machine="a", failed_on=("c",), since=5.0)
STOPPED = UnitState(unit="web.service", machine="a", active="inactive", seen=2)
A, B = Machine(id="a", host="node1"), Machine(id="b", host="node2")


@pytest.mark.parametrize(
    ("change", "held", "compares", "operations"),
    [
        pytest.param(
            CreateUnit(WEB, "text", "asked"), world(),
            (mod("units/web.service", 0),),
            (put("content/h", Content(hash="h", text="text")), put("units/web.service", WEB)),
            id="create",
        ),
        pytest.param(
            ReplaceUnit(WEB, "", "asked"), world(WEB),
            (mod("units/web.service", 11), Compare("/f/content/h", "create", "!=", 0)),
            (put("units/web.service", WEB),),
            id="replace without text",
        ),
        pytest.param(
            SetTarget("web.service", Target.INACTIVE, 4, "asked"), world(WEB),
            (mod("units/web.service", 11),),
            (put("units/web.service", Unit(name="web.service", hash="h", launch=4)),),
            id="set target",
        ),
        pytest.param(
            DestroyUnit("web.service", "asked"), world(WEB),
            (mod("units/web.service", 11),), (Delete("/f/units/web.service"),),
            id="destroy",
        ),
        pytest.param(
            Assign("web.service", "a", (80,), "fits"), world(WEB, A),
            (mod("units/web.service", 11), create("machines/a", 20),
             mod("assigned/a/web.service", 0), mod("placement/web.service", 0)),
            (put("assigned/a/web.service",
                 Assignment(unit="web.service", machine="a", hash="h", target=Target.LAUNCHED,
                            launch=3, ports=(80,), requirements=WEB.requirements)),
             put("placement/web.service",
                 Placement(unit="web.service", machine="a", reason="fits", since=99.0))),
            id="assign",
        ),
        pytest.param(
            Assign("log.service", "a", (), "global"), world(GLOBAL, A),
            (mod("units/log.service", 11), create("machines/a", 20),
             mod("assigned/a/log.service", 0)),
            (put("assigned/a/log.service",
                 Assignment(unit="log.service", machine="a", hash="h", target=Target.INACTIVE,
                            requirements=GLOBAL.requirements)),),
            id="assign global",
        ),
        pytest.param(
            Refresh("web.service", "a", "restart"), world(WEB, STOP),
            (mod("units/web.service", 11), mod("assigned/a/web.service", 21)),
            (put("assigned/a/web.service",
                 Assignment(unit="web.service", machine="a", hash="h", target=Target.LAUNCHED,
                            launch=3, generation=3, requirements=WEB.requirements)),),
            id="refresh",
        ),
        pytest.param(
            Release("web.service", "a", "drain"), world(WEB, ON_A, PLACED),
            (mod("units/web.service", 11), mod("assigned/a/web.service", 21),
             mod("placement/web.service", 31)),
            (put("assigned/a/web.service",
                 Assignment(unit="web.service", machine="a", hash="h", target=Target.INACTIVE,
                            launch=3, generation=2)),
             put("placement/web.service",
                 Placement(unit="web.service", machine="a", reason="drain", leaving=True,
                           failed_on=("c",), since=5.0))),
            id="release",
        ),
        pytest.param(
            Unassign("web.service", "a", "stopped"), world(A, STOP, PLACED, STOPPED),
            (mod("assigned/a/web.service", 21), mod("states/a/web.service", 41),
             mod("placement/web.service", 31)),
            (Delete("/f/assigned/a/web.service"), Delete("/f/states/a/web.service"),
             Delete("/f/placement/web.service")),
            id="unassign after the answer",
        ),
        pytest.param(
            Unassign("web.service", "a", "lost"), world(ON_A, PLACED),
            (mod("assigned/a/web.service", 11), create("machines/a", 0),
             mod("placement/web.service", 21)),
            (Delete("/f/assigned/a/web.service"), Delete("/f/states/a/web.service"),
             Delete("/f/placement/web.service")),
            id="unassign from a lost machine",
        ),
        pytest.param(
            Move("web.service", "a", "b", (), "lost", failed_on=("a",)),
            world(WEB, ON_A, PLACED, B),
            (mod("units/web.service", 11), mod("assigned/a/web.service", 21),
             create("machines/a", 0), mod("placement/web.service", 31),
             create("machines/b", 40), mod("assigned/b/web.service", 0)),
            (Delete("/f/assigned/a/web.service"), Delete("/f/states/a/web.service"),
             put("assigned/b/web.service",
                 Assignment(unit="web.service", machine="b", hash="h", target=Target.LAUNCHED,
                            launch=3, requirements=WEB.requirements)),
             put("placement/web.service",
                 Placement(unit="web.service", machine="b", reason="lost", failed_on=("a",),
                           moves=1, since=99.0))),
            id="move from a lost machine",
        ),
        pytest.param(
            PublishState(STOPPED, "stopped"), world(ON_A),
            (create("assigned/a/web.service", 10),), (put("states/a/web.service", STOPPED),),
            id="publish",
        ),
        pytest.param(
            PublishState(STOPPED, "stopped"), world(),
            (Compare("/f/assigned/a/web.service", "create", "!=", 0),),
            (put("states/a/web.service", STOPPED),),
            id="publish what is not known to be assigned",
        ),
        pytest.param(
            DropState("web.service", "a", "orphan"), world(),
            (create("assigned/a/web.service", 0),), (Delete("/f/states/a/web.service"),),
            id="drop state",
        ),
        pytest.param(
            PutOverlay(Overlay(machine="a", cordoned=True), "asked"), world(Overlay(machine="a")),
            (mod("metadata/a", 11),),
            (put("metadata/a", Overlay(machine="a", cordoned=True)),),
            id="overlay",
        ),
        pytest.param(
            PutDocument(Document(kind="app", id="/x"), "asked"), world(),
            (mod("docs/app/%2Fx", 0),),
            (put("docs/app/%2Fx", Document(kind="app", id="/x")),),
            id="put document",
        ),
        pytest.param(
            DropDocument("app", "/x", "asked"), world(Document(kind="app", id="/x")),
            (mod("docs/app/%2Fx", 11),), (Delete("/f/docs/app/%2Fx"),),
            id="drop document",
        ),
        pytest.param(
            PutContent("h", "text", "asked"), world(),
            (), (put("content/h", Content(hash="h", text="text")),),
            id="put content",
        ),
        pytest.param(
            DropContent("h", 7, "nobody refers to it"), world(),
            (mod("content/h", 7),), (Delete("/f/content/h"),),
            id="drop content",
        ),
    ],
)  # fmt: skip
def test_a_change_compares_and_writes(
    change: Change, held: World, compares: tuple[Compare, ...], operations: tuple[Put | Delete, ...]
) -> None:
    assert step(change, held) == Step(compares, operations)


@pytest.mark.parametrize(
    ("change", "held", "error"),
    [
        (CreateUnit(WEB, "t", ""), world(WEB), Conflict("cannot create web.service: it exists")),
        (SetTarget("x.service", Target.LOADED, 1, ""), world(),
         NotFound("cannot find unit x.service")),
        (Assign("web.service", "a", (), ""), world(WEB),
         Conflict("cannot use machine a: it is not registered")),
        (Assign("web.service", "b", (), ""), world(WEB, PLACED, B),
         Conflict("cannot place web.service: it is placed")),
        (Assign("web.service", "a", (), ""), world(WEB, ON_A, A),
         Conflict("cannot assign web.service to a: it is assigned there")),
        (Refresh("web.service", "a", ""), world(WEB),
         Conflict("cannot change web.service on a: it is not assigned there")),
        (Unassign("web.service", "a", ""), world(A, ON_A, PLACED),
         Conflict("cannot take web.service off a: it has not said that it stopped")),
        (Unassign("web.service", "a", ""),
         world(A, STOP, PLACED, UnitState(unit="web.service", machine="a", seen=1)),
         Conflict("cannot take web.service off a: it has not said that it stopped")),
        (Unassign("web.service", "a", ""),
         world(A, STOP, PLACED, UnitState(unit="web.service", machine="a", active="deactivating",
                                          seen=2)),
         Conflict("cannot take web.service off a: it has not said that it stopped")),
        (Unassign("web.service", "a", ""),
         world(A, ON_A, PLACED, UnitState(unit="web.service", machine="a", seen=1)),
         Conflict("cannot take web.service off a: it has not said that it stopped")),
        (Move("web.service", "a", "a", (), ""), world(WEB, ON_A, PLACED),
         Refused("cannot move web.service from a to where it is")),
    ],
)  # fmt: skip
def test_what_the_world_forbids_is_not_even_tried(
    change: Change, held: World, error: FleetishError
) -> None:
    with pytest.raises(type(error)) as caught:
        step(change, held)
    assert str(caught.value) == str(error)


@pytest.mark.parametrize(
    ("where", "change"),
    [
        (("units", "web.service"), SetTarget("web.service", Target.LOADED, 1, "")),
        (("units", "web.service"), CreateUnit(WEB, "t", "")),
        (("placement", "web.service"), Assign("web.service", "a", (), "")),
        (("assigned", "a", "web.service"), Assign("web.service", "a", (), "")),
        (("metadata", "a"), PutOverlay(Overlay(machine="a"), "")),
        (("docs", "app", "x"), DropDocument("app", "x", "")),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_is_not_acted_upon(
    where: tuple[str, ...], change: Change
) -> None:
    held = world(WEB, A)
    held.quarantine(where, "junk", Revision(60, 61))
    with pytest.raises(Refused, match="junk"):
        step(change, held)


def test_a_machine_whose_record_cannot_be_read_is_not_lost() -> None:
    held = world(ON_A, PLACED)
    held.quarantine(("machines", "a"), "junk", Revision(60, 61))
    with pytest.raises(Conflict):
        step(Unassign("web.service", "a", ""), held)


def test_a_unit_that_cannot_be_read_can_be_destroyed() -> None:
    held = world()
    held.quarantine(("units", "web.service"), "junk", Revision(60, 61))
    wanted = Step((mod("units/web.service", 61),), (Delete("/f/units/web.service"),))
    assert step(DestroyUnit("web.service", ""), held) == wanted


def test_fields_of_a_newer_peer_are_written_back() -> None:
    held = world()
    held.put(WEB, Revision(10, 11), {"colour": b'"red"'})
    (write,) = step(SetTarget("web.service", Target.LAUNCHED, 4, ""), held).operations
    assert isinstance(write, Put)
    assert write.value.endswith(b',"launch":4,"colour":"red"}')


def creations(count: int, text: str = "t") -> list[Change]:
    return [CreateUnit(Unit(name=f"u{n}.service", hash="h"), text, "") for n in range(count)]


@given(st.lists(st.integers(1, 60), max_size=15))
def test_transactions_hold_the_limits_and_every_step_whole(sizes: list[int]) -> None:
    steps = [
        Step(
            tuple(Compare(f"/c{number}/{part}", "mod", "=", 0) for part in range(size)),
            tuple(Put(f"/p{number}/{part}", b"v" * 1500 * size) for part in range(size)),
        )
        for number, size in enumerate(sizes)
    ]
    txns = pack(steps, LEADER)
    assert [o for txn in txns for o in txn.operations] == [o for s in steps for o in s.operations]
    for txn in txns:
        assert txn.compares[0] == Compare("/f/leader", "create", "=", 7)
        assert max(len(txn.compares), len(txn.operations), len(txn.witness)) <= MAX_OPERATIONS
        whole = [s for s in steps if set(s.operations) <= set(txn.operations)]
        assert sum(len(s.operations) for s in whole) == len(txn.operations)
        assert all(set(s.compares) <= set(txn.compares) for s in whole)
        size = sum(len(o.value) for o in txn.operations if isinstance(o, Put))
        assert size <= MAX_BYTES or len(whole) == 1


def test_one_text_for_many_units_is_written_once_a_transaction() -> None:
    txns = compile_changes(creations(300), World(), KEYS)
    assert [len(txn.operations) for txn in txns] == [128, 128, 47]
    assert all(txn.operations[0].key == "/f/content/h" for txn in txns)


def test_nothing_to_do_is_no_transaction() -> None:
    assert compile_changes((), World(), KEYS, LEADER) == ()


@pytest.mark.parametrize(
    "changes",
    [
        (SetTarget("web.service", Target.LOADED, 1, ""), DestroyUnit("web.service", "")),
        (SetTarget("web.service", Target.LOADED, 1, ""), Refresh("web.service", "a", "")),
        (*creations(1, "one text"), CreateUnit(GLOBAL, "another text under its hash", "")),
    ],
)
def test_a_key_is_not_written_twice_in_one_commit(changes: tuple[Change, ...]) -> None:
    with pytest.raises(Refused, match="twice in one commit"):
        compile_changes(changes, world(WEB, ON_A), KEYS)


@pytest.mark.parametrize(
    ("read", "lost", "error"),
    [
        ((), "leadership", LeadershipLost("cannot write: another engine leads, or none")),
        ((KeyValue("/f/leader", b"", 8, 8),), "lease",
         LeaseLost("cannot write: this machine's registration is gone")),
        ((KeyValue("/f/leader", b"", 7, 9),), "leadership",
         Conflict("cannot write: /f/units/web.service changed meanwhile",
                  hint="look again, then decide")),
    ],
)  # fmt: skip
def test_a_refusal_names_its_cause(
    read: tuple[KeyValue, ...], lost: str, error: FleetishError
) -> None:
    guard = LEADER if lost == "leadership" else Guard("/f/leader", 7, "lease")
    (txn,) = compile_changes([DestroyUnit("web.service", "")], world(WEB), KEYS, guard)
    told = refusal(txn, TxnResult(False, 50, read), guard)
    assert (type(told), str(told)) == (type(error), str(error))


def test_what_keeps_a_unit_ready_is_compared_when_its_machine_is_told() -> None:
    asked = Requirements(triggers=("web.service",))
    socket = Unit(name="web.socket", hash="h", target=Target.LAUNCHED, requirements=asked)
    web = Unit(name="web.service", hash="h")
    held = world(Machine(id="m", host="n"), web, socket)
    done = step(Assign("web.service", "m", (), "why"), held)
    assert mod("units/web.socket", 31) in done.compares
    wish = Assignment(
        unit="web.service",
        machine="m",
        hash="h",
        target=Target.LOADED,
        requirements=web.requirements,
    )
    assert Put("/f/assigned/m/web.service", encode(wish)) in done.operations
